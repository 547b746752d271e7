package integration

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// Two sinks, one a file of dnsqr, one UDP with dnsobs and an MTU that big answers
// do not fit: both say the same.
func TestTwoSinksAgree(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	const mtu = 1280
	received := listen(t, w.Namespace)
	s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr")+fmt.Sprintf(`
sink "nmsg" "second" {
  to      = "udp://%s"
  message = "dnsobs"
  mtu     = %d
}
`, received.at, mtu))
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	unbound.Stop(t)
	books := s.stop(t)

	first := s.written(t, "first")
	second := readOutput(t, received.finish(t, mtu))
	checkRecords(t, w.Zones, second)
	checkNothingLeaked(t, second)
	checkExpected(t, w.Zones, second, lab.Questions())
	if d := cmp.Diff(facts(first.records), facts(second.records)); d != "" {
		t.Errorf("the sinks differ (-file +UDP):\n%s", d)
	}
	if f, u := books.sinks["first"], books.sinks["second"]; f.Delivered != u.Delivered || u.Delivered != uint64(len(second.records)) {
		t.Errorf("%d records came over UDP, the ledger has %+v for the file and %+v for UDP", len(second.records), f, u)
	}
}

// A UDP peer that is not there costs the other sink nothing, and its own sums
// hold. How much of it counts as lost depends on when its host says so.
func TestAbsentPeerHarmsNoOtherSink(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr")+`
sink "nmsg" "second" {
  to    = "udp://127.0.0.1:9"
  flush = "20ms"
}
`)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	unbound.Stop(t)
	books := s.stop(t)

	out := s.written(t, "first")
	checkExpected(t, w.Zones, out, lab.Questions())
	if f := books.sinks["first"]; f.Delivered != uint64(len(out.records)) || f.Offered != f.Delivered {
		t.Errorf("%d records in the file, the ledger has %+v", len(out.records), f)
	}
	if u := books.sinks["second"]; u.Offered != books.Records {
		t.Errorf("%d records, and the refused sink has %+v", books.Records, u)
	}
}

// facts is what a record says in either message type.
func facts(records []nmsgcheck.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s %s %s %s\n%s", r.Payload.Time, keyOf(r), dns.ClassToString[r.Class], dns.RcodeToString[r.Rcode], r.Response))
	}
	slices.Sort(all)
	return all
}

// receiver gathers datagrams inside the namespace.
type receiver struct {
	at     netip.AddrPort
	finish func(t *testing.T, mtu int) []byte
}

// endMark is a datagram that is no NMSG: whatever was sent before it has come.
const endMark = "end"

func listen(t *testing.T, n *lab.Namespace) receiver {
	t.Helper()
	conn := n.ListenUDP(t, netip.MustParseAddrPort("127.0.0.1:0"))
	conn.SetReadBuffer(4 << 20)
	at := conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
	var all []byte
	longest, done := 0, make(chan error, 1)
	go func() {
		buf := make([]byte, 65536)
		for {
			n, err := conn.Read(buf)
			if err != nil || string(buf[:n]) == endMark {
				done <- err
				return
			}
			longest = max(longest, n)
			all = append(all, buf[:n]...)
		}
	}()
	return receiver{at, func(t *testing.T, mtu int) []byte {
		t.Helper()
		if _, err := conn.WriteToUDPAddrPort([]byte(endMark), at); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if longest > mtu {
			t.Errorf("a datagram of %d bytes, mtu %d", longest, mtu)
		}
		return all
	}}
}
