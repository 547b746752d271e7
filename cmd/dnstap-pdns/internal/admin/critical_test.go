package admin

import (
	"testing"
	"time"
)

func TestCriticalIsWhatStopsTheSensorsWork(t *testing.T) {
	for name, tt := range map[string]struct {
		breaks func(*Ledger)
		want   bool
	}{
		"nothing":              {func(*Ledger) {}, false},
		"one warning":          {func(l *Ledger) { l.Reload.OK = false }, false},
		"a wrong sum":          {func(l *Ledger) { l.Total.Read++ }, true},
		"a sink fails":         {func(l *Ledger) { l.Sinks[0].Failing = &Failing{} }, true},
		"one source is silent": {func(l *Ledger) { l.Sources[0].LastOutward = noon.Add(-time.Hour) }, false},
		"all sources are silent": {func(l *Ledger) {
			l.Sources[0].LastOutward, l.Sources[1].LastOutward = noon.Add(-6*time.Minute), noon.Add(-6*time.Minute)
		}, true},
		"only a removed source was not silent": {func(l *Ledger) {
			l.Sources[0].LastOutward, l.Sources[1].LastOutward = noon.Add(-6*time.Minute), noon.Add(-6*time.Minute)
			l.Sources[2].LastOutward = noon
		}, true},
		"no message since the start a minute ago": {func(l *Ledger) {
			l.Started = noon.Add(-time.Minute)
			l.Sources[0].LastOutward, l.Sources[1].LastOutward = time.Time{}, time.Time{}
		}, false},
		"a Kafka source fails":            {func(l *Ledger) { l.collects().Failing = &Failing{} }, true},
		"a topic is silent":               {func(l *Ledger) { l.collects(); l.Sources[0].LastOutward = noon.Add(-time.Hour); l.Reload.OK = false }, false},
		"a Kafka source lags":             {func(l *Ledger) { l.collects().Lag = 100_000 }, false},
		"a Kafka source has no partition": {func(l *Ledger) { l.collects().Partitions = 0 }, false},
	} {
		l := well()
		tt.breaks(l)
		if got := l.IsCritical(); got != tt.want {
			t.Errorf("%s: got %t, want %t", name, got, tt.want)
		}
	}
}
