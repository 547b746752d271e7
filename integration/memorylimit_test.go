package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A memoryGroup is a cgroup with a memory limit.
type memoryGroup struct{ dir, limit string }

// newMemoryGroup makes a cgroup below the root, in version 2 or 1.
func newMemoryGroup(t *testing.T) memoryGroup {
	t.Helper()
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("dnstap-pdns-test-%d", os.Getpid())
	g := memoryGroup{filepath.Join(root, "memory", name), "memory.limit_in_bytes"}
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		g = memoryGroup{filepath.Join(root, name), "memory.max"}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatalf("%v (the test needs root and a writable cgroup file system)", err)
	}
	t.Cleanup(func() { // the sensor, which ended before, leaves the cgroup after a moment
		await(t, "the cgroup is empty", func() bool { return os.Remove(g.dir) == nil })
	})
	return g
}

func (g memoryGroup) setLimit(t *testing.T, mib int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, g.limit), []byte(strconv.Itoa(mib<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// command returns a command that runs in the cgroup.
func (g memoryGroup) command(program string, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", `echo 0 > "$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), program}, args...)...)
}

// TestConfigurationThatFitsIsNotKilled: with the limit that check asks for, a sensor survives the
// worst that its configuration allows: four sinks that fail and whose queues are full, the largest
// number of connections, each with the largest frame, and a full pairing table.
func TestConfigurationThatFitsIsNotKilled(t *testing.T) {
	t.Parallel()
	const connections, queries = 64, 131072
	n := lab.NewNamespace(t)
	config := unixSource + site + "admin {}\n"
	sinks := []string{"a", "b", "c", "d"}
	for _, name := range sinks {
		config += fileSink(name, "dnsqr")
	}
	g := newMemoryGroup(t)
	binary := plainSensor(t)
	s := &sensor{namespace: n, dir: n.Dir, config: filepath.Join(n.Dir, "sensor.hcl")}
	s.configure(t, config)
	for _, name := range sinks {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g.setLimit(t, 64)
	warning := regexp.MustCompile(`the configuration allows (\d+) MiB of memory, and the memory limit of the cgroup is 64 MiB: `)
	out, err := g.command(binary, "check", "-c", s.config).CombinedOutput()
	needed := warning.FindSubmatch(out)
	if err != nil || needed == nil {
		t.Fatalf("check does not warn: %v\n%s", err, out)
	}
	limit, err := strconv.Atoi(string(needed[1]))
	if err != nil {
		t.Fatal(err)
	}
	g.setLimit(t, limit)
	if out, err := g.command(binary, "check", "-c", s.config).CombinedOutput(); err != nil || strings.Contains(string(out), "MiB of memory") {
		t.Errorf("check with %d MiB: %v\n%s", limit, err, out)
	}

	s.Process = n.Start(t, "sensor", g.command(binary, "run", "-c", s.config))
	s.awaitLog(t, "started", 1)
	soft := regexp.MustCompile(`(?m)^go_gc_gomemlimit_bytes (\S+)$`).FindSubmatch(s.get(t, "/metrics"))
	if soft == nil {
		t.Fatal("no limit of the Go runtime in /metrics")
	}
	if n, err := strconv.ParseFloat(string(soft[1]), 64); err != nil || int(n) != limit<<20/10*9 {
		t.Errorf("the limit of the Go runtime is %s, want nine tenths of %d MiB", soft[1], limit)
	}
	for _, name := range sinks {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range connections {
		nc := dialTap(t, s)
		all.Go(func() { burden(t, nc, i, queries/connections) })
	}
	all.Wait()
	await(t, "every queue is full", func() bool {
		if s.Ended() {
			t.Fatal("the sensor has ended")
		}
		b := s.readLedger(t)
		for _, name := range sinks {
			if b.sink(name).Lost["queue_full"] == 0 {
				return false
			}
		}
		return true
	})
	t.Logf("limit %d MiB, peak RSS %d MiB", limit, residentPeak(t, s)>>20)
	s.Kill()
}

// burden sends queries without responses, responses that fill half a batch, and most of the
// largest frame.
func burden(t *testing.T, nc net.Conn, number, queries int) {
	var in bytes.Buffer
	if err := encode(&in, framestream.ControlFrame{ControlType: framestream.CONTROL_START, ContentTypes: [][]byte{dnstap.FSContentType}}); err != nil {
		t.Error(err)
		return
	}
	add := func(frame []byte) {
		in.Write(binary.BigEndian.AppendUint32(nil, uint32(len(frame))))
		in.Write(frame)
	}
	for i := range queries {
		add(messageFrame(t, dnstap.Message_RESOLVER_QUERY, i, fmt.Sprintf("q%d.c%d.example.com.", i, number), 0))
	}
	for i := range 16 {
		add(messageFrame(t, dnstap.Message_RESOLVER_RESPONSE, i, fmt.Sprintf("r%d.c%d.example.com.", i, number), 34<<10))
	}
	const maxFrame = 256 << 10
	in.Write(binary.BigEndian.AppendUint32(nil, maxFrame))
	in.Write(make([]byte, maxFrame-1))
	if _, err := nc.Write(in.Bytes()); err != nil {
		t.Error(err)
	}
}

// messageFrame returns a dnstap frame with a message about name, with text of about size octets.
func messageFrame(t *testing.T, kind dnstap.Message_Type, id int, name string, size int) []byte {
	m := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
	m.RecursionDesired, m.Id = false, uint16(id)
	for range size / 260 {
		m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 60}, Txt: []string{strings.Repeat("x", 240)}})
	}
	now := time.Now()
	d := &dnstap.Message{
		Type: kind.Enum(), SocketFamily: dnstap.SocketFamily_INET.Enum(), SocketProtocol: dnstap.SocketProtocol_TCP.Enum(),
		ResponseAddress: []byte{198, 51, 100, byte(id % 250)}, ResponsePort: proto.Uint32(53),
		QueryTimeSec: proto.Uint64(uint64(now.Unix())), QueryTimeNsec: proto.Uint32(0),
	}
	if m.Response = kind == dnstap.Message_RESOLVER_RESPONSE; m.Response {
		d.ResponseAddress = []byte{203, 0, 113, 53} // no query to it is pending
	}
	wire, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	if m.Response {
		d.ResponseTimeSec, d.ResponseTimeNsec, d.ResponseMessage = proto.Uint64(uint64(now.Unix())), proto.Uint32(uint32(now.Nanosecond())), wire
	} else {
		d.QueryMessage = wire
	}
	b, err := proto.Marshal(&dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Message: d})
	if err != nil {
		t.Error(err)
	}
	return b
}
