package integration

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// dialTap connects to the sensor's socket.
func dialTap(t *testing.T, s *sensor) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", s.tapPath())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// dataFrames returns n responses as data frames.
func dataFrames(t *testing.T, n int) []byte {
	t.Helper()
	var b []byte
	for i := range n {
		f := response(t, i, 1)
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
	}
	return b
}

// TestStreamOutOfStepIsClosed sends a wrong length and then many messages: the sensor closes
// the connection, says why, and has the messages before.
func TestStreamOutOfStepIsClosed(t *testing.T) {
	t.Parallel()
	s := startSensor(t, lab.NewNamespace(t), unixSource+exactTimes+fileSink("first", "dnsqr")+"admin {}\n")
	nc := dialTap(t, s)
	var in bytes.Buffer
	if err := encode(&in, framestream.ControlFrame{ControlType: framestream.CONTROL_START, ContentTypes: [][]byte{dnstap.FSContentType}}); err != nil {
		t.Fatal(err)
	}
	in.Write(dataFrames(t, 10))
	in.Write(binary.BigEndian.AppendUint32(nil, math.MaxUint32))
	in.Write(dataFrames(t, 20_000))
	if _, err := nc.Write(in.Bytes()); !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection was not closed: %v", err)
	}
	const closed = "connection closed: broken framing"
	s.awaitLog(t, closed, 1)
	if line := s.logged(t, closed)[0]; !strings.Contains(line, `"level":"WARN"`) || !strings.Contains(line, `"source":"tap"`) ||
		!strings.Contains(line, "data frame of 4294967295 bytes: at most 16777216 are possible") {
		t.Errorf("not the warning that is due: %s", line)
	}
	s.checkStatus(t, `warning: source "tap": 1 connections were closed because of broken framing since the start`)
	if closing := s.stop(t); closing.Records != 10 || closing.Dropped["oversize"] != 0 {
		t.Errorf("got %+v, want 10 records", closing)
	}
}

// TestOtherProtocolIsNamed sends an HTTP request to a dnstap source, as a wrong Prometheus job does.
func TestOtherProtocolIsNamed(t *testing.T) {
	t.Parallel()
	s := startSensor(t, lab.NewNamespace(t), unixSource+exactTimes+fileSink("first", "dnsqr")+"admin {}\n")
	nc := dialTap(t, s)
	if _, err := nc.Write([]byte("GET /metrics HTTP/1.1\r\nHost: sensor\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	const closed = "connection closed: no handshake"
	s.awaitLog(t, closed, 1)
	if line := s.logged(t, closed)[0]; !strings.Contains(line, `"level":"WARN"`) || !strings.Contains(line, "an HTTP request") ||
		!strings.Contains(line, "admin.listen") {
		t.Errorf("not the warning that is due: %s", line)
	}
	if text := s.status(t); !strings.Contains(text, `warning: source "tap": a handshake failed `) ||
		!strings.Contains(text, " ago): at byte 0: an HTTP request, and this source reads dnstap") {
		t.Errorf("status does not warn of it:\n%s", text)
	}
	s.stop(t)
}

// TestSocketFileIsCreatedAgain removes the socket file of a running sensor, and then the whole
// folder.
func TestSocketFileIsCreatedAgain(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	config := strings.ReplaceAll(unixSource, "DIR/tap.sock", "DIR/run/tap.sock") + exactTimes + fileSink("first", "dnsqr") + "admin {}\n"
	s := newSensor(t, n)
	folder := s.dir + "/run"
	tap := folder + "/tap.sock"
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s.run(t, config)
	sent := 0
	sendOne := func() {
		t.Helper()
		nc, err := net.Dial("unix", tap)
		if err != nil {
			t.Fatal(err)
		}
		sendCapture(t, nc)
		nc.Close()
		sent++
		s.awaitLog(t, disconnected, sent)
	}
	sendOne()
	const again, cannot = "the socket file was removed or replaced; it was created again", "resolvers cannot connect"
	if err := os.Remove(tap); err != nil {
		t.Fatal(err)
	}
	s.awaitLog(t, again, 1)
	sendOne()
	s.checkStatus(t, `warning: source "tap": the socket file was removed or replaced 1 times since the start, and created again`)
	s.reload(t, config, "reloaded") // grants access to the new file
	if info, err := os.Stat(tap); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	s.awaitLog(t, cannot, 1)
	s.checkStatus(t, `warning: source "tap": resolvers cannot connect: the socket file was removed or replaced, and cannot be created again: there is no directory `)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s.awaitLog(t, again, 2)
	sendOne()
	s.checkMetrics(t)
	closing := s.stop(t)
	if closing.Read != 3*355 {
		t.Errorf("%d messages read of three captures with 355 messages", closing.Read)
	}
	if _, err := os.Stat(tap); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file was left: %v", err)
	}
}
