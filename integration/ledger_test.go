package integration

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// ledger is the sensor's closing log line.
type ledger struct {
	account
	sources map[string]account
	sinks   map[string]delivery
}

// account counts the messages of one source or of all sources.
type account struct {
	Read, Records, Paired, Held uint64
	Dropped                     map[string]uint64
}

// delivery counts the records of one sink.
type delivery struct {
	Offered, Resumed, Delivered, Written, Queued, Spooled, Filtered uint64
	Lost                                                            map[string]uint64
}

// logged returns the log lines with that message.
func (s *sensor) logged(t *testing.T, message string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(s.Log(t)) {
		if !strings.Contains(line, message) { // decoding every line at each look would be slow
			continue
		}
		var entry struct{ Msg string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == message {
			found = append(found, line)
		}
	}
	return found
}

func parseLedger(t *testing.T, line string) ledger {
	t.Helper()
	l := ledger{sources: make(map[string]account), sinks: make(map[string]delivery)}
	decode := func(raw []byte, into any) {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatalf("ledger %s: %v", line, err)
		}
	}
	decode([]byte(line), &l.account)
	var groups map[string]json.RawMessage
	decode([]byte(line), &groups)
	for key, raw := range groups {
		if name, ok := strings.CutPrefix(key, "source."); ok {
			var a account
			decode(raw, &a)
			l.sources[name] = a
		}
		if name, ok := strings.CutPrefix(key, "sink."); ok {
			var d delivery
			decode(raw, &d)
			l.sinks[name] = d
		}
	}
	return l
}

// check checks the sums of the ledger after the sensor's end.
func (l ledger) check(t *testing.T) {
	t.Helper()
	l.account.check(t, "all")
	var read, records uint64
	for name, a := range l.sources {
		a.check(t, "source "+name)
		read += a.Read
		records += a.Records
	}
	if read != l.Read || records != l.Records {
		t.Errorf("the sources read %d and made %d records, the totals are %d and %d", read, records, l.Read, l.Records)
	}
	for name, d := range l.sinks {
		d.checkSum(t, "sink "+name)
		if d.Written+d.Queued != 0 {
			t.Errorf("sink %s: %d written and %d queued after the end", name, d.Written, d.Queued)
		}
	}
}

func (a account) check(t *testing.T, what string) {
	t.Helper()
	a.checkSum(t, what)
	if a.Held != 0 {
		t.Errorf("%s: %d held after the end", what, a.Held)
	}
}

// checkSum checks the account's sum, which must be right at any time.
func (a account) checkSum(t *testing.T, what string) {
	t.Helper()
	if sum := a.Records + a.Paired + total(a.Dropped) + a.Held; a.Read != sum {
		t.Errorf("%s: read %d, accounted for %d: %+v", what, a.Read, sum, a)
	}
}

func (d delivery) checkSum(t *testing.T, what string) {
	t.Helper()
	if sum := d.Delivered + d.Written + d.Queued + d.Spooled + d.Filtered + total(d.Lost); d.Offered+d.Resumed != sum {
		t.Errorf("%s: offered and resumed %d, accounted for %d: %+v", what, d.Offered+d.Resumed, sum, d)
	}
}

func total(counts map[string]uint64) uint64 {
	var sum uint64
	for n := range maps.Values(counts) {
		sum += n
	}
	return sum
}
