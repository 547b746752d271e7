package integration

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A fault is a row of the table of faults: what happens to the peer of a sink or to the disk of
// its spool. A row states what the sensor does, and the test checks it.
type fault struct {
	name       string
	sink       string                       // "wss" or "kafka" with a spool, "kafka without spool"; dnstap to a TCP port ("tls") or to a Unix socket ("unix")
	mount      func(*faultTest, *testing.T) // mounts the file system of the spool; nil: there is none
	records    int                          // that are sent during the fault, if more than faultRecords
	begin, end func(*faultTest, *testing.T)

	does   string // the message that the sensor logs; empty: none
	waits  string // how the ledger counts the records during the fault: "spooled" or "queued"
	status string // what status contains during the fault
	lost   string // how the ledger counts lost records, the oldest; empty: none is lost
	unread int    // that many records may be lost and count as delivered: the kernel had taken them when a connection ended
}

// faults lists every fault of the peer and of the disk. The file sinks have their own tests. A
// peer that stalls for ten minutes is in forward/wss, with a clock of its own.
var faults = []fault{
	{
		name: "the peer refuses", sink: "wss",
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  spoolsNow, waits: "spooled", status: "connection refused",
	},
	{
		name: "the peer resets", sink: "wss", records: 1500,
		begin: func(f *faultTest, t *testing.T) { f.relay.SetPasses(128 << 10); f.relay.Set(t, lab.Reset) }, // a container and a part of the next
		end:   (*faultTest).repair,
		does:  spoolsNow, waits: "spooled", status: "connection reset by peer",
	},
	{
		name: "the peer stalls", sink: "wss",
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Stall) },
		end:   (*faultTest).repair,
		waits: "spooled", status: "its oldest records",
	},
	{
		name: "the peer answers slowly", sink: "wss",
		begin: func(f *faultTest, _ *testing.T) { f.relay.SetRate(slowRate) },
		end:   (*faultTest).repair,
		waits: "spooled", status: "its oldest records",
	},
	{
		name: "the name disappears", sink: "wss",
		begin: (*faultTest).forgetName, end: (*faultTest).repair,
		does: spoolsNow, waits: "spooled", status: "no such host: is the name right?",
	},
	{
		name: "the peer's certificate has expired", sink: "wss",
		begin: (*faultTest).expire, end: (*faultTest).repair,
		does: spoolsNow, waits: "spooled", status: "the server must renew it, or the clock of this machine is wrong",
	},
	{
		name: "the client's key is wrong", sink: "wss",
		begin: (*faultTest).distrust, end: (*faultTest).repair,
		does: spoolsNow, waits: "spooled", status: "the server refuses TLS",
	},
	{
		name: "the API key is wrong", sink: "wss",
		begin: func(f *faultTest, t *testing.T) { f.server.Kill(); f.server.start(t, "another key") },
		end:   func(f *faultTest, t *testing.T) { f.writeKey(t, "another key") },
		does:  spoolsNow, waits: "spooled", status: "403 Forbidden: check api_key",
	},
	{
		name: "the peer refuses, and the disk is full", sink: "wss", mount: (*faultTest).mountSmall,
		begin: func(f *faultTest, t *testing.T) { f.fill(t, 0); f.relay.Set(t, lab.Refuse) },
		end:   func(f *faultTest, t *testing.T) { f.empty(t); f.repair(t) },
		does:  sinkFails, waits: "queued", status: "spool cannot be written",
	},
	{
		name: "the peer refuses, and the disk and the queue are full", sink: "wss", records: 3000, mount: (*faultTest).mountSmall,
		begin: func(f *faultTest, t *testing.T) { f.fill(t, 0); f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "spool cannot be written", lost: "queue_full",
	},
	{
		name: "the peer refuses, and the disk fails", sink: "wss", mount: (*faultTest).mountFailing,
		begin: func(f *faultTest, t *testing.T) { f.disk.writes.Store(true); f.relay.Set(t, lab.Refuse) },
		end:   func(f *faultTest, t *testing.T) { f.disk.writes.Store(false); f.repair(t) },
		does:  sinkFails, waits: "queued", status: "input/output error",
	},
	{
		name: "the peer refuses, and the disk has no inodes", sink: "wss", mount: (*faultTest).mountInodes,
		begin: func(f *faultTest, t *testing.T) { f.useInodes(t); f.relay.Set(t, lab.Refuse) },
		end:   func(f *faultTest, t *testing.T) { f.empty(t); f.repair(t) },
		does:  sinkFails, waits: "queued", status: "no space left on device",
	},

	{
		name: "the broker refuses", sink: "kafka", records: 3000,
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  spoolsNow, waits: "spooled", status: "connection refused",
	},
	{
		name: "the broker refuses", sink: "kafka without spool",
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "connection refused",
	},
	{
		name: "the broker refuses, and the queue is full", sink: "kafka without spool", records: 3000,
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "connection refused", lost: "queue_full",
	},
	{
		name: "the broker is killed", sink: "kafka",
		begin: func(f *faultTest, t *testing.T) { f.kafka.Kill(); f.relay.Set(t, lab.Refuse) },
		end:   func(f *faultTest, t *testing.T) { f.startBroker(t, brokerPassword); f.repair(t) },
		does:  spoolsNow, waits: "spooled", status: "connection refused",
	},
	{
		name: "the broker stalls", sink: "kafka",
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Stall) },
		end:   (*faultTest).repair,
		waits: "spooled", status: "its oldest records",
	},
	{
		name: "the broker's certificate has expired", sink: "kafka",
		begin: (*faultTest).expire, end: (*faultTest).repair,
		does: spoolsNow, waits: "spooled", status: "the server must renew it, or the clock of this machine is wrong",
	},
	{
		name: "the password is wrong", sink: "kafka",
		begin: func(f *faultTest, t *testing.T) { f.kafka.Kill(); f.startBroker(t, "another password") },
		end:   func(f *faultTest, t *testing.T) { f.writePassword(t, "another password") },
		does:  spoolsNow, waits: "spooled", status: "the broker refuses the user: check sasl",
	},
	{
		name: "the user may not write", sink: "kafka",
		begin: func(f *faultTest, t *testing.T) { f.refuseRequests(t, "TOPIC_AUTHORIZATION_FAILED", "Produce") },
		end:   func(f *faultTest, t *testing.T) { f.kafka.command(t, "/accept") },
		does:  spoolsNow, waits: "spooled", status: "the user is not authorized for the topic",
	},
	{
		name: "the topic is gone", sink: "kafka",
		begin: func(f *faultTest, t *testing.T) {
			f.refuseRequests(t, "UNKNOWN_TOPIC_OR_PARTITION", "Produce", "Metadata")
		},
		end:  func(f *faultTest, t *testing.T) { f.kafka.command(t, "/accept") },
		does: spoolsNow, waits: "spooled", status: "the cluster has no such topic",
	},

	{
		name: "the receiver refuses", sink: "tls",
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "connection refused", unread: faultRecords,
	},
	{
		name: "the receiver refuses, and the queue is full", sink: "tls", records: 3000,
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "connection refused", lost: "queue_full", unread: faultRecords,
	},
	{
		name: "the receiver resets", sink: "tls",
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Reset) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "connection reset by peer", unread: faultRecords,
	},
	{
		name: "the receiver stalls", sink: "unix", records: 1500,
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Stall) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "sending to unix:///",
	},
	{
		name: "the receiver is slow", sink: "unix", records: 1500,
		begin: func(f *faultTest, _ *testing.T) { f.relay.SetRate(slowRate) },
		end:   (*faultTest).repair,
		waits: "queued", status: works,
	},
	{
		name: "the socket is gone", sink: "unix",
		begin: func(f *faultTest, t *testing.T) { f.relay.Set(t, lab.Refuse) },
		end:   (*faultTest).repair,
		does:  sinkFails, waits: "queued", status: "no such file or directory", unread: faultRecords,
	},
	{
		name: "the receiver's name disappears", sink: "tls",
		begin: (*faultTest).forgetName, end: (*faultTest).repair,
		does: sinkFails, waits: "queued", status: "no such host", unread: faultRecords,
	},
	{
		name: "the receiver's certificate has expired", sink: "tls",
		begin: (*faultTest).expire, end: (*faultTest).repair,
		does: sinkFails, waits: "queued", status: "certificate has expired or is not yet valid", unread: faultRecords,
	},
	{
		name: "the client's key is wrong", sink: "tls",
		begin: (*faultTest).distrust, end: (*faultTest).repair,
		does: sinkFails, waits: "queued", status: "unknown certificate authority", unread: faultRecords,
	},
}

// faultRecords are sent before a fault, while it lasts, and after it.
const faultRecords = 300

// works is what status contains if the sink "unix" does not fail.
const works = "/relay.sock, works, "

// slowRate is that of a slow peer, in bytes per second.
const slowRate = 32 << 10

// recoveryTime is longer than the longest wait between two retries.
const recoveryTime = 2 * time.Minute

// TestFaults has every fault happen to a sink, while another sink writes files. It checks what
// the row states, and that the peer gets every record that the ledger counts as delivered, in
// order, and once unless its container was repeated; that the other sink has all records; and
// that no write of the resolver waits.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, row := range faults {
		t.Run(row.sink+": "+row.name, func(t *testing.T) {
			t.Parallel()
			f := newFaultTest(t, row)
			f.write(t, faultRecords)
			f.awaitDelivered(t)
			row.begin(f, t)
			f.write(t, max(row.records, faultRecords))
			f.checkDuring(t)
			row.end(f, t)
			f.write(t, faultRecords)
			f.awaitDelivered(t)
			f.awaitHealth(t)
			f.checkAfter(t)
		})
	}
}

// A faultTest is a sensor with a sink that has a fault, and the peer of that sink.
type faultTest struct {
	*diskTest // the file system of the spool
	row       fault
	relay     *lab.Relay             // through which the sink reaches its peer
	address   atomic.Pointer[net.IP] // of the peer's name
	ca        *lab.Authority
	disk      *diskFaults
	server    *submissionServer // of the sink "wss"
	kafka     *kafkaCluster     // of the sinks "kafka"
	capture   *lab.Capture      // of the other sinks
}

func newFaultTest(t *testing.T, row fault) *faultTest {
	t.Helper()
	f := &faultTest{diskTest: newDiskTestIn(t, "spool"), row: row}
	if row.mount != nil {
		row.mount(f, t)
	}
	serveName(t, f.namespace, submissionName+".", &f.address)
	f.ca = lab.NewAuthority(t, f.dir, "ca")
	f.ca.Issue(t, f.dir, clientName)
	config := f.startPeer(t)
	f.repair(t)
	f.run(t, unixSource+exactTimes+fileSink("first", "dnsqr")+config+"admin {}\n")
	f.resolver = newBusyResolver(t, f.sensor)
	return f
}

const clientName = "client.example"

// startPeer starts the peer of the sink, and returns the sink's configuration. The default queue
// holds every record.
func (f *faultTest) startPeer(t *testing.T) string {
	t.Helper()
	common := "flush = \"20ms\"\n"
	if f.row.lost == "queue_full" {
		common += "queue = \"1MiB\"\n"
	}
	secured := fmt.Sprintf("tls {\nca = %q\ncert = \"DIR/%[2]s.cert.pem\"\nkey = \"DIR/%[2]s.key.pem\"\n}\n", f.ca.Path, clientName)
	if f.row.sink == "wss" {
		f.server = startSubmissionServer(t, f.namespace, submissionKey)
		f.relay = f.namespace.StartRelay(t, submissionAddr, serverAddr)
		f.writeKey(t, submissionKey)
		return "sink \"nmsg\" \"second\" {\nto = \"" + submissionTo + "\"\nchannel = 202\napi_key = file(\"DIR/api.key\")\n" +
			common + secured + "spool {\ndir = \"DIR/spool\"\nmax_bytes = \"64MiB\"\n}\n}\n"
	}
	if f.isKafka() {
		return f.startKafka(t, common+secured)
	}
	f.capture = f.namespace.StartCapture(t, "captured")
	listen, to := submissionAddr, "tcp://"+submissionName+":8443"
	if f.row.sink == "unix" {
		listen = filepath.Join(f.dir, "relay.sock")
		to, secured = "unix://"+listen, ""
	}
	f.relay = f.namespace.StartRelay(t, listen, f.capture.Socket)
	return fmt.Sprintf("sink \"dnstap\" \"second\" {\nto = %q\n%s%s}\n", to, common, secured)
}

// repair gives the peer an address, a certificate and a link without fault.
func (f *faultTest) repair(t *testing.T) {
	t.Helper()
	f.address.Store(&net.IP{127, 0, 0, 1})
	if f.row.sink != "unix" {
		f.secure(t, time.Now().Add(time.Hour), f.ca)
	}
	f.relay.SetRate(0)
	f.relay.Set(t, lab.NoFault)
}

// secure gives the peer another certificate, and the CA of its clients.
func (f *faultTest) secure(t *testing.T, expires time.Time, clients *lab.Authority) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.ca.IssueUntil(t, f.dir, submissionName, expires))
	if err != nil {
		t.Fatal(err)
	}
	f.relay.Secure(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool(t, clients.Path)})
}

// forgetName removes the peer's name, and ends its connections.
func (f *faultTest) forgetName(*testing.T) {
	f.address.Store(nil)
	f.relay.Drop()
}

// expire lets the peer's certificate expire, and ends its connections.
func (f *faultTest) expire(t *testing.T) {
	t.Helper()
	f.secure(t, time.Now().Add(-time.Minute), f.ca)
	f.relay.Drop()
}

// distrust has the peer trust clients of another CA only, and ends its connections.
func (f *faultTest) distrust(t *testing.T) {
	t.Helper()
	f.secure(t, time.Now().Add(time.Hour), lab.NewAuthority(t, f.dir, "other"))
	f.relay.Drop()
}

// mountSmall mounts a file system without room for the records of a fault.
func (f *faultTest) mountSmall(t *testing.T) { f.mountImage(t, 8<<20) }

// mountFailing mounts a file system whose writes can fail.
func (f *faultTest) mountFailing(t *testing.T) { f.disk = f.mountFaulty(t) }

// mountInodes mounts a file system with few inodes.
func (f *faultTest) mountInodes(t *testing.T) {
	t.Helper()
	f.namespace.Do(t, func() error {
		return unix.Mount("tmpfs", f.folder(), "tmpfs", 0, "nr_inodes=20,mode=755")
	})
}

// useInodes makes files until there are no more inodes.
func (f *faultTest) useInodes(t *testing.T) {
	t.Helper()
	for i := 0; ; i++ {
		err := os.WriteFile(f.namespace.Inside(filepath.Join(f.folder(), fmt.Sprint(otherFile, i))), nil, 0o600)
		if errors.Is(err, unix.ENOSPC) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// empty removes the files that fill the disk or use its inodes.
func (f *faultTest) empty(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(f.namespace.Inside(filepath.Join(f.folder(), otherFile+"*")))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

// sinkNow returns the account of the sink with the fault, whose sums are checked.
func (f *faultTest) sinkNow(t *testing.T) delivery {
	t.Helper()
	return f.readLedger(t).sink("second")
}

// awaitDelivered returns when every record is delivered, or lost as the row states.
func (f *faultTest) awaitDelivered(t *testing.T) {
	t.Helper()
	var s delivery
	defer func() {
		if t.Failed() {
			t.Logf("the sink has %+v", s)
		}
	}()
	awaitFor(t, "every record to be delivered", recoveryTime, func() bool {
		s = f.sinkNow(t)
		return s.Offered == uint64(f.resolver.sent) && s.Delivered+s.Lost[f.row.lost] == s.Offered
	})
}

// checkDuring checks the log, the ledger and the status during the fault.
func (f *faultTest) checkDuring(t *testing.T) {
	t.Helper()
	if f.row.does != "" {
		f.awaitLog(t, f.row.does, 1)
	}
	var s delivery
	awaitFor(t, "records to be "+f.row.waits, recoveryTime, func() bool {
		s = f.sinkNow(t)
		waiting := map[string]uint64{"queued": s.Queued, "spooled": s.Spooled}[f.row.waits]
		return s.Offered == uint64(f.resolver.sent) && waiting > 0 && (f.row.lost == "" || s.Lost[f.row.lost] > 0)
	})
	if f.row.lost == "" && total(s.Lost) > 0 {
		t.Errorf("records were lost: %+v", s)
	}
	var text string
	awaitFor(t, "status to report the fault", recoveryTime, func() bool {
		text = f.status(t)
		return strings.Contains(text, f.row.status)
	})
	if !strings.Contains(text, "\nevery message and record is accounted for\n") {
		t.Errorf("status printed\n%s", text)
	}
}

// awaitHealth returns when status does not report the fault any more.
func (f *faultTest) awaitHealth(t *testing.T) {
	t.Helper()
	if f.row.status == works {
		return
	}
	awaitFor(t, "status to report no fault", recoveryTime, func() bool { return !strings.Contains(f.status(t), f.row.status) })
}

// checkAfter stops the sensor, and compares the peer's records, the files of the other sink and
// the closing ledger.
func (f *faultTest) checkAfter(t *testing.T) {
	t.Helper()
	closing := f.stop(t)
	sent := f.resolver.sent
	s, files := closing.sinks["second"], closing.sinks["first"]
	lost := int(s.Lost[f.row.lost])
	if f.row.lost == "" && total(s.Lost) > 0 || f.row.lost != "" && lost == 0 || s.Delivered+uint64(lost) != uint64(sent) {
		t.Errorf("%d records sent; the ledger has %+v", sent, s)
	}
	names := f.received(t)
	checkNames(t, names, sent, lost+f.row.unread)
	if first := fmt.Sprintf("h%d.example.com.", sent-faultRecords); len(names) < faultRecords || names[len(names)-faultRecords] != first {
		t.Errorf("not every record came that was sent after the fault")
	}
	if files.Delivered != uint64(sent) {
		t.Errorf("the other sink has %+v of %d records", files, sent)
	}
	checkOnce(t, namesIn(t, filepath.Join(f.dir, "first")), 0, sent)
	if f.resolver.longest > longestStall {
		t.Errorf("a write of the resolver was blocked for %v", f.resolver.longest)
	}
	t.Logf("%d records sent, %d came, %d lost", sent, len(names), lost)
}

// received returns the names of the records that the peer got, in order.
func (f *faultTest) received(t *testing.T) (names []string) {
	t.Helper()
	if f.row.sink == "wss" {
		f.server.Stop(t)
		once, repeated := f.server.received(t)
		t.Logf("%d containers came again", repeated)
		if f.row.lost == "" {
			readOutput(t, once) // checks the sequence
		}
		return namesOf(t, once)
	}
	if f.isKafka() {
		return f.receivedByKafka(t)
	}
	f.capture.Stop(t)
	for _, d := range captured(t, f.capture.File) {
		m := new(dns.Msg)
		if err := m.Unpack(d.Message.ResponseMessage); err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Question[0].Name)
	}
	return names
}
