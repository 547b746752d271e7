package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

const (
	vectors  = "../../forward/nmsg/testdata/"
	patience = 30 * time.Second
)

// A process runs a command as users do.
type process struct {
	*exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stdout io.Closer
	errs   bytes.Buffer  // standard error, complete after end
	closed chan struct{} // closed when errs is complete; nil: Wait waits for errs
}

func startCommand(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("dnstap-pdns", args...)}
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out, p.stdout = in, bufio.NewReader(out), out
	p.Stderr = &p.errs
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { p.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		p.Process.Kill()
	})
	return p
}

// line returns the next line of its output.
func (p *process) line(t *testing.T) string {
	t.Helper()
	l, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatalf("a line of output is missing: %q, %v", l, err)
	}
	return strings.TrimSuffix(l, "\n")
}

// end waits for its end and returns the exit code, -1 after a signal.
func (p *process) end(t *testing.T) int {
	t.Helper()
	if p.closed != nil {
		<-p.closed
	}
	var exit *exec.ExitError
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

func vector(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(vectors + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCatPrintsMessagesOfAPipeThatStaysOpen(t *testing.T) {
	want := strings.Split(string(vector(t, "dnsobs.json")), "\n")
	whole := vector(t, "dnsobs.nmsg")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, input := range []string{"-", fifo} {
		p := startCommand(t, "cat", "--json", input)
		if input == fifo {
			var err error
			if p.in, err = os.OpenFile(fifo, os.O_WRONLY, 0); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the pipe stays open
			if _, err := p.in.Write(whole); err != nil {
				t.Fatal(err)
			}
			for i := range len(want) - 1 {
				if got := p.line(t); got != want[i] {
					t.Errorf("%s: got  %s\nwant %s", input, got, want[i])
				}
			}
		}
		p.in.Close()
		if code := p.end(t); code != exitDone || !onlyGaps(p.errs.String()) {
			t.Errorf("%s: exit %d: %s", input, code, &p.errs)
		}
	}
}

func onlyGaps(text string) bool {
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "are missing before number") {
			return false
		}
	}
	return true
}

func TestCatIsKilledBySIGPIPE(t *testing.T) {
	p := startCommand(t, "cat", "-")
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for whole := vector(t, "unbound-dnsqr.nmsg"); ; {
			if _, err := p.in.Write(whole); err != nil {
				return
			}
		}
	}()
	p.line(t)
	p.stdout.Close()
	p.end(t)
	<-stop
	if status := p.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE || !onlyGaps(p.errs.String()) {
		t.Errorf("%v, want SIGPIPE: %s", p.ProcessState, &p.errs)
	}
}

// listen starts cat on a free port, and returns a socket that sends to it.
func listen(t *testing.T) (*process, net.Conn) {
	t.Helper()
	p := &process{Cmd: exec.Command("dnstap-pdns", "cat", "--json", "udp://127.0.0.1:0"), closed: make(chan struct{})}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { p.Process.Kill() })
	errs := bufio.NewReader(stderr)
	first, err := errs.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(first), "udp://")
	go func() {
		defer close(p.closed)
		io.Copy(&p.errs, errs)
	}()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		timer.Stop()
		conn.Close()
		p.Process.Kill()
		<-p.closed
	})
	return p, conn
}

func TestCatPrintsDatagramsUntilASignal(t *testing.T) {
	container := vector(t, "unbound-dnsqr.nmsg") // one container
	want := strings.Split(string(vector(t, "unbound-dnsqr.json")), "\n")
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p, conn := listen(t)
		send := func(datagrams ...[]byte) {
			for _, d := range datagrams {
				if _, err := conn.Write(d); err != nil {
					t.Fatal(err)
				}
			}
		}
		hostile := [][]byte{
			{}, []byte("NMSG"), []byte("no NMSG at all"), bytes.Repeat([]byte{0xff}, 60_000),
			[]byte("NMSG\x01\x02\xff\xff\xff\xff\x1b[31m"), container[:len(container)-1],
			append(bytes.Clone(container[:10]), bytes.Repeat([]byte{0x0a}, len(container)-10)...),
		}
		for round := range 3 {
			fragments := fragmentsOf(container, uint32(round))
			send(fragments[1:]...)
			send(hostile...)
			send(fragments[0], fragments[0])
			for i := range len(want) - 1 {
				if got := p.line(t); got != want[i] {
					t.Fatalf("round %d: got  %s\nwant %s", round, got, want[i])
				}
			}
		}
		p.Process.Signal(signal)
		rest, err := io.ReadAll(p.out)
		if code := p.end(t); code != exitDone || len(rest) > 0 || err != nil {
			t.Errorf("%v: exit %d, then %q, %v", signal, code, rest, err)
		}
	}
}

func fragmentsOf(container []byte, id uint32) (all [][]byte) {
	b, ends := nmsg.AppendFragments(nil, nil, container, 1280, id)
	at := 0
	for _, end := range ends {
		all = append(all, b[at:end])
		at = end
	}
	return all
}

func TestCatReportsMissingContainers(t *testing.T) {
	var c nmsg.Container
	container := func(seq uint32) []byte {
		const id = 1<<63 | 5
		b := c.Seal(c.Begin(nil), id)
		nmsg.SetSequence(b, id, seq)
		return b
	}
	p, conn := listen(t)
	for _, seq := range []uint32{10, 11, 14} {
		conn.Write(container(seq))
	}
	conn.Write(vector(t, "dnsobs.nmsg"))
	p.line(t) // the containers before it were read
	p.Process.Signal(os.Interrupt)
	io.Copy(io.Discard, p.out)
	if code := p.end(t); code != exitDone ||
		!strings.Contains(p.errs.String(), "2 containers of writer 8000000000000005 are missing before number 14") {
		t.Errorf("exit %d: %s", code, &p.errs)
	}
}

// account parses the ledger that replay prints.
func account(t *testing.T, text string) map[string]int {
	t.Helper()
	l := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+) +(\d+) `).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		l[m[1]] = n
	}
	return l
}

func TestReplayReportsAClosedPipe(t *testing.T) {
	args := []string{"replay", "--to", "stdout:"}
	for range 100 { // far more than a pipe holds
		args = append(args, "demo.fstrm")
	}
	p := startCommand(t, args...)
	io.CopyN(io.Discard, p.out, 100)
	p.stdout.Close()
	code := p.end(t)
	errs := p.errs.String()
	if code != exitFailed ||
		!strings.HasSuffix(errs, "\ndnstap-pdns replay: sink \"to\": writing to standard output failed: write /dev/stdout: broken pipe\n") {
		t.Errorf("exit %d: %s", code, errs)
	}
	l := account(t, errs)
	if l["offered"] == 0 || l["failed"] == 0 || l["offered"] != l["delivered"]+l["failed"] || l["records"] != l["offered"] {
		t.Errorf("the ledger does not add up: %v", l)
	}
}

func TestRunEndsWhenItsPipeIsClosed(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "tap.sock")
	config := filepath.Join(dir, "c.hcl")
	hcl := fmt.Sprintf("source \"dnstap\" \"a\" {\n listen = \"unix://%s\"\n}\nsink \"nmsg\" \"out\" {\n to = \"stdout:\"\n flush = \"1ms\"\n}\nadmin {\n listen = \"\"\n}\n", socket)
	if err := os.WriteFile(config, []byte(hcl), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startCommand(t, "run", "-c", config)
	awaitSocket(t, socket)
	if _, err := playCapture(t.Context(), socket); err != nil {
		t.Fatal(err)
	}
	io.CopyN(io.Discard, p.out, 100)
	p.stdout.Close()
	if _, err := playCapture(t.Context(), socket); err != nil {
		t.Logf("the sensor ended during the second capture: %v", err)
	}
	code := p.end(t)
	errs := p.errs.String()
	if code != exitFailed ||
		!strings.HasSuffix(errs, "\ndnstap-pdns run: sink \"out\": writing to standard output failed: write /dev/stdout: broken pipe\n") {
		t.Errorf("exit %d: %s", code, errs)
	}
	m := regexp.MustCompile(`sink\.out\.offered=(\d+) sink\.out\.resumed=0 sink\.out\.delivered=(\d+) sink\.out\.written=0 sink\.out\.queued=0 sink\.out\.spooled=0 sink\.out\.filtered=0 sink\.out\.lost\.failed=(\d+)`).FindStringSubmatch(errs)
	if m == nil {
		t.Fatalf("no ledger, or nothing lost: %s", errs)
	}
	offered, _ := strconv.Atoi(m[1])
	delivered, _ := strconv.Atoi(m[2])
	lost, _ := strconv.Atoi(m[3])
	if offered != delivered+lost {
		t.Errorf("the ledger does not add up: %s", errs)
	}
}

func awaitSocket(t *testing.T, path string) {
	t.Helper()
	await(t, "the sensor listens", func() bool {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// await polls until a condition holds that another process or goroutine brings about.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// delayFor waits while another process works.
func delayFor(d time.Duration) { time.Sleep(d) }

// later returns the packets of a little-endian capture with their times moved by seconds.
func later(capture []byte, seconds uint32) []byte {
	const fileHeader, packetHeader = 24, 16
	b := bytes.Clone(capture[fileHeader:])
	for at := 0; at < len(b); at += packetHeader + int(binary.LittleEndian.Uint32(b[at+8:])) {
		binary.LittleEndian.PutUint32(b[at:], binary.LittleEndian.Uint32(b[at:])+seconds)
	}
	return b
}

// TestReplaySendsPacketsOfAPipeThatStaysOpen, which tcpdump may write.
func TestReplaySendsPacketsOfAPipeThatStaysOpen(t *testing.T) {
	capture, err := os.ReadFile("testdata/unbound.pcap")
	if err != nil {
		t.Fatal(err)
	}
	p := startCommand(t, "replay", "--to", "stdout:", "--resolvers", "192.0.2.53,2001:db8:53::53", "-")
	write := func(b []byte) {
		for piece := range slices.Chunk(b, 7001) { // pieces begin and end within packets
			if _, err := p.in.Write(piece); err != nil {
				t.Fatal(err)
			}
			delayFor(time.Millisecond)
		}
	}
	write(capture)
	const times = 50 // more records than a container takes
	for i := range uint32(times) {
		write(later(capture, 40*(i+1)))
	}
	first := make([]byte, 4)
	if _, err := io.ReadFull(p.out, first); err != nil || string(first) != "NMSG" {
		t.Fatalf("with the pipe still open: %q, %v", first, err)
	}
	go io.Copy(io.Discard, p.out)
	p.in.Close()
	code := p.end(t)
	if n, want := account(t, p.errs.String())["packets"], 384*(1+times); code != exitDone || n != want {
		t.Errorf("exit %d, %d packets, want %d: %s", code, n, want, &p.errs)
	}
}
