package integration

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

const contentType = "protobuf:dnstap.Dnstap"

// Log messages about connections.
const (
	connected    = "dnstap connection began"
	disconnected = "dnstap connection ended"
)

// TestCaptureThroughSocketGivesWhatReplayGives sends a capture with fstrm_replay into the
// socket and compares the records with those of the replay command.
func TestCaptureThroughSocketGivesWhatReplayGives(t *testing.T) {
	t.Parallel()
	const capture = "testdata/unbound.fstrm"
	for network, source := range map[string]string{"Unix": unixSource, "TCP": tcpSource()} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			n := lab.NewNamespace(t)
			s := startSensor(t, n, source+site+fileSink("first", "dnsqr"))
			to := lab.UnixTap(s.tapPath())
			if network == "TCP" {
				to = lab.TCPTap(tapAddr)
			}
			replayInto(t, n, to, capture)
			s.awaitLog(t, disconnected, 1)
			closing := s.stop(t)
			live := s.written(t, "first")
			checkNothingLeaked(t, live)
			if frames := uint64(len(captured(t, capture))); closing.Read != frames {
				t.Errorf("read %d messages of %d frames", closing.Read, frames)
			}
			if d := cmp.Diff(contents(s.replayed(t, capture).records), contents(live.records)); d != "" {
				t.Errorf("records differ (-replay +socket):\n%s", d)
			}
		})
	}
}

// TestSensorReceivesWhatFstrmCaptureReceives compares the sensor with fstrm_capture. PowerDNS
// Recursor sends to both at once; captures of other resolvers are replayed into the sensor.
func TestSensorReceivesWhatFstrmCaptureReceives(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		capture := w.StartCapture(t, "capture")
		s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
		options := lab.Options{Tap: lab.UnixTap(capture.Socket)}
		if r.twoTaps {
			options.SecondSocket = s.tapPath()
		}
		resolver := r.start(w, t, options)
		w.Ask(t, resolver, lab.Questions())
		resolver.Stop(t)
		capture.Stop(t)
		if !r.twoTaps {
			replayInto(t, w.Namespace, lab.UnixTap(s.tapPath()), capture.File)
		}
		out := s.stopAndRead(t, "first")

		checkRecords(t, w.Zones, out)
		checkNothingLeaked(t, out)
		checkExpected(t, w.Zones, out, lab.Questions())
		ours, theirs := contents(out.records), contents(s.replayed(t, capture.File).records)
		for _, record := range theirs {
			if !slices.Contains(ours, record) {
				t.Errorf("fstrm_capture received this and the sensor did not: %s", record)
			}
		}
		t.Logf("%d records from fstrm_capture, %d from the sensor", len(theirs), len(ours))
	})
}

// replayed returns the output of the replay command for captures, with the sensor's
// configuration.
func (s *sensor) replayed(t *testing.T, captures ...string) output {
	t.Helper()
	args := append([]string{"replay", "-c", s.config, "--to", "stdout:"}, captures...)
	cmd := exec.CommandContext(t.Context(), sensorBinary, args...)
	cmd.Stderr = t.Output()
	data, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return readOutput(t, data)
}

// replayInto sends a capture to a socket with fstrm_replay.
func replayInto(t *testing.T, n *lab.Namespace, to lab.TapTarget, file string) {
	t.Helper()
	lab.RequirePrograms(t, "fstrm_replay")
	args := []string{"-t", contentType, "-r", file, "-u", to.Path}
	if to.Addr != nil {
		args = []string{"-t", contentType, "-r", file, "-a", to.Addr.Addr().String(), "-p", fmt.Sprint(to.Addr.Port())}
	}
	p := n.Start(t, "fstrm_replay", exec.Command("fstrm_replay", args...))
	if err := p.Wait(waitTime); err != nil {
		t.Fatal(err)
	}
}

// captured decodes a capture with the reference libraries.
func captured(t *testing.T, file string) []*dnstap.Dnstap {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := framestream.NewReader(f, &framestream.ReaderOptions{ContentTypes: [][]byte{[]byte(contentType)}})
	if err != nil {
		t.Fatal(err)
	}
	var all []*dnstap.Dnstap
	for buf := make([]byte, 1<<20); ; {
		n, err := r.ReadFrame(buf)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		frame := new(dnstap.Dnstap)
		if err := proto.Unmarshal(buf[:n], frame); err != nil {
			t.Fatal(err)
		}
		all = append(all, frame)
	}
}
