package conf

import (
	"errors"

	"github.com/dnstap-pdns/dnstap-pdns/collector/certs"
)

// tls returns the files of the source's tls block; the zero value without that block.
func (s *section) tls() certs.Files {
	in := s.innerBlock("tls")
	if in == nil {
		return certs.Files{}
	}
	return certs.Files{
		Cert:     readText(in, "cert", in.parseFile),
		Key:      readText(in, "key", in.parseFile),
		ClientCA: readText(in, "client_ca", in.parseOptionalFile),
	}
}

// parseFile reads a file name, which is relative to the folder of the configuration.
// It does not check that the file exists.
func (d *decoder) parseFile(v string) (string, error) {
	if v == "" {
		return "", errors.New("the file name is empty")
	}
	path, err := parsePath(v)
	return inFolder(d.dir, path), err
}

func (d *decoder) parseOptionalFile(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	return d.parseFile(v)
}
