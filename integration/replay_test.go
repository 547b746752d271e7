package integration

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
)

const contentType = "protobuf:dnstap.Dnstap"

// What the collector says of connections.
const (
	connected    = "dnstap connection began"
	disconnected = "dnstap connection ended"
)

// What fstrm's own tool plays into the socket comes out as the replay command
// makes it of the same file.
func TestCaptureThroughSocketGivesWhatReplayGives(t *testing.T) {
	t.Parallel()
	const capture = "testdata/unbound.fstrm"
	n := lab.NewNamespace(t)
	s := startSensor(t, n, unixSource+site+fileSink("first", "dnsqr"))
	replayInto(t, n, s.tapPath(), capture)
	s.awaitLog(t, disconnected, 1)
	books := s.stop(t)
	live := s.written(t, "first")
	checkNothingLeaked(t, live)
	if frames := uint64(len(captured(t, capture))); books.Read != frames {
		t.Errorf("read %d messages of %d frames", books.Read, frames)
	}

	cmd := exec.CommandContext(t.Context(), sensorBinary, "replay", "-c", s.config, "--to", "stdout:", capture)
	cmd.Stderr = t.Output()
	data, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	if d := cmp.Diff(facts(readOutput(t, data).records), facts(live.records)); d != "" {
		t.Errorf("-replay +socket:\n%s", d)
	}
}

// replayInto plays a capture into a socket with fstrm_replay.
func replayInto(t *testing.T, n *lab.Namespace, socket, file string) {
	t.Helper()
	lab.Need(t, "fstrm_replay")
	p := n.Start(t, "fstrm_replay", exec.Command("fstrm_replay", "-t", contentType, "-r", file, "-u", socket))
	if err := p.Wait(patience); err != nil {
		t.Fatal(err)
	}
}

// captured reads a capture with the libraries.
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
