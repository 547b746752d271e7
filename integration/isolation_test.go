package integration

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestNoPeerDelaysAnotherSinkOrASource has the peers of three sinks absent or stalled until their
// queues are full. The files have every record, and no write of the resolver waits.
func TestNoPeerDelaysAnotherSinkOrASource(t *testing.T) {
	t.Parallel()
	d := newDiskTest(t)
	capture := d.namespace.StartCapture(t, "captured")
	socket := filepath.Join(d.dir, "relay.sock")
	d.namespace.StartRelay(t, socket, capture.Socket).Set(t, lab.Stall)
	const small = "flush = \"20ms\"\nqueue = \"1MiB\"\n"
	absent := func(name, more string) string {
		return fmt.Sprintf("sink \"nmsg\" %q {\nto = \"ws://127.0.0.1:9/session/test\"\nchannel = 202\napi_key = file(\"DIR/api.key\")\n%s%s}\n", name, small, more)
	}
	d.writeKey(t, submissionKey)
	d.run(t, diskConfig+fmt.Sprintf("sink \"dnstap\" \"stalled\" {\nto = \"unix://%s\"\n%s}\n", socket, small)+
		absent("absent", "")+absent("spooled", "spool {\ndir = \"DIR/spool\"\nmax_bytes = \"64MiB\"\n}\n"))
	d.resolver = newBusyResolver(t, d.sensor)
	const sent = 5000
	d.send(t, sent)
	for _, name := range []string{"stalled", "absent"} {
		await(t, name+" to lose records", func() bool { return d.readLedger(t).sink(name).Lost["queue_full"] > 0 })
	}
	await(t, "every record to be spooled", func() bool { return d.readLedger(t).sink("spooled").Spooled == sent })

	if d.Stop(t); d.Wait(0) == nil {
		t.Error("exit code 0, although sinks failed")
	}
	closing := d.closing(t)
	files, names := d.account(t, closing)
	if files.Delivered != sent {
		t.Errorf("the files have %+v of %d records", files, sent)
	}
	checkOnce(t, names, 0, sent)
	for _, name := range []string{"stalled", "absent", "spooled"} {
		if s := closing.sinks[name]; s.Offered != sent || s.Delivered > 0 && name != "stalled" {
			t.Errorf("sink %s: %d records sent, the ledger has %+v", name, sent, s)
		}
	}
	if s := closing.sinks["spooled"]; s.Spooled != sent {
		t.Errorf("%d records sent, %d are left in the spool", sent, s.Spooled)
	}
	if d.resolver.longest > longestStall {
		t.Errorf("a write of the resolver was blocked for %v", d.resolver.longest)
	}
}
