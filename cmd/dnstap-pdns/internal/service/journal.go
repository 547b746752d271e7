package service

import "github.com/coreos/go-systemd/v22/journal"

// LogsToJournal reports whether standard error is connected to the journal, which reads a priority
// at the beginning of each line (sd-daemon(3)) and records the time itself.
func LogsToJournal() bool {
	connected, err := journal.StderrIsJournalStream()
	return err == nil && connected
}
