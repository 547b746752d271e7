package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	crowd          = 10_000    // connections
	maxConnections = 64        // the default
	maxFrame       = 256 << 10 // the default
	buffer         = 64 << 10  // of each connection
	// idleMemory is much more than the memory of the sensor without connections, plus the garbage
	// of their buffers, in bytes.
	idleMemory = 64 << 20

	minBursts  = 200
	burstSize  = 10 // messages
	burstPause = 5 * time.Millisecond
	// longestStall is longer than a write takes on a busy machine, and shorter than a handshake
	// that times out.
	longestStall = 3 * time.Second
)

// TestTenThousandConnections checks that ten thousand connections, of which the accepted ones
// fill their buffers, use bounded memory and do not delay a connected resolver.
func TestTenThousandConnections(t *testing.T) {
	allowFiles(t, crowd+1000)
	n := lab.NewNamespace(t)
	s := startPlainSensor(t, n, unixSource+fileSink("first", "dnsqr")+"log {\n level = \"info\"\n format = \"json\"\n}\n")
	before := residentPeak(t, s)

	resolver := newBusyResolver(t, s)
	s.awaitLog(t, connected, 1) // before that it could be evicted, as one of many handshakes
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	all := make(chan struct{})
	wg.Go(func() { openCrowd(ctx, t, s.tapPath(), all) })
	resolver.run(t, all)
	cancel()
	wg.Wait()

	if resolver.longest > longestStall {
		t.Errorf("a write of the resolver was blocked for %v", resolver.longest)
	}
	bound := before + maxConnections*(buffer+maxFrame)*2 + idleMemory
	peak := residentPeak(t, s)
	t.Logf("longest write %v; peak RSS %d MiB, %d before, at most %d", resolver.longest, peak>>20, before>>20, bound>>20)
	if peak > bound {
		t.Errorf("peak RSS is %d bytes, want at most %d", peak, bound)
	}
	if lines := strings.Count(s.Log(t), "\n"); lines > 1000 {
		t.Errorf("%d log lines about %d connections", lines, crowd)
	}
	closing := s.stop(t)
	if closing.Records != uint64(resolver.sent) {
		t.Errorf("%d records from the resolver's %d responses", closing.Records, resolver.sent)
	}
}

// allowFiles raises the test process's limit of open files.
func allowFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = max(limit.Cur, n)
	limit.Max = max(limit.Max, n)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("raise the limit of open files to %d: %v", n, err)
	}
}

// startPlainSensor runs a binary without the race detector, which needs several times the memory.
func startPlainSensor(t *testing.T, n *lab.Namespace, config string) *sensor {
	t.Helper()
	s := newSensor(t, n)
	s.configure(t, config)
	s.Process = n.Start(t, "sensor", exec.Command(plainSensor(t), "run", "-c", s.config))
	s.awaitLog(t, "started", 1)
	return s
}

// residentPeak returns the sensor's peak resident memory, in bytes.
func residentPeak(t *testing.T, s *sensor) int {
	t.Helper()
	return memoryStatus(t, s, "VmHWM:")
}

// memoryStatus returns a field of proc_pid_status(5) that is in KiB, in bytes.
func memoryStatus(t *testing.T, s *sensor, field string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), field)
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// openCrowd opens the crowd's connections, closes all when they are open, and closes them when
// ctx ends. Each sends START and an incomplete frame of the largest size.
func openCrowd(ctx context.Context, t *testing.T, path string, all chan<- struct{}) {
	start := framestream.ControlFrame{ControlType: framestream.CONTROL_START, ContentTypes: [][]byte{dnstap.FSContentType}}
	var w bytes.Buffer
	if err := encode(&w, start); err != nil {
		t.Error(err)
		return
	}
	b := binary.BigEndian.AppendUint32(w.Bytes(), maxFrame)
	b = append(b, make([]byte, 100<<10)...)
	var open []net.Conn
	defer func() {
		for _, nc := range open {
			nc.Close()
		}
	}()
	for range crowd {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Error(err)
			return
		}
		nc.SetDeadline(time.Now().Add(time.Second))
		nc.Write(b) // fails if the connection was refused
		open = append(open, nc)
	}
	close(all)
	<-ctx.Done()
}

// busyResolver is a resolver that sends as many responses per second as a busy one.
type busyResolver struct {
	nc      net.Conn
	longest time.Duration // the longest write
	sent    int           // responses
}

// encode writes a control frame.
func encode(w io.Writer, f framestream.ControlFrame) error {
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// newBusyResolver connects and sends START.
func newBusyResolver(t *testing.T, s *sensor) *busyResolver {
	t.Helper()
	nc := dialTap(t, s)
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	for _, f := range []framestream.ControlFrame{
		{ControlType: framestream.CONTROL_READY, ContentTypes: [][]byte{dnstap.FSContentType}},
		{ControlType: framestream.CONTROL_START, ContentTypes: [][]byte{dnstap.FSContentType}},
	} {
		if err := encode(nc, f); err != nil {
			t.Fatal(err)
		}
	}
	return &busyResolver{nc: nc}
}

// run sends bursts until the crowd is connected, then sends STOP and waits for FINISH.
func (p *busyResolver) run(t *testing.T, all <-chan struct{}) {
	t.Helper()
	crowded := false
	for i := 0; i < minBursts || !crowded; i++ {
		select {
		case <-all:
			crowded = true
		default:
		}
		var burst []byte
		for range burstSize {
			frame := response(t, p.sent, 1)
			p.sent++
			burst = append(binary.BigEndian.AppendUint32(burst, uint32(len(frame))), frame...)
		}
		began := time.Now()
		if _, err := p.nc.Write(burst); err != nil {
			t.Fatal(err)
		}
		p.longest = max(p.longest, time.Since(began))
		delayFor(burstPause)
	}
	stop := framestream.ControlFrame{ControlType: framestream.CONTROL_STOP}
	if err := encode(p.nc, stop); err != nil {
		t.Fatal(err)
	}
	if answers, err := io.ReadAll(p.nc); err != nil || len(answers) != 42+12 { // an ACCEPT and a FINISH frame
		t.Errorf("%d bytes of ACCEPT and FINISH, %v", len(answers), err)
	}
}

// exampleZone is example.com. in wire form.
var exampleZone = []byte("\x07example\x03com\x00")

// response returns the i-th response of a server, with that many addresses, as a dnstap frame.
func response(t *testing.T, i, addresses int) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(fmt.Sprintf("h%d.example.com.", i), dns.TypeA)
	m.Response, m.RecursionDesired, m.Id = true, false, uint16(i)
	for n := range addresses {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
			A:   net.IPv4(198, 51, 100, byte(1+n)),
		})
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	b, err := proto.Marshal(&dnstap.Dnstap{
		Type: dnstap.Dnstap_MESSAGE.Enum(),
		Message: &dnstap.Message{
			Type:            dnstap.Message_RESOLVER_RESPONSE.Enum(),
			SocketFamily:    dnstap.SocketFamily_INET.Enum(),
			SocketProtocol:  dnstap.SocketProtocol_UDP.Enum(),
			ResponseAddress: []byte{198, 51, 100, 53}, ResponsePort: proto.Uint32(53),
			QueryTimeSec: proto.Uint64(uint64(now.Unix())), QueryTimeNsec: proto.Uint32(0),
			ResponseTimeSec: proto.Uint64(uint64(now.Unix())), ResponseTimeNsec: proto.Uint32(uint32(now.Nanosecond())),
			ResponseMessage: wire, QueryZone: exampleZone,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
