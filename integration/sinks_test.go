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

// TestAllSinksAgree writes each message type to a file and over UDP, with an MTU that large
// answers exceed. Both outputs of a type have the same payloads, and all types the same content.
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
	closing := s.stop(t)

	byType := map[string][]nmsgcheck.Record{}
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
			if d := closing.sinks[sink]; d.Delivered != uint64(len(file.records)) || d.Offered != d.Delivered {
				t.Errorf("sink %s: %d records received, the ledger has %+v", sink, len(file.records), d)
			}
		}
		for _, r := range file.records {
			if r.TypeName != message {
				t.Errorf("a record of type %s in the sink of %s", r.TypeName, message)
			}
		}
		byType[message] = file.records
	}
	for _, message := range []string{"dnsobs", "dnstap"} {
		if d := cmp.Diff(contents(byType["dnsqr"]), contents(byType[message])); d != "" {
			t.Errorf("the records of types differ (-dnsqr +%s):\n%s", message, d)
		}
	}
	if d := cmp.Diff(zones(byType["dnsobs"]), zones(byType["dnstap"])); d != "" { // a dnsqr has no zone
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

// zones returns each record's key and zone, sorted.
func zones(records []nmsgcheck.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s: %s", keyOf(r), r.Zone))
	}
	slices.Sort(all)
	return all
}

// payloads returns each record's key, time and encoded message, sorted.
func payloads(records []nmsgcheck.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s %s %x", keyOf(r), r.Payload.Time, r.Payload.Message))
	}
	slices.Sort(all)
	return all
}

// TestAbsentPeerHarmsNoOtherSink checks that a UDP sink without a receiver does not affect the
// other sink, and that its own sums are right. The sensor's exit code is 1, because the records
// that wait are lost.
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
	await(t, "a refusal", func() bool { return len(s.logged(t, pathClosed)) > 0 })
	if s.Stop(t); s.Wait(0) == nil {
		t.Error("exit code 0, although a sink failed")
	}
	closing := s.closing(t)

	out := s.written(t, "first")
	checkExpected(t, w.Zones, out, lab.Questions())
	if f := closing.sinks["first"]; f.Delivered != uint64(len(out.records)) || f.Offered != f.Delivered {
		t.Errorf("%d records in the file, the ledger has %+v", len(out.records), f)
	}
	if u := closing.sinks["second"]; u.Offered != closing.Records {
		t.Errorf("%d records, and the refused sink has %+v", closing.Records, u)
	}
}

// contents returns the content that records of every message type have, sorted.
func contents(records []nmsgcheck.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s %s %s %s\n%s", r.Payload.Time, keyOf(r), dns.ClassToString[r.Class], dns.RcodeToString[r.Rcode], r.Response))
	}
	slices.Sort(all)
	return all
}

// receiver collects datagrams inside the namespace.
type receiver struct {
	at     netip.AddrPort
	finish func(t *testing.T, mtu int) []byte
}

// endDatagram is a datagram that is not NMSG: it is sent last.
const endDatagram = "end"

func listen(t *testing.T, n *lab.Namespace) receiver {
	t.Helper()
	return listenAt(t, n, "127.0.0.1:0")
}

func listenAt(t *testing.T, n *lab.Namespace, address string) receiver {
	t.Helper()
	conn := n.ListenUDP(t, netip.MustParseAddrPort(address))
	conn.SetReadBuffer(4 << 20)
	at := conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort()
	var all []byte
	longest, done := 0, make(chan error, 1)
	go func() {
		buf := make([]byte, 65536)
		for {
			n, err := conn.Read(buf)
			if err != nil || string(buf[:n]) == endDatagram {
				done <- err
				return
			}
			longest = max(longest, n)
			all = append(all, buf[:n]...)
		}
	}()
	return receiver{at, func(t *testing.T, mtu int) []byte {
		t.Helper()
		if _, err := conn.WriteToUDPAddrPort([]byte(endDatagram), at); err != nil {
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
