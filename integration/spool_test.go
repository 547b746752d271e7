package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestKilledSensorDeliversItsSpool kills the sensor while its peer is away, and again while it
// sends what it found. Every container that was in the spool comes, identical and in order.
func TestKilledSensorDeliversItsSpool(t *testing.T) {
	t.Parallel()
	f := newFaultTest(t, fault{sink: "wss"})
	f.write(t, faultRecords)
	f.awaitDelivered(t)
	f.relay.Set(t, lab.Refuse)
	var left []byte
	for range 2 { // the second run appends to the spool of the first
		f.write(t, 2000)
		f.awaitSpooled(t, countRecords(t, left)+1500) // some are still on the way
		f.Kill()
		left = f.spooled(t)
		f.restart(t)
		if want, got := countRecords(t, left), f.resumed(t); got != want {
			t.Errorf("the spool has %d records, and the sensor resumes %d", want, got)
		}
	}
	f.relay.SetRate(256 << 10)
	f.relay.Set(t, lab.NoFault)
	awaitFor(t, "a part to be sent", recoveryTime, func() bool { return f.server.size(t) > int64(len(left)/3) })
	f.Kill()
	f.relay.SetRate(0)
	f.restart(t)
	resumed := f.resumed(t)
	f.write(t, faultRecords)
	awaitFor(t, "everything to be delivered", recoveryTime, func() bool {
		s := f.sinkNow(t)
		return s.Offered == faultRecords && s.Delivered == s.Offered+s.Resumed
	})
	closing := f.stop(t).sinks["second"]
	f.server.Stop(t)
	once, repeated := f.server.received(t)
	if closing.Resumed != resumed || resumed == 0 || repeated == 0 || closing.Delivered != faultRecords+resumed || total(closing.Lost) > 0 {
		t.Errorf("%d records resumed and %d containers repeated, the ledger has %+v", resumed, repeated, closing)
	}
	at := bytes.Index(once, left)
	if at < 0 {
		t.Fatalf("%d octets came, and not the %d of the spool in one piece", len(once), len(left))
	}
	before, after := countRecords(t, once[:at]), countRecords(t, once[at+len(left):])
	if before != faultRecords || after != faultRecords {
		t.Errorf("%d records came before those of the spool and %d after, want %d each", before, after, faultRecords)
	}
	checkNames(t, namesOf(t, once), f.resolver.sent, f.resolver.sent-2*faultRecords-int(countRecords(t, left)))
	t.Logf("%d records in the spool, %d of them when the sensor was killed the last time; %d containers repeated", int(countRecords(t, left)), resumed, repeated)
}

// restart starts the sensor again with the same configuration, and a connection of the resolver.
func (f *faultTest) restart(t *testing.T) {
	t.Helper()
	config, err := os.ReadFile(f.config)
	if err != nil {
		t.Fatal(err)
	}
	f.run(t, string(config))
	f.resolver.nc = newBusyResolver(t, f.sensor).nc
}

// resumed returns the number of records that the sensor found in its spool, when it has read it.
func (f *faultTest) resumed(t *testing.T) (records uint64) {
	t.Helper()
	await(t, "the spool to be resumed", func() bool {
		records = f.sinkNow(t).Resumed
		return records > 0
	})
	return records
}

func (f *faultTest) awaitSpooled(t *testing.T, records uint64) {
	t.Helper()
	awaitFor(t, fmt.Sprintf("%d records in the spool", records), recoveryTime, func() bool { return f.sinkNow(t).Spooled >= records })
}

// spooled returns the whole containers in the spool of a sensor that was killed.
func (f *faultTest) spooled(t *testing.T) (all []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(f.folder(), "*", "*.nmsg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // names have leading zeros
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, part := splitContainers(data)
		all = append(all, data[:len(data)-len(part)]...)
	}
	return all
}
