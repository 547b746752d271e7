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
	"path/filepath"
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
	// atRest is far more than the sensor has without connections, and garbage beside
	// what they hold.
	atRest = 64 << 20

	paceBursts = 200
	paceBurst  = 10 // messages
	pacePause  = 5 * time.Millisecond
	// held is more than a write takes on a busy machine, and less than a handshake
	// that does not end.
	held = 3 * time.Second
)

// Ten thousand connections, and those that get a place holding all they can, cost
// a bounded amount of memory and a resolver beside them nothing.
func TestTenThousandConnections(t *testing.T) {
	allowFiles(t, crowd+1000)
	n := lab.NewNamespace(t)
	s := startPlainSensor(t, n, unixSource+fileSink("first", "dnsqr")+"log {\n level = \"info\"\n format = \"json\"\n}\n")
	before := residentPeak(t, s)

	resolver := newPaced(t, s)
	s.awaitLog(t, connected, 1) // until then it may have to yield: its handshake is one of many
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	all := make(chan struct{})
	wg.Go(func() { besiege(ctx, t, s.tapPath(), all) })
	resolver.run(t, all)
	cancel()
	wg.Wait()

	if resolver.longest > held {
		t.Errorf("the resolver was held up for %v", resolver.longest)
	}
	bound := before + maxConnections*(buffer+maxFrame)*2 + atRest
	peak := residentPeak(t, s)
	t.Logf("longest write %v; peak RSS %d MiB, %d before, at most %d", resolver.longest, peak>>20, before>>20, bound>>20)
	if peak > bound {
		t.Errorf("%d bytes resident at the most, %d are allowed", peak, bound)
	}
	if lines := strings.Count(s.Log(t), "\n"); lines > 1000 {
		t.Errorf("%d log lines about %d connections", lines, crowd)
	}
	books := s.stop(t)
	if books.Records != uint64(resolver.sent) {
		t.Errorf("%d records of the resolver's %d responses", books.Records, resolver.sent)
	}
}

// allowFiles raises the test's own limit of open files.
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

// startPlainSensor runs the binary as it is shipped: the race detector takes
// several times the memory.
func startPlainSensor(t *testing.T, n *lab.Namespace, config string) *sensor {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "dnstap-pdns")
	if out, err := exec.Command("go", "build", "-o", binary, "../cmd/dnstap-pdns").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := &sensor{dir: n.Dir, config: filepath.Join(n.Dir, "sensor.hcl")}
	s.configure(t, config)
	s.Process = n.Start(t, "sensor", exec.Command(binary, "run", "-c", s.config))
	s.awaitLog(t, "started", 1)
	return s
}

// residentPeak is the most that the sensor had in memory so far, in bytes.
func residentPeak(t *testing.T, s *sensor) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// besiege opens the crowd's connections, closes all, and keeps them open until ctx
// ends. Each says START and begins a frame of the largest size that it never ends.
func besiege(ctx context.Context, t *testing.T, path string, all chan<- struct{}) {
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
		nc.Write(b) // fails where the connection is refused
		open = append(open, nc)
	}
	close(all)
	<-ctx.Done()
}

// paced is a resolver that sends as many responses a second as a busy one.
type paced struct {
	nc      net.Conn
	longest time.Duration // of a write
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

// newPaced connects and says START.
func newPaced(t *testing.T, s *sensor) *paced {
	t.Helper()
	nc, err := net.Dial("unix", s.tapPath())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	for _, f := range []framestream.ControlFrame{
		{ControlType: framestream.CONTROL_READY, ContentTypes: [][]byte{dnstap.FSContentType}},
		{ControlType: framestream.CONTROL_START, ContentTypes: [][]byte{dnstap.FSContentType}},
	} {
		if err := encode(nc, f); err != nil {
			t.Fatal(err)
		}
	}
	return &paced{nc: nc}
}

// run sends until the crowd is there, then STOP, and waits for FINISH.
func (p *paced) run(t *testing.T, all <-chan struct{}) {
	t.Helper()
	crowded := false
	for i := 0; i < paceBursts || !crowded; i++ {
		select {
		case <-all:
			crowded = true
		default:
		}
		var burst []byte
		for range paceBurst {
			frame := response(t, p.sent)
			p.sent++
			burst = append(binary.BigEndian.AppendUint32(burst, uint32(len(frame))), frame...)
		}
		began := time.Now()
		if _, err := p.nc.Write(burst); err != nil {
			t.Fatal(err)
		}
		p.longest = max(p.longest, time.Since(began))
		forAWhile(pacePause)
	}
	stop := framestream.ControlFrame{ControlType: framestream.CONTROL_STOP}
	if err := encode(p.nc, stop); err != nil {
		t.Fatal(err)
	}
	if answers, err := io.ReadAll(p.nc); err != nil || len(answers) != 42+12 {
		t.Errorf("%d bytes of ACCEPT and FINISH, %v", len(answers), err)
	}
}

// response is the i-th answer of a server's.
func response(t *testing.T, i int) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(fmt.Sprintf("h%d.example.com.", i), dns.TypeA)
	m.Response, m.RecursionDesired, m.Id = true, false, uint16(i)
	m.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
		A:   net.IPv4(198, 51, 100, 1),
	}}
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
			ResponseMessage: wire,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
