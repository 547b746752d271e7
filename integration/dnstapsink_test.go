package integration

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestDnstapAndJSONSinksAgreeWithNMSG sends the records of one sensor to fstrm_capture, to another
// sensor, and to files of each format. Every receiver has the messages that the NMSG files have.
func TestDnstapAndJSONSinksAgreeWithNMSG(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	at := netip.MustParseAddrPort("127.0.0.1:6000")
	byUnix, byTCP := w.StartCapture(t, "unix"), w.StartTCPCapture(t, "tcp", at)
	live := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnstap"))
	s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnstap")+fileSink("second", "dnsqr")+
		dnstapSink("unix", "unix://"+byUnix.Socket)+dnstapSink("tcp", "tcp://"+at.String())+
		dnstapSink("sensor", "unix://"+live.tapPath())+dnstapSink("file", "file://DIR/frames.fstrm")+`
sink "json" "lines" {
  to     = "file://DIR/lines.json"
  rotate = "0s"
}
`)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	unbound.Stop(t)
	closing := s.stop(t)
	byUnix.Stop(t)
	byTCP.Stop(t)

	out := s.written(t, "first")
	checkExpected(t, w.Zones, out, lab.Questions())
	want := payloads(out.records)
	for _, sink := range []string{"unix", "tcp", "sensor", "file", "lines"} {
		if d := closing.sinks[sink]; d.Delivered != uint64(len(want)) || d.Offered != d.Delivered {
			t.Errorf("sink %s: the NMSG file has %d records, the ledger %+v", sink, len(want), d)
		}
	}

	var messages [][]byte
	for _, r := range out.records {
		messages = append(messages, r.Payload.Message)
	}
	file := filepath.Join(s.dir, "frames.fstrm")
	for _, captured := range []string{byUnix.File, byTCP.File, file} {
		if d := cmp.Diff(sorted(messages), sorted(frames(t, captured))); d != "" {
			t.Errorf("%s (-NMSG +frames):\n%s", captured, d)
		}
	}
	checkDump(t, file, len(want))

	if d := cmp.Diff(want, payloads(live.stopAndRead(t, "first").records)); d != "" {
		t.Errorf("the other sensor (-want +got):\n%s", d)
	}
	replayed := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnstap"))
	replayInto(t, w.Namespace, lab.UnixTap(replayed.tapPath()), file)
	if d := cmp.Diff(want, payloads(replayed.stopAndRead(t, "first").records)); d != "" {
		t.Errorf("a sensor that got the file from fstrm_replay (-want +got):\n%s", d)
	}

	lines, err := os.ReadFile(filepath.Join(s.dir, "lines.json"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s.printed(t, "second"), string(lines)); d != "" {
		t.Errorf("JSON (-cat --json +sink):\n%s", d)
	}
}

func dnstapSink(name, to string) string {
	rotate := ""
	if strings.HasPrefix(to, "file:") {
		rotate = "rotate = \"0s\"\n"
	}
	return fmt.Sprintf("sink \"dnstap\" %q {\nto = %q\n%s}\n", name, to, rotate)
}

// frames returns the frames of a file, decoded and encoded by the library.
func frames(t *testing.T, file string) (all [][]byte) {
	t.Helper()
	for _, d := range captured(t, file) {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

func sorted(all [][]byte) [][]byte { return slices.SortedFunc(slices.Values(all), bytes.Compare) }

// checkDump checks that fstrm_dump reads every frame of a file, and writes the same file.
func checkDump(t *testing.T, file string, frames int) {
	t.Helper()
	lab.RequirePrograms(t, "fstrm_dump")
	rewritten := file + ".dump"
	out, err := exec.CommandContext(t.Context(), "fstrm_dump", file, rewritten).Output()
	if err != nil {
		t.Fatalf("fstrm_dump: %v", err)
	}
	if got := bytes.Count(out, []byte("\n")); got != frames {
		t.Errorf("fstrm_dump prints %d frames, want %d", got, frames)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(rewritten); err != nil || !bytes.Equal(got, want) {
		t.Errorf("fstrm_dump writes another file of %d bytes, %v; ours has %d", len(got), err, len(want))
	}
}

// printed returns what cat --json prints for the files of a sink.
func (s *sensor) printed(t *testing.T, sink string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, sink, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), sensorBinary, append([]string{"cat", "--json"}, files...)...).Output()
	if err != nil {
		t.Fatalf("cat: %v", err)
	}
	return string(out)
}
