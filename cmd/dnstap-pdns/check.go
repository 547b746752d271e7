package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/setup"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/startcheck"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/statement"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

var checkUsage = usage{
	name: "check",
	does: "Validates the configuration and prints it with all defaults.",
	details: "--statement prints instead what the configuration means for a privacy statement, under the headings of RFC 8932: what is\n" +
		"collected, removed, dropped and sent, each claim with the command that proves it.",
	examples: []string{"dnstap-pdns check", "dnstap-pdns check -c site.hcl", "dnstap-pdns check -c site.hcl --statement >statement.md"},
	exits:    []string{"the configuration is valid", "the output could not be written", "bad usage, or the configuration is invalid"},
}

func check(ctx context.Context, args []string, std stdio) error {
	o := newOptions(checkUsage, std)
	path := o.config()
	asStatement := o.flag("statement", "print a draft of a privacy statement in Markdown; whether this machine fits the configuration is not checked")
	if err := o.parse(args, 0); err != nil {
		return err
	}
	found := configPath(*path)
	file, err := loadFile(found, std)
	if err != nil {
		return err
	}
	if *asStatement {
		return printStatement(file, found, std)
	}
	return checkHere(ctx, file, found, std)
}

// printStatement prints the statement about a configuration.
func printStatement(file *conf.File, path string, std stdio) error {
	if err := file.Runnable(); err != nil {
		return &usageError{err}
	}
	s := statement.Subject{
		File:     file,
		Name:     cmp.Or(path, "the built-in configuration"),
		Version:  buildVersion(),
		Warnings: file.Warnings(),
	}
	if path != "" && path != defaultConfig {
		s.Option = "-c " + setup.Quote(path)
	}
	if err := statement.Write(std.out, &s); err != nil {
		return fmt.Errorf("printing the statement: %w", err)
	}
	return nil
}

// checkHere checks whether the configuration can take effect on this machine, and prints it.
func checkHere(ctx context.Context, file *conf.File, found string, std stdio) error {
	units, unread := service.Installed("/")
	inside := service.Controls()
	warnings, err := startcheck.Run(ctx, file, startcheck.Options{Later: &startcheck.Later{
		Path:    found,
		Units:   units,
		Inside:  inside,
		Running: inside || answers(ctx, file.Admin.Listen),
	}})
	if unread != nil {
		warnings = append(warnings, conf.Warning{
			Problem: "the units of the sensor cannot be read: " + unread.Error(),
			Advice:  "Without them check does not know the user, the sockets and the folders of the service.",
		})
	}
	for _, w := range warnings {
		printWarning(std, w)
	}
	if err != nil {
		return &usageError{err}
	}
	if err := file.Write(std.out); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	// To standard error, so that the printed configuration can be loaded.
	_, err = fmt.Fprintf(std.err, "OK: %s, %s, %s, %s\n", conf.Escape(cmp.Or(found, "built-in configuration")),
		plural(file.NumSources(), "source"), plural(len(file.Outputs()), "sink"), plural(len(warnings), "warning"))
	return err
}

// answers reports whether a sensor answers at its admin address.
func answers(ctx context.Context, listen string) bool {
	if listen == "" {
		return false
	}
	_, err := fetchLedger(ctx, reachable(listen))
	return err == nil
}

// printWarning prints a warning in the form of an error of the configuration.
func printWarning(std stdio, w conf.Warning) {
	place := ""
	if w.Place != "" {
		place = w.Place + ": "
	}
	fmt.Fprintf(std.err, "%swarning: %s\n  %s\n", place, std.secrets.mask(w.Problem), std.secrets.mask(w.Advice))
}
