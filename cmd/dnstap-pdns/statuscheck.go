package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

// Exit codes of status --check, which are those of monitoring plugins.
const (
	checkOK       = 0
	checkWarning  = 1
	checkCritical = 2
	checkUnknown  = 3
)

// An exitStatus is the exit code of a command that has printed its result.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// checkStatus prints the state of a sensor in one line with performance data, as monitoring plugins
// do. It returns the exitStatus, or nil if there are no warnings.
func checkStatus(w io.Writer, l *admin.Ledger) error {
	warnings := l.Warnings()
	status, says := exitStatus(checkOK), fmt.Sprintf("OK: %d records from %d messages", l.Total.Records, l.Total.Read)
	if len(warnings) > 0 {
		var all []string
		for _, warning := range warnings {
			all = append(all, warning.Problem)
		}
		status, says = checkWarning, "WARNING: "+strings.Join(all, "; ")
		if l.IsCritical() {
			status, says = checkCritical, "CRITICAL: "+strings.Join(all, "; ")
		}
	}
	printCheck(w, says, performance(l))
	if status == checkOK {
		return nil
	}
	return status
}

// checkFailed prints that the state of the sensor could not be read.
func checkFailed(w io.Writer, status exitStatus, err error) error {
	word := "UNKNOWN"
	if status == checkCritical {
		word = "CRITICAL"
	}
	printCheck(w, word+": "+err.Error(), nil)
	return status
}

// printCheck prints the line. A vertical bar begins the performance data, so the text has none.
func printCheck(w io.Writer, says string, data []string) {
	line := strings.NewReplacer("|", "/", "\n", "; ").Replace(says)
	if len(data) > 0 {
		line += " | " + strings.Join(data, " ")
	}
	fmt.Fprintln(w, line)
}

// performance returns the performance data: 'label'=value[unit];warning;critical;minimum;maximum,
// where the unit c is that of a counter.
func performance(l *admin.Ledger) []string {
	data := []string{
		fmt.Sprintf("uptime=%ds", int64(l.Time.Sub(l.Started).Seconds())),
		fmt.Sprintf("read=%dc", l.Total.Read),
		fmt.Sprintf("records=%dc", l.Total.Records),
		fmt.Sprintf("dropped=%dc", l.Total.Account().Lost.Sum()),
		fmt.Sprintf("pairing=%d;;;0;%d", l.Pairing.Used, l.Pairing.Max),
	}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		name := strings.NewReplacer("'", "_", "=", "_", "|", "_").Replace(s.Name)
		data = append(data,
			fmt.Sprintf("'%s delivered'=%dc", name, s.Delivered),
			fmt.Sprintf("'%s lost'=%dc", name, s.Account().Lost.Sum()),
			fmt.Sprintf("'%s queue'=%dB;;;0;%d", name, s.QueueBytes, s.QueueMax))
		if s.Spool != nil {
			data = append(data, fmt.Sprintf("'%s spool'=%dB;;;0;%d", name, s.Spool.Bytes, s.Spool.MaxBytes))
		}
	}
	return data
}

// A statusDocument is what status --json prints: the ledger with its warnings and, over loopback,
// the lists of /domains.
type statusDocument struct {
	*admin.Ledger
	Warnings []admin.Warning `json:"warnings"`
	*admin.Domains
}

func printStatusJSON(w io.Writer, l *admin.Ledger, d admin.Domains) error {
	document := statusDocument{Ledger: l, Warnings: append([]admin.Warning{}, l.WarningsWithSenders(d.Senders)...)}
	if d.Domains != nil {
		document.Domains = &d
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(document)
}
