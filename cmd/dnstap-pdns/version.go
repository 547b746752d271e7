package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

var versionUsage = usage{
	name:     "version",
	does:     "Prints the version.",
	examples: []string{"dnstap-pdns version", "dnstap-pdns --version"},
	exits:    []string{"done", "the output could not be written", "bad usage"},
}

func version(_ context.Context, args []string, std stdio) error {
	if err := newOptions(versionUsage, std).parse(args, 0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(std.out, "dnstap-pdns %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// release is the version, set by the linker: a build in a container has neither tags nor
// commits.
var release string

// buildVersion returns the release, or else the version of the module, with the commit if the
// build contains it.
func buildVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v += " " + s.Value
		}
	}
	return v
}
