package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// defaultConfig is read where no -c says otherwise, if it is there.
const defaultConfig = "/etc/dnstap-pdns/dnstap-pdns.hcl"

const configUsage = "configuration `FILE`; without it " + defaultConfig + " if it is there, else the built-in one"

// loadConfig reads the configuration and prints what there is to say about it. An
// error has been explained in full.
func loadConfig(path string, std stdio) (*conf.File, error) {
	return loadFile(configPath(path), std)
}

// loadFile is loadConfig of what configPath has found.
func loadFile(path string, std stdio) (*conf.File, error) {
	file, diags := readFile(path)
	return explained(file, diags, std)
}

// explained prints what there is to say about a configuration, and returns it if it can
// be used.
func explained(file *conf.File, diags hcl.Diagnostics, std stdio) (*conf.File, error) {
	std.secrets.add(file)
	if len(diags) > 0 {
		if err := conf.WriteDiagnostics(std.err, file, diags); err != nil {
			return nil, fmt.Errorf("printing what is wrong with the configuration: %w", err)
		}
	}
	if diags.HasErrors() {
		return nil, firstError(file, diags)
	}
	return file, nil
}

// A configError is the first of those that have been explained.
type configError struct {
	place string // FILE:LINE, where it has one
	what  string
}

func (e *configError) Error() string {
	if e.place == "" {
		return e.what
	}
	return e.place + ": " + e.what
}

// Unwrap makes it the caller's to mend.
func (e *configError) Unwrap() error { return &usageError{} }

// firstError is one line: where, and what.
func firstError(file *conf.File, diags hcl.Diagnostics) *configError {
	first := diags[slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagError })]
	return &configError{file.Place(first), first.Summary}
}

func readConfig(path string) (*conf.File, hcl.Diagnostics) { return readFile(configPath(path)) }

func readFile(path string) (*conf.File, hcl.Diagnostics) {
	if path == "" {
		return conf.Default()
	}
	return conf.Load(path)
}

// configPath is the file that is read where a command line says path; empty: none.
func configPath(path string) string {
	if path != "" {
		return path
	}
	if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return defaultConfig
}
