package selftest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/jsonl"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func testObserver(t testing.TB) *observer {
	t.Helper()
	name, err := parseTarget(aName)
	if err != nil {
		t.Fatal(err)
	}
	decoy, err := parseTarget(aDecoy)
	if err != nil {
		t.Fatal(err)
	}
	return newObserver(name, decoy)
}

// recordOf returns a record of this name.
func recordOf(name []byte) *transform.Record {
	header := []byte{0, 0, 0x84, 3, 0, 1, 0, 0, 0, 0, 0, 0}
	return &transform.Record{
		Server: netip.MustParseAddrPort("192.0.2.1:53"), Resolver: netip.MustParseAddrPort("0.0.0.0:0"), Zeroed: true,
		HasResponse: true, Name: name, Type: 1, Class: 1, QueryTime: transform.NoTime, ResponseTime: 1_700_000_000_000_000_000,
		Response: bytes.Join([][]byte{header, name, {0, 1, 0, 1}}, nil),
	}
}

// containerOf returns a container with a record of this name.
func containerOf(t testing.TB, message nmsg.MessageType, zlib bool, name []byte) []byte {
	t.Helper()
	_, payload, err := nmsg.AppendPayload(nil, message, nmsg.IDs{}, recordOf(name))
	if err != nil {
		t.Fatal(err)
	}
	var open nmsg.Container
	container := open.Seal(open.Add(open.Begin(nil), payload), 1)
	if !zlib {
		return container
	}
	var deflater nmsg.Deflater
	if container, err = deflater.Append(nil, container); err != nil {
		t.Fatal(err)
	}
	return container
}

// nameAndDecoy is what became of both names if the sink "name" sent the one, and others the decoy.
var nameAndDecoy = map[string]sinkState{"name": {left: true}, "decoy": {decoyLeft: true}, "below": {decoyLeft: true}}

func TestNamesAreFoundInContainers(t *testing.T) {
	other := []byte("\x03www\x07example\x03com\x00")
	for _, message := range nmsg.MessageTypes() {
		for _, zlib := range []bool{false, true} {
			o := testObserver(t)
			mixed := bytes.ToUpper(o.name.name)
			o.Sent("other", containerOf(t, message, zlib, other), false)
			o.Sent("name", containerOf(t, message, zlib, mixed), false)
			o.Sent("decoy", containerOf(t, message, zlib, o.decoy.name), false)
			o.Sent("below", containerOf(t, message, zlib, append([]byte("\x01x"), o.decoy.name...)), false)
			if d := cmp.Diff(nameAndDecoy, o.sinks, cmp.AllowUnexported(sinkState{})); d != "" {
				t.Errorf("%v, zlib %v (-want +got):\n%s", message, zlib, d)
			}
		}
	}
}

// TestNamesAreFoundInUnitsOfOtherFormats covers frames of dnstap and lines of JSON.
func TestNamesAreFoundInUnitsOfOtherFormats(t *testing.T) {
	formats := []forward.RecordFormat{fstrm.Format{Identity: "sensor"}}
	for _, m := range nmsg.MessageTypes() {
		formats = append(formats, jsonl.Format{Message: m})
	}
	for _, f := range formats {
		o := testObserver(t)
		send := func(sink string, name []byte) {
			unit, err := f.Append(nil, recordOf(name), nmsg.IDs{})
			if err != nil {
				t.Fatal(err)
			}
			o.Sent(sink, unit, false)
		}
		send("other", []byte("\x03www\x07example\x03com\x00"))
		send("name", bytes.ToUpper(o.name.name))
		send("decoy", o.decoy.name)
		send("below", append([]byte("\x01x"), o.decoy.name...))
		if d := cmp.Diff(nameAndDecoy, o.sinks, cmp.AllowUnexported(sinkState{})); d != "" {
			t.Errorf("%#v (-want +got):\n%s", f, d)
		}
	}
}

// TestContainerAfterDamageIsSearched: damage must not hide a name.
func TestContainerAfterDamageIsSearched(t *testing.T) {
	o := testObserver(t)
	junk := bytes.Repeat([]byte("NMSG\x00\x02\x00\x00\x00\x04junk"), 3)
	o.Sent("s", append(junk, containerOf(t, nmsg.DNSQR, false, o.name.name)...), false)
	if !o.sinks["s"].left {
		t.Error("the name was not found after junk")
	}
}

func FuzzSent(f *testing.F) {
	o := testObserver(f)
	for _, message := range nmsg.MessageTypes() {
		f.Add(containerOf(f, message, false, o.name.name))
		f.Add(containerOf(f, message, true, o.decoy.name))
	}
	f.Add(o.name.name)
	f.Fuzz(func(t *testing.T, container []byte) {
		before := bytes.Clone(container)
		testObserver(t).Sent("s", container, false)
		if !bytes.Equal(before, container) {
			t.Error("the container was changed: it is borrowed")
		}
	})
}

var aMessage = new(transform.Message)

func (o *observer) verdicts(all ...transform.Verdict) {
	for _, v := range all {
		o.Verdict(&v)
	}
}

func noSinks() []forward.SinkLedger { return nil }

func TestVerdictsOfLanesAreCounted(t *testing.T) {
	o := testObserver(t)
	name := func(v transform.Verdict) transform.Verdict { v.Name = o.name.name; return v }
	query := name(transform.Verdict{Message: aMessage})
	record := name(transform.Verdict{Message: aMessage, Response: true})
	drop := func(r transform.Reason, rule transform.Rule) transform.Verdict {
		return name(transform.Verdict{Message: aMessage, Response: true, Reason: r, Finding: transform.Finding{Rule: rule}})
	}
	expired := func(r transform.Reason) transform.Verdict { return name(transform.Verdict{Reason: r}) }
	nothing := []Drop{}
	for what, tt := range map[string]struct {
		verdicts []transform.Verdict
		want     Seen
		dropped  bool
	}{
		"nothing":               {nil, Seen{0, 0, nothing}, false},
		"another's":             {[]transform.Verdict{{Name: []byte("\x01x\x00"), Reason: transform.Rcode}, {}}, Seen{0, 0, nothing}, false},
		"a query":               {[]transform.Verdict{query}, Seen{1, 0, nothing}, false},
		"a record":              {[]transform.Verdict{query, record}, Seen{1, 1, nothing}, false},
		"a response alone":      {[]transform.Verdict{record}, Seen{0, 1, nothing}, false},
		"dropped":               {[]transform.Verdict{query, drop(transform.Rcode, 0)}, Seen{1, 0, []Drop{{Reason: "rcode"}}}, true},
		"dropped, and asked":    {[]transform.Verdict{query, drop(transform.Rcode, 0), query}, Seen{2, 0, []Drop{{Reason: "rcode"}}}, false},
		"dropped, then kept":    {[]transform.Verdict{drop(transform.Truncated, 0), record}, Seen{0, 1, []Drop{{Reason: "truncated"}}}, false},
		"dropped twice":         {[]transform.Verdict{drop(transform.Rcode, 0), drop(transform.Rcode, 0)}, Seen{0, 0, []Drop{{Reason: "rcode"}}}, true},
		"dropped by a rule":     {[]transform.Verdict{drop(transform.LocalName, transform.LocalNameInName)}, Seen{0, 0, []Drop{{"local_name", "local_name_in_name"}}}, true},
		"expired":               {[]transform.Verdict{query, expired(transform.Unanswered)}, Seen{1, 0, []Drop{{Reason: "unanswered"}}}, true},
		"expired, and a record": {[]transform.Verdict{query, expired(transform.Kept)}, Seen{1, 1, nothing}, false},
		"a query refused":       {[]transform.Verdict{query, name(transform.Verdict{Message: aMessage, Reason: transform.Duplicate})}, Seen{1, 0, []Drop{{Reason: "duplicate"}}}, false},
	} {
		o.nameState = nameState{}
		o.verdicts(tt.verdicts...)
		if d := cmp.Diff(tt.want, o.verdict(nil, noSinks).Name); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
		if o.nameState.dropped() != tt.dropped {
			t.Errorf("%s: dropped %v", what, o.nameState.dropped())
		}
	}
	if d := cmp.Diff(Seen{0, 0, nothing}, o.verdict(nil, noSinks).Decoy); d != "" {
		t.Errorf("the decoy (-want +got):\n%s", d)
	}
}

func TestStageOfEachSink(t *testing.T) {
	o := testObserver(t)
	sink := func(name string) forward.SinkLedger { return forward.SinkLedger{Name: name} }
	holds := func(l forward.SinkLedger) forward.SinkLedger { l.Queued = 1; return l }
	lost := func(l forward.SinkLedger, n uint64) forward.SinkLedger { l.Lost[forward.Failed] = n; return l }
	fails := func(l forward.SinkLedger) forward.SinkLedger {
		l.Error, l.FailingSince = "no space", time.Unix(1, 0)
		return l
	}
	removed := sink("went")
	removed.Removed, removed.Draining = true, true
	var before []forward.SinkLedger
	for _, name := range []string{"a", "went", "obs", "narrow", "mixed", "slow", "sie", "odd", "away"} {
		before = append(before, sink(name))
	}
	before = append(before, lost(sink("full"), 5), lost(sink("lossy"), 5))
	now := []forward.SinkLedger{sink("a"), sink("obs"), sink("narrow"), sink("mixed"), holds(sink("slow")), sink("sie"), sink("odd"), fails(holds(sink("away"))),
		holds(lost(sink("full"), 5)), lost(sink("lossy"), 7), sink("came"), removed}
	check := func(when string, want []Sink) {
		t.Helper()
		if d := cmp.Diff(want, o.verdict(before, func() []forward.SinkLedger { return now }).Sinks); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	two := map[string]uint64{"failed": 2}
	check("nothing", []Sink{{Name: "a", Stage: NoRecord}, {Name: "obs", Stage: NoRecord}, {Name: "narrow", Stage: NoRecord}, {Name: "mixed", Stage: NoRecord},
		{Name: "slow", Stage: NoRecord}, {Name: "sie", Stage: NoRecord}, {Name: "odd", Stage: NoRecord}, {Name: "away", Stage: NoRecord, Error: "no space"},
		{Name: "full", Stage: NoRecord}, {Name: "lossy", Stage: NoRecord, Lost: two}})

	name, other := recordOf(o.name.name), recordOf([]byte("\x03www\x07example\x03com\x00"))
	for _, sink := range []string{"a", "mixed", "slow", "sie", "odd", "away", "full", "lossy", "went"} {
		o.Offered(sink, name, 0, false)
	}
	o.Offered("obs", other, 0, false)
	o.Offered("obs", name, forward.ByFormat, true)
	o.Offered("narrow", name, forward.ByRCodes, true)
	o.Offered("narrow", name, forward.ByTypes, true)
	o.Offered("narrow", name, forward.ByTypes, true)
	o.Offered("mixed", name, forward.ByTypes, true)
	for _, sink := range []string{"a", "mixed", "went"} {
		o.Sent(sink, containerOf(t, nmsg.DNSQR, false, o.name.name), false)
	}
	o.Sent("sie", containerOf(t, nmsg.DNSQR, false, o.name.name), true)
	o.Sent("slow", containerOf(t, nmsg.DNSQR, false, o.decoy.name), true)
	check("a record", []Sink{{Name: "a", Stage: Left}, {Name: "obs", Stage: Filtered, FilteredBy: []string{"format"}},
		{Name: "narrow", Stage: Filtered, FilteredBy: []string{"types", "rcodes"}}, {Name: "mixed", Stage: Left, FilteredBy: []string{"types"}},
		{Name: "slow", Stage: Held, DecoyLeft: true}, {Name: "sie", Stage: Spooled}, {Name: "odd", Stage: Missing}, {Name: "away", Stage: Held, Error: "no space"},
		{Name: "full", Stage: Held}, {Name: "lossy", Stage: Lost, Lost: two}})
}

// TestSinksOfRRsetsWaitForTheWindow: lanes offer them no records.
func TestSinksOfRRsetsWaitForTheWindow(t *testing.T) {
	o := testObserver(t)
	aggregate := func(name string) forward.SinkLedger {
		return forward.SinkLedger{Name: name, RRsets: new(forward.RRsets)}
	}
	fed := func(name, from string) forward.SinkLedger { return forward.SinkLedger{Name: name, From: from} }
	ledgers := []forward.SinkLedger{aggregate("all"), aggregate("some"), aggregate("none"), fed("cof", "all"), fed("new", "all"), fed("some-cof", "some"), fed("none-cof", "none")}
	name := recordOf(o.name.name)
	o.Offered("all", name, 0, false)
	o.Offered("some", name, forward.ByTypes, true)
	o.Sent("new", containerOf(t, nmsg.DNSQR, false, o.name.name), false)
	want := []Sink{{Name: "all", Stage: InWindow}, {Name: "some", Stage: Filtered, FilteredBy: []string{"types"}}, {Name: "none", Stage: NoRecord},
		{Name: "cof", From: "all", Stage: InWindow}, {Name: "new", From: "all", Stage: Left},
		{Name: "some-cof", From: "some", Stage: Filtered}, {Name: "none-cof", From: "none", Stage: NoRecord}}
	v := o.verdict(ledgers, func() []forward.SinkLedger { return ledgers })
	if d := cmp.Diff(want, v.Sinks); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for i, passes := range []bool{true, false, false, true, true, false, false} {
		v := Verdict{Sinks: want[i : i+1], Decoy: Seen{Dropped: []Drop{{Reason: transform.LocalName.String()}}}}
		if v.Passed() != passes {
			t.Errorf("%+v alone: passed is %v", want[i], !passes)
		}
	}
}

// TestARecordTakenDuringTheVerdictIsNotMissing: a queue is read after the records that it got.
func TestARecordTakenDuringTheVerdictIsNotMissing(t *testing.T) {
	o := testObserver(t)
	v := o.verdict([]forward.SinkLedger{{Name: "s"}}, func() []forward.SinkLedger {
		o.Offered("s", recordOf(o.name.name), 0, false)
		return []forward.SinkLedger{{Name: "s"}} // from before
	})
	if v.Sinks[0].Stage != NoRecord {
		t.Errorf("got %+v", v.Sinks[0])
	}
}
