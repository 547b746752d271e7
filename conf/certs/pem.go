package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// longestPEM is the limit of a file, in bytes: room for some hundred certificates.
const longestPEM = 1 << 20

// A version identifies one state of a file. It differs after a change in place, after a
// rename, and after a change of a symbolic link in the path.
type version struct {
	device, inode uint64
	size          int64
	changed       unix.Timespec // status change time, which no process can set back
}

// versionOf returns the version of the file at path, or zero if stat fails.
func versionOf(path string) version {
	var s unix.Stat_t
	if path == "" || IsText(path) || unix.Stat(path, &s) != nil {
		return version{}
	}
	return newVersion(&s)
}

func newVersion(s *unix.Stat_t) version { return version{s.Dev, s.Ino, s.Size, s.Ctim} }

// IsText reports whether v is PEM text and not the name of a file.
func IsText(v string) bool { return strings.Contains(v, "-----BEGIN ") }

// A pemFile is the content of a file at one time.
type pemFile struct {
	path string
	text []byte
	version
}

// readPEM reads a regular file, unless path is PEM text. It refuses pipes and devices, which could
// block a handshake.
func readPEM(path string) (pemFile, error) {
	if IsText(path) {
		return pemFile{path: "(PEM text)", text: []byte(path)}, nil
	}
	p := pemFile{path: path}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return p, err
	}
	defer f.Close()
	var s unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &s); err != nil {
		return p, &fs.PathError{Op: "fstat", Path: path, Err: err}
	}
	if s.Mode&unix.S_IFMT != unix.S_IFREG {
		return p, fmt.Errorf("%s is not a regular file", path)
	}
	p.version = newVersion(&s)
	if p.text, err = io.ReadAll(io.LimitReader(f, longestPEM+1)); err != nil {
		return p, err
	}
	if len(p.text) > longestPEM {
		return p, fmt.Errorf("%s is longer than %d bytes", path, longestPEM)
	}
	return p, nil
}

// certificates returns the certificates of the file, at least one. It ignores other PEM
// blocks, such as keys. It returns an error if the text ends within a block.
func (p pemFile) certificates() ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	block, rest := pem.Decode(p.text)
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", p.path, len(all)+1, err)
		}
		all = append(all, cert)
	}
	switch {
	case bytes.Contains(rest, []byte("-----BEGIN")):
		return nil, fmt.Errorf("%s is cut off, or not PEM, after certificate %d", p.path, len(all))
	case len(all) == 0:
		return nil, fmt.Errorf("%s contains no certificate in PEM form", p.path)
	}
	return all, nil
}
