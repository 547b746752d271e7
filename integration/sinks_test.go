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

// Each message type goes into a file and over UDP, at an MTU that big answers do
// not fit: a type's two outputs hold the same payloads, and all say the same.
func TestAllSinksAgree(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	const mtu = 1280
	files := map[string]string{"dnsqr": "first", "dnsobs": "second", "dnstap": "third"}
	receivers := map[string]receiver{}
	config := unixSource + site
	for message, file := range files {
		receivers[message] = listen(t, w.Namespace)
		config += fileSink(file, message) + udpSink("udp-"+message, message, receivers[message].at, mtu)
	}
	s := startSensor(t, w.Namespace, config)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	unbound.Stop(t)
	books := s.stop(t)

	said := map[string][]nmsgcheck.Record{}
	for message := range files {
		file := s.written(t, files[message])
		udp := readOutput(t, receivers[message].finish(t, mtu))
		checkRecords(t, w.Zones, file)
		checkNothingLeaked(t, file)
		checkNothingLeaked(t, udp)
		checkExpected(t, w.Zones, file, lab.Questions())
		if d := cmp.Diff(payloads(file.records), payloads(udp.records)); d != "" {
			t.Errorf("%s differs (-file +UDP):\n%s", message, d)
		}
		for _, sink := range []string{files[message], "udp-" + message} {
			if d := books.sinks[sink]; d.Delivered != uint64(len(file.records)) || d.Offered != d.Delivered {
				t.Errorf("sink %s: %d records came, the ledger has %+v", sink, len(file.records), d)
			}
		}
		for _, r := range file.records {
			if r.Message != message {
				t.Errorf("a record of type %s in the sink of %s", r.Message, message)
			}
		}
		said[message] = file.records
	}
	for _, message := range []string{"dnsobs", "dnstap"} {
		if d := cmp.Diff(facts(said["dnsqr"]), facts(said[message])); d != "" {
			t.Errorf("the types differ (-dnsqr +%s):\n%s", message, d)
		}
	}
	if d := cmp.Diff(zones(said["dnsobs"]), zones(said["dnstap"])); d != "" { // a dnsqr has none
		t.Errorf("zones differ (-dnsobs +dnstap):\n%s", d)
	}
}

func udpSink(name, message string, to netip.AddrPort, mtu int) string {
	return fmt.Sprintf(`
sink "nmsg" %q {
  to      = "udp://%s"
  message = %q
  mtu     = %d
}
`, name, to, message, mtu)
}

// zones are what records say of the zones that servers were asked as.
func zones(records []nmsgcheck.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s: %s", keyOf(r), r.Zone))
	}
	slices.Sort(all)
	return all
}

// payloads are what a type's encoder made, in no order.
func payloads(records []nmsgcheck.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s %s %x", keyOf(r), r.Payload.Time, r.Payload.Message))
	}
	slices.Sort(all)
	return all
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

// facts is what a record says in every message type.
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
