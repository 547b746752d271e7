package conf

import (
	"errors"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
)

// tls returns the files of the source's tls block; the zero value without that block.
func (s *section) tls() certs.Files {
	in := s.innerBlock("tls")
	if in == nil {
		return certs.Files{}
	}
	return certs.Files{Cert: in.pem("cert"), Key: in.pem("key"), ClientCA: in.pem("client_ca")}
}

// clientTLS returns the files of the block tls of a sink or source that connects to a server; nil: there
// is none.
func (s *section) clientTLS() *certs.ClientFiles {
	in := s.innerBlock("tls")
	if in == nil {
		return nil
	}
	c := &certs.ClientFiles{CA: in.pem("ca"), Cert: in.pem("cert"), Key: in.pem("key")}
	if in.hasText("cert", "") != in.hasText("key", "") {
		s.fail(in.header, "tls: cert and key belong together", "Set both, or neither.")
	}
	return c
}

// pem returns the value of an attribute that takes a file name, or PEM text that a function
// returned. Text in the file itself would be printed by Effective.
func (s *section) pem(name string) string {
	return readText(s, name, func(v string) (string, error) {
		switch {
		case v == "" && !s.settings[name].required():
			return "", nil
		case !certs.IsText(v):
			return s.parseFile(v)
		case !s.settings[name].secret():
			return "", errors.New("the text is in the configuration: use a function that returns it")
		}
		return v, nil
	})
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
