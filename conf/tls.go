package conf

import (
	"errors"

	"github.com/dnstap-pdns/dnstap-pdns/collector/certs"
)

// tls returns the files that a source's tls block names; none without the block.
func (s *section) tls() certs.Files {
	in := s.within("tls")
	if in == nil {
		return certs.Files{}
	}
	return certs.Files{
		Cert:     readText(in, "cert", in.parseFile),
		Key:      readText(in, "key", in.parseFile),
		ClientCA: readText(in, "client_ca", in.parseOptionalFile),
	}
}

// parseFile reads a file's name, relative to the configuration's folder. Whether
// there is such a file is for whoever opens it.
func (d *decoder) parseFile(v string) (string, error) {
	if v == "" {
		return "", errors.New("names no file")
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
