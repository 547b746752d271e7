// Package secret holds secrets that a configuration names, without showing them: a log, an
// error or a dump that contains one shows a placeholder.
//
// It must not know what a secret is for, or how a configuration is written.
package secret

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"
)

// longest is the limit of a file, in bytes.
const longest = 1 << 20

// A Secret is a secret: the content of a file, which may change while the sensor runs, or text.
// Secrets are comparable. The zero value contains none.
type Secret struct{ path, text string }

// InFile returns the secret that a file contains, without the line end at its end.
func InFile(path string) Secret { return Secret{path: path} }

// Text returns a secret that does not change.
func Text(text string) Secret { return Secret{text: text} }

// Read returns the secret. It reads the file at each call. An error names the file, never its
// content.
func (s Secret) Read() (string, error) {
	if s.path == "" {
		return s.text, nil
	}
	text, err := ReadFile(s.path)
	if err == nil && text == "" {
		err = errors.New(s.path + " is empty")
	}
	return text, err
}

// ReadFile returns the content of a file as a secret has it: without the line end at its end. An
// error names the file, never its content.
func ReadFile(path string) (string, error) {
	b, err := ReadRegular(path, longest)
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), err
}

// ReadRegular reads a regular file of at most limit bytes. It refuses pipes and devices, which could
// block a reload or never end.
func ReadRegular(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return b, nil
}

const placeholder = "(secret)"

// String returns a placeholder.
func (Secret) String() string { return placeholder }

// GoString returns a placeholder.
func (Secret) GoString() string { return placeholder }

// LogValue returns a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(placeholder) }
