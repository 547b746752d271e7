package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

func TestWhatTheVerifierReadsOfARecordIsKept(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := transform.Record{
			Server:    netip.AddrPortFrom(rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}).Draw(rt, "server"), 0),
			Forwarded: rapid.Bool().Draw(rt, "forwarded"), HasQuery: rapid.Bool().Draw(rt, "has query"), HasResponse: true,
			QueryTime: transform.NoTime, ResponseTime: transform.Time(rapid.Int64().Draw(rt, "time")),
			Zone: rapid.SliceOfN(rapid.Byte(), 0, 255).Draw(rt, "zone"), Response: rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(rt, "response"),
		}
		source := rapid.Uint32().Draw(rt, "source")
		unit, err := Format{}.Append([]byte("before"), &want, nmsg.IDs{Source: source})
		if err != nil {
			rt.Fatal(err)
		}
		unit = unit[len("before"):]
		if isRRset(unit) || sourceOf(unit) != source {
			rt.Fatalf("an RRset: %v; of the source %d, want %d", isRRset(unit), sourceOf(unit), source)
		}
		var got transform.Record
		readRecord(unit, &got)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			rt.Fatalf("-want +got:\n%s", diff)
		}
	})
}

// TestRRsetsOfOtherSensorsAreKept also has what no sensor that works as it should sends, because the table
// judges it.
func TestRRsetsOfOtherSensorsAreKept(t *testing.T) {
	var got rrset.Aggregate
	rapid.Check(t, func(rt *rapid.T) {
		octets := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 300), rapid.Just(make([]byte, 20_000)))
		number := rapid.Uint32()
		want := rrset.Aggregate{
			RRset: rrset.RRset{
				Name: octets.Draw(rt, "name"), Bailiwick: octets.Draw(rt, "bailiwick"), Rdata: rapid.SliceOfN(octets, 0, 5).Draw(rt, "rdata"),
				Type: rapid.Uint16().Draw(rt, "type"), Class: rapid.Uint16().Draw(rt, "class"), TTL: number.Draw(rt, "TTL"),
			},
			Sighting: rrset.Sighting{TimeFirst: number.Draw(rt, "time_first"), TimeLast: number.Draw(rt, "time_last"), Count: number.Draw(rt, "count")},
			Event:    rrset.Expiration,
		}
		source := number.Draw(rt, "source")
		unit, err := Format{}.AppendRRset([]byte("before"), &want, nmsg.IDs{Source: source})
		if err != nil {
			rt.Fatal(err)
		}
		unit = unit[len("before"):]
		if !isRRset(unit) || sourceOf(unit) != source {
			rt.Fatalf("an RRset: %v; of the source %d, want %d", isRRset(unit), sourceOf(unit), source)
		}
		readRRset(unit, &got) // into the RRset before
		if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal), cmp.Comparer(equalRdata)); diff != "" {
			rt.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func equalRdata(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func TestRRsetsThatCannotBeRepresented(t *testing.T) {
	a := rrset.Aggregate{Event: rrset.Insertion}
	if b, err := (Format{}).AppendRRset([]byte("before"), &a, nmsg.IDs{}); string(b) != "before" || err != nil {
		t.Errorf("an insertion: %q, %v", b, err)
	}
	a.Event, a.Rdata = rrset.Expiration, slices.Repeat([][]byte{make([]byte, math.MaxUint16)}, 17)
	if b, err := (Format{}).AppendRRset([]byte("before"), &a, nmsg.IDs{}); !errors.Is(err, nmsg.ErrTooBig) || string(b) != "before" {
		t.Errorf("more than 1 MiB: %d octets, %v", len(b), err)
	}
}

// TestRRsetsOfOtherSensorsAreMerged gives a transport RRsets, some of which its table refuses, and a record
// with one of them.
func TestRRsetsOfOtherSensorsAreMerged(t *testing.T) {
	tr := newTransport(t, testConfig(), forward.Live, new([]string))
	var emitted []string
	tr.env.Emit = func(_ context.Context, a *rrset.Aggregate, _ transform.Time) transform.Reason {
		emitted = append(emitted, fmt.Sprintln(text(a.Name), a.Count, a.TimeFirst, a.TimeLast))
		return transform.Kept
	}
	var b forward.Batch
	add := func(unit []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		(forward.OnePerUnit{}).Add(&b, unit)
	}
	at := uint32(noon.Unix())
	a := rrset.Aggregate{
		RRset: rrset.RRset{
			Name: wireName(t, "www.example."), Type: 1, Class: 1, TTL: 60, Bailiwick: wireName(t, "example."), Rdata: [][]byte{{192, 0, 2, 1}},
		},
		Sighting: rrset.Sighting{TimeFirst: at - 50, TimeLast: at + 10, Count: 7},
		Event:    rrset.Expiration,
	}
	add(Format{}.AppendRRset(nil, &a, nmsg.IDs{Source: 1}))
	a.TimeLast = at - 40
	add(Format{}.AppendRRset(nil, &a, nmsg.IDs{Source: 2}))
	add(Format{}.Append(nil, record(t, "www.example."), nmsg.IDs{Source: 3}))
	for _, malformed := range [][]byte{nil, {1}, wireName(t, "test.")} {
		a.Bailiwick = malformed
		add(Format{}.AppendRRset(nil, &a, nmsg.IDs{}))
	}
	if r, err := tr.Send(t.Context(), []*forward.Batch{&b}, 0); r.Delivered != 6 || err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	account := tr.RRsets()
	if account.Received != 5 || account.Refused != 3 || account.Outcomes.Verified() != 1 || account.Entries != 1 {
		t.Errorf("%+v", account)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
	want := []string{fmt.Sprintln("www.example.", 15, at-50, at+10)}
	if diff := cmp.Diff(want, emitted); diff != "" {
		t.Errorf("-want +emitted:\n%s", diff)
	}
}

func TestRecordsThatCannotBeRepresented(t *testing.T) {
	if (Format{}).Accepts(&transform.Record{}) {
		t.Error("a record without a response is accepted")
	}
	r := transform.Record{HasResponse: true, Server: netip.MustParseAddrPort("192.0.2.1:53"), Response: make([]byte, forward.BatchSize)}
	if b, err := (Format{}).Append(nil, &r, nmsg.IDs{}); !errors.Is(err, nmsg.ErrTooBig) || b != nil {
		t.Errorf("%d octets, %v", len(b), err)
	}
}

func TestTimesThatDatabasesCannotStore(t *testing.T) {
	for at, want := range map[transform.Time]uint32{
		transform.NoTime: 0, -1: 0, 999_999_999: 0, 1_000_000_000: 1, math.MaxInt64: math.MaxUint32,
	} {
		if got := seconds(at); got != want {
			t.Errorf("seconds(%d) = %d, want %d", at, got, want)
		}
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"window":    func(c *Config) { c.Window = 0 },
		"entries":   func(c *Config) { c.MaxEntries = 0 },
		"bytes":     func(c *Config) { c.MaxBytes = 1 },
		"release":   func(c *Config) { c.Release = 5 },
		"state":     func(c *Config) { c.Release, c.State = 2, t.TempDir()+"/state" },
		"root zone": func(c *Config) { c.RootZone = t.TempDir() + "/none" },
	} {
		c := testConfig()
		set(&c)
		if _, err := c.New(&forward.SinkConfig{Format: Format{}}, forward.Env{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := testConfig().New(&forward.SinkConfig{Format: forward.NMSG{}}, forward.Env{}); err == nil {
		t.Error("another format: no error")
	}
}

// TestRRsetsLeaveWhenEnoughSourcesReportedThem has the second source in a later window.
func TestRRsetsLeaveWhenEnoughSourcesReportedThem(t *testing.T) {
	c := testConfig()
	c.Release = 2
	var emitted []string
	tr := newTransport(t, c, forward.Live, &emitted)
	send := func(source uint32) {
		t.Helper()
		unit, err := Format{}.Append(nil, record(t, "www.example."), nmsg.IDs{Source: source})
		if err != nil {
			t.Fatal(err)
		}
		b := forward.Batch{Buf: unit, Units: []forward.Unit{{End: len(unit), Records: 1}}}
		if _, err := tr.Send(t.Context(), []*forward.Batch{&b}, 0); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	send(1)
	send(0)
	if a := tr.RRsets(); a.Waiting != 1 || a.Entries != 1 {
		t.Errorf("after one source: %+v", a)
	}
	tr.table.Flush()
	send(2)
	if a := tr.RRsets(); a.Waiting != 0 || a.Unreleased != 3 || len(emitted) != 0 {
		t.Errorf("after two sources: %+v, %q", a, emitted)
	}
	if err := tr.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if a := tr.RRsets(); len(emitted) != 1 || a.Emitted != 1 || a.Unreleased != 3 {
		t.Errorf("at the end: %q, %+v", emitted, a)
	}
}
