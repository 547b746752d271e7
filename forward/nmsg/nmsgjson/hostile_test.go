package nmsgjson

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
)

func TestNothingHostileIsPrinted(t *testing.T) {
	inputs := append([]string{}, nmsgtest.Hostile...)
	for c := range 256 {
		inputs = append(inputs, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'}))
	}
	var e Encoder
	for _, s := range inputs {
		for i, m := range nmsgtest.HostileMessages(s) {
			line, err := e.Append(nil, m)
			if err != nil {
				t.Fatalf("%q in message %d: %v", s, i, err)
			}
			checkValues(t, m, line)
		}
	}
}

// A hostile name must not look like a second record or the end of a line.
func TestHostileTextStaysInItsField(t *testing.T) {
	for _, s := range nmsgtest.Hostile {
		var line struct {
			Message struct {
				Response struct {
					Answer []struct{ Rdata []string }
				} `json:"response_json"`
			}
		}
		got, err := new(Encoder).Append(nil, nmsgtest.HostileMessages(s)[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &line); err != nil {
			t.Fatal(err)
		}
		if n := len(line.Message.Response.Answer); n != nmsgtest.HostileRecords {
			t.Errorf("%q makes %d RRsets of %d", s, n, nmsgtest.HostileRecords)
		}
	}
}

func FuzzAppend(f *testing.F) {
	nmsgtest.Seed(f, "../testdata")
	f.Fuzz(func(t *testing.T, shape uint8, sec int64, nsec uint32, data []byte) {
		before := []byte("before\n")
		m := nmsgtest.Fuzzed(shape, sec, nsec, data)
		got, err := new(Encoder).Append(before, m)
		line, ok := bytes.CutPrefix(got, before)
		if !ok || err != nil && len(line) != 0 {
			t.Fatalf("the buffer was changed, or an error (%v) appended something: %q", err, got)
		}
		if err == nil {
			checkValues(t, m, line)
		}
	})
}
