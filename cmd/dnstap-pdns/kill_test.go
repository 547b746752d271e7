package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A crashTest is the folder of a sensor that a test kills repeatedly.
type crashTest struct {
	dir  string
	next int // number of the next name
}

// newCrashTest writes the configuration of a sensor: a source, and then more, in which DIR is
// replaced by the folder.
func newCrashTest(t *testing.T, more string) *crashTest {
	t.Helper()
	c := &crashTest{dir: t.TempDir()}
	if err := os.Mkdir(c.path("out"), 0o700); err != nil {
		t.Fatal(err)
	}
	const hcl = `
source "dnstap" "a" {
  listen = "unix://DIR/tap.sock"
}
admin {
  listen = ""
}
`
	if err := os.WriteFile(c.path("c.hcl"), []byte(strings.ReplaceAll(hcl+more, "DIR", c.dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *crashTest) path(name string) string { return filepath.Join(c.dir, name) }

// start runs the sensor, and returns when it listens.
func (c *crashTest) start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("dnstap-pdns", "run", "-c", c.path("c.hcl"))
	var log bytes.Buffer
	cmd.Stderr = &log
	cmd.WaitDelay = time.Second // a command of on_rotate may outlive it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the log of the sensor:\n%s", &log)
		}
	})
	awaitSocket(t, c.path("tap.sock"))
	return cmd
}

// connect connects to the sensor and performs the handshake.
func (c *crashTest) connect(t *testing.T) (net.Conn, *framestream.Writer, error) {
	conn, err := net.Dial("unix", c.path("tap.sock"))
	if err != nil {
		t.Error(err)
		return nil, nil, err
	}
	w, err := framestream.NewWriter(conn, &framestream.WriterOptions{
		ContentTypes:  [][]byte{dnstap.FSContentType},
		Bidirectional: true,
		Timeout:       patience,
	})
	if err != nil {
		conn.Close()
	}
	return conn, w, err
}

// feed sends responses, each about another name, until the sensor ends.
func (c *crashTest) feed(t *testing.T) {
	conn, w, err := c.connect(t)
	if err != nil {
		return // the sensor was killed meanwhile
	}
	defer conn.Close()
	for {
		if _, err := w.WriteFrame(response(t, fmt.Sprintf("n%d.example.com.", c.next))); err != nil {
			return
		}
		if c.next++; c.next%20 == 0 && w.Flush() != nil {
			return
		}
	}
}

// response returns a frame with a response of a server about a name.
func response(t *testing.T, name string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Response, m.RecursionDesired, m.Authoritative = true, false, true
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(203, 0, 113, 1)}}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	now := uint64(time.Now().Unix())
	frame, err := proto.Marshal(&dnstap.Dnstap{
		Type: dnstap.Dnstap_MESSAGE.Enum(),
		Message: &dnstap.Message{
			Type:            dnstap.Message_RESOLVER_RESPONSE.Enum(),
			SocketFamily:    dnstap.SocketFamily_INET.Enum(),
			SocketProtocol:  dnstap.SocketProtocol_UDP.Enum(),
			QueryAddress:    net.IPv4(192, 0, 2, 53).To4(),
			ResponseAddress: net.IPv4(198, 51, 100, 53).To4(),
			ResponsePort:    proto.Uint32(53),
			QueryTimeSec:    &now,
			QueryTimeNsec:   proto.Uint32(0),
			ResponseTimeSec: &now, ResponseTimeNsec: proto.Uint32(0),
			ResponseMessage: wire,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// delivered counts the names in all published files, and in the whole containers of the
// unfinished file. The test fails if a published file cannot be read to its end.
func (c *crashTest) delivered(t *testing.T) map[string]int {
	t.Helper()
	entries, err := os.ReadDir(c.path("out"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]int{}
	for _, e := range entries {
		b, err := os.ReadFile(c.path("out/" + e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(e.Name(), ".") {
			whole, err := nmsg.Whole(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			b = b[:whole]
		}
		r := nmsg.NewReader(bytes.NewReader(b))
		for {
			m, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s is not a whole file: %v", e.Name(), err)
			}
			q, err := nmsg.DecodeDNSQR(m.Data)
			if err != nil {
				t.Fatalf("%s: %v", e.Name(), err)
			}
			names[string(q.QName)]++
		}
	}
	return names
}

// TestKilledSensorLosesNothingThatWasWritten kills the sensor at random moments and starts it
// again. Each record that was completely written must be in one published file, once.
func TestKilledSensorLosesNothingThatWasWritten(t *testing.T) {
	for _, zlib := range []bool{false, true} {
		t.Run(fmt.Sprintf("zlib=%v", zlib), func(t *testing.T) {
			c := newCrashTest(t, fmt.Sprintf(`
sink "nmsg" "files" {
  to          = "file://DIR/out/%%Y%%m%%dT%%H%%M%%S.nmsg"
  flush       = "1ms"
  zlib        = %v
  rotate      = "1s"
  rotate_size = "1MiB"
  on_rotate   = ["/bin/sh", "-c", "grep SigIgn /proc/self/status >>$0; echo $1 >>$0", "DIR/rotated"]
}
`, zlib))
			before := map[string]int{}
			crashes := 0 // that left an unfinished file
			enough := func() bool { return crashes >= 3 && len(before) >= 100 }
			const kills = 10
			killed := 0
			for ; killed < kills || !enough() && killed < 10*kills; killed++ {
				cmd := c.start(t)
				fed := make(chan struct{})
				go func() {
					defer close(fed)
					c.feed(t)
				}()
				delayFor(rand.N(400 * time.Millisecond))
				cmd.Process.Signal(syscall.SIGKILL)
				cmd.Wait()
				<-fed
				c.checkRotated(t)
				crashes += min(len(c.unfinished(t)), 1)
				names := c.delivered(t)
				c.compare(t, before, names)
				before = names
			}
			cmd := c.start(t)
			await(t, "every file is published, and on_rotate has run for it", func() bool {
				return len(c.unfinished(t)) == 0 && len(c.marks(t)) == 0
			})
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			after := c.delivered(t)
			if unfinished := c.unfinished(t); len(unfinished) > 0 || len(after) != len(before) {
				t.Errorf("%d names and unfinished files %v, want %d names and none", len(after), unfinished, len(before))
			}
			c.compare(t, before, after)
			t.Logf("%d kills, %d left an unfinished file, %d records", killed, crashes, len(after))
			if !enough() {
				t.Errorf("%d crashes left an unfinished file, %d records in all: the test shows nothing", crashes, len(after))
			}
			rotated := c.checkRotated(t)
			if ignored, err := ignoredSignals(rotated); err != nil || ignored&(1<<(syscall.SIGPIPE-1)) != 0 {
				t.Errorf("on_rotate ignores %#x, SIGPIPE among them: %v", ignored, err)
			}
		})
	}
}

// ignoredSignals reads the set of ignored signals from /proc/PID/status.
func ignoredSignals(status []byte) (set uint64, err error) {
	_, at, _ := bytes.Cut(status, []byte("SigIgn:"))
	_, err = fmt.Fscanf(bytes.NewReader(at), "%x", &set)
	return set, err
}

// unfinished returns the files that were not published.
func (c *crashTest) unfinished(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(c.path("out/.*.part"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// marks returns the marks of files for which on_rotate has not succeeded.
func (c *crashTest) marks(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(c.path("out/.*.rotate"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkRotated returns the output of on_rotate, and fails the test unless the command has run
// for every published file that has no mark.
func (c *crashTest) checkRotated(t *testing.T) []byte {
	t.Helper()
	files, err := filepath.Glob(c.path("out/*.nmsg"))
	if err != nil {
		t.Fatal(err)
	}
	marks := c.marks(t)
	rotated, err := os.ReadFile(c.path("rotated"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, path := range files {
		mark := c.path("out/." + filepath.Base(path) + ".rotate")
		if !slices.Contains(marks, mark) && !bytes.Contains(rotated, []byte(path+"\n")) {
			t.Errorf("on_rotate has not run for %s", path)
		}
	}
	return rotated
}

// compare fails the test unless all names of before are in after, each once.
func (c *crashTest) compare(t *testing.T, before, after map[string]int) {
	t.Helper()
	for name, n := range after {
		if n != 1 {
			t.Errorf("%q was delivered %d times", name, n)
		}
	}
	for name := range before {
		if after[name] == 0 {
			t.Errorf("%q is lost", name)
		}
	}
}
