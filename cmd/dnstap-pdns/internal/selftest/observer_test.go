package selftest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
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

// containerOf returns a container with a record of this name.
func containerOf(t testing.TB, message nmsg.MessageType, zlib bool, name []byte) []byte {
	t.Helper()
	header := []byte{0, 0, 0x84, 3, 0, 1, 0, 0, 0, 0, 0, 0}
	_, payload, err := nmsg.AppendPayload(nil, message, nmsg.IDs{}, &transform.Record{
		Server: netip.MustParseAddrPort("192.0.2.1:53"), Resolver: netip.MustParseAddrPort("0.0.0.0:0"), Zeroed: true,
		HasResponse: true, Name: name, Type: 1, Class: 1, QueryTime: transform.NoTime, ResponseTime: 1_700_000_000_000_000_000,
		Response: bytes.Join([][]byte{header, name, {0, 1, 0, 1}}, nil),
	})
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

func TestNamesAreFoundInContainers(t *testing.T) {
	other := []byte("\x03www\x07example\x03com\x00")
	for _, message := range nmsg.MessageTypes() {
		for _, zlib := range []bool{false, true} {
			o := testObserver(t)
			mixed := bytes.ToUpper(o.name.name)
			o.Sent("other", containerOf(t, message, zlib, other))
			o.Sent("name", containerOf(t, message, zlib, mixed))
			o.Sent("decoy", containerOf(t, message, zlib, o.decoy.name))
			o.Sent("below", containerOf(t, message, zlib, append([]byte("\x01x"), o.decoy.name...)))
			if !o.left["name"] || o.left["other"] || o.left["decoy"] {
				t.Errorf("%v, zlib %v: the name left by %v", message, zlib, o.left)
			}
			if o.decoyLeft["name"] || o.decoyLeft["other"] || !o.decoyLeft["decoy"] || !o.decoyLeft["below"] {
				t.Errorf("%v, zlib %v: the decoy left by %v", message, zlib, o.decoyLeft)
			}
		}
	}
}

// TestContainerAfterDamageIsSearched: damage must not hide a name.
func TestContainerAfterDamageIsSearched(t *testing.T) {
	o := testObserver(t)
	junk := bytes.Repeat([]byte("NMSG\x00\x02\x00\x00\x00\x04junk"), 3)
	o.Sent("s", append(junk, containerOf(t, nmsg.DNSQR, false, o.name.name)...))
	if !o.left["s"] {
		t.Error("the name was not found after junk")
	}
}

func FuzzSent(f *testing.F) {
	o := testObserver(f)
	for _, message := range nmsg.MessageTypes() {
		f.Add(containerOf(f, message, false, o.name.name))
		f.Add(containerOf(f, message, true, o.decoy.name))
	}
	f.Fuzz(func(t *testing.T, container []byte) {
		before := bytes.Clone(container)
		testObserver(t).Sent("s", container)
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
		if d := cmp.Diff(tt.want, o.verdict(nil, nil).Name); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
		if o.nameState.dropped() != tt.dropped {
			t.Errorf("%s: dropped %v", what, o.nameState.dropped())
		}
	}
	if d := cmp.Diff(Seen{0, 0, nothing}, o.verdict(nil, nil).Decoy); d != "" {
		t.Errorf("the decoy (-want +got):\n%s", d)
	}
}

func TestStageOfEachSink(t *testing.T) {
	o := testObserver(t)
	sink := func(name string) forward.SinkLedger { return forward.SinkLedger{Name: name} }
	lost := func(l forward.SinkLedger, n uint64) forward.SinkLedger { l.Lost[forward.Refused] = n; return l }
	fails := func(l forward.SinkLedger) forward.SinkLedger {
		l.Error, l.FailingSince = "no space", time.Unix(1, 0)
		return l
	}
	obs := sink("obs")
	obs.Message = nmsg.DNSObs
	removed := sink("went")
	removed.Removed, removed.Leaving = true, true
	before := []forward.SinkLedger{sink("a"), sink("went"), obs, sink("slow"), lost(sink("full"), 5), lost(sink("lossy"), 5), sink("away"), sink("odd")}
	now := []forward.SinkLedger{sink("a"), obs, sink("slow"), lost(sink("full"), 5), lost(sink("lossy"), 7), fails(sink("away")), fails(sink("odd")), sink("came"), removed}
	check := func(when string, want []Sink) {
		t.Helper()
		if d := cmp.Diff(want, o.verdict(before, now).Sinks); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	two := map[string]uint64{"refused": 2}
	check("nothing", []Sink{{Name: "a", Stage: NoRecord}, {Name: "obs", Stage: NoRecord}, {Name: "slow", Stage: NoRecord}, {Name: "full", Stage: NoRecord},
		{Name: "lossy", Stage: NoRecord, Lost: two}, {Name: "away", Stage: NoRecord, Error: "no space"}, {Name: "odd", Stage: NoRecord, Error: "no space"}})

	o.verdicts(transform.Verdict{Name: o.name.name}) // a query that expired, and became a record
	o.found("a", true, false)
	o.found("odd", true, true)
	o.found("went", true, false)
	after := []Sink{{Name: "a", Stage: Left}, {Name: "obs", Stage: Filtered}, {Name: "slow", Stage: Waiting}, {Name: "full", Stage: Waiting},
		{Name: "lossy", Stage: Lost, Lost: two}, {Name: "away", Stage: Waiting, Error: "no space"}, {Name: "odd", Stage: Left, Error: "no space", DecoyLeft: true}}
	check("a query's record", after)

	o.verdicts(transform.Verdict{Name: o.name.name, Message: aMessage, Response: true})
	after[1].Stage = Waiting
	check("a response's record", after)
}
