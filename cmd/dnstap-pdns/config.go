package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// defaultConfig is read without -c, if it exists.
const defaultConfig = conf.DefaultPath

const configUsage = "configuration `FILE`; default: " + defaultConfig + " if it exists, or else the built-in configuration"

// loadConfig reads the configuration and prints its diagnostics. It returns the first error of
// these.
func loadConfig(path string, std stdio) (*conf.File, error) {
	return loadFile(configPath(path), std)
}

// loadFile is loadConfig for a path that configPath returned.
func loadFile(path string, std stdio) (*conf.File, error) {
	file, diags := readFile(path)
	return printDiagnostics(file, diags, std)
}

// printDiagnostics prints or logs the diagnostics of a configuration, and returns file, or the first
// error of diags.
func printDiagnostics(file *conf.File, diags hcl.Diagnostics, std stdio) (*conf.File, error) {
	std.secrets.add(file)
	if std.log != nil {
		logDiagnostics(std.log, file, diags)
	} else if len(diags) > 0 {
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

// Unwrap makes errors.As find a usageError, so that the exit code is exitUsage.
func (e *configError) Unwrap() error { return &usageError{} }

// firstError returns the first error of diags.
func firstError(file *conf.File, diags hcl.Diagnostics) *configError {
	first := diags[slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagError })]
	return &configError{file.Place(first), first.Summary}
}

// readAdmin reads only the block admin of a configuration: the rest may need credentials that only
// the service has.
func readAdmin(path string) (*conf.File, hcl.Diagnostics) {
	path = configPath(path)
	if path == "" {
		return conf.Default()
	}
	return conf.LoadAdmin(path)
}

func readFile(path string) (*conf.File, hcl.Diagnostics) {
	if path == "" {
		return conf.Default()
	}
	return conf.Load(path)
}

// configName returns the name of the configuration that -c with the value path means.
func configName(path string) string {
	return cmp.Or(configPath(path), "the built-in one")
}

// configPath returns the file to read if -c has the value path, or "" for the built-in
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
