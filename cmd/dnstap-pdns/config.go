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

// defaultConfig is read without -c, if it exists.
const defaultConfig = "/etc/dnstap-pdns/dnstap-pdns.hcl"

const configUsage = "configuration `FILE`; default: " + defaultConfig + " if it exists, or else the built-in configuration"

// loadConfig reads the configuration and prints its diagnostics. Its error is only the first of
// them.
func loadConfig(path string, std stdio) (*conf.File, error) {
	return loadFile(configPath(path), std)
}

// loadFile is loadConfig for a path from configPath.
func loadFile(path string, std stdio) (*conf.File, error) {
	file, diags := readFile(path)
	return printDiagnostics(file, diags, std)
}

// printDiagnostics prints the diagnostics of a configuration, and returns it if they contain no
// error.
func printDiagnostics(file *conf.File, diags hcl.Diagnostics, std stdio) (*conf.File, error) {
	std.secrets.add(file)
	if len(diags) > 0 {
		if err := conf.WriteDiagnostics(std.err, file, diags); err != nil {
			return nil, fmt.Errorf("printing the errors of the configuration: %w", err)
		}
	}
	if diags.HasErrors() {
		return nil, firstError(file, diags)
	}
	return file, nil
}

// A configError is the first error of a configuration whose diagnostics were printed.
type configError struct {
	place string // FILE:LINE, or empty
	what  string
}

func (e *configError) Error() string {
	if e.place == "" {
		return e.what
	}
	return e.place + ": " + e.what
}

// Unwrap makes it a usageError.
func (e *configError) Unwrap() error { return &usageError{} }

// firstError returns the first error of diags.
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

// configPath returns the file to read if -c has the value path, or nothing for the built-in
// configuration.
func configPath(path string) string {
	if path != "" {
		return path
	}
	if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return defaultConfig
}
