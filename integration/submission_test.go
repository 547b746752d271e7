package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	submissionName = "sie.example"
	submissionAddr = "127.0.0.1:8443"
	submissionTo   = "wss://" + submissionName + ":8443/session/test"
	submissionKey  = "key of the test"

	serverAddr = "127.0.0.1:8080" // of the server, to which a relay passes connections

	spoolsNow = "sink cannot reach its peer; records wait in its spool"
)

var submissionServerBinary = builtOnce("sieserver", "./sieserver")

// A submissionServer is a server of SIE submission, without TLS. It may be started several times.
type submissionServer struct {
	*lab.Process
	namespace *lab.Namespace
	out       string // the file to which it appends containers
}

func startSubmissionServer(t *testing.T, n *lab.Namespace, key string) *submissionServer {
	t.Helper()
	s := &submissionServer{namespace: n, out: filepath.Join(n.Dir, "submitted.nmsg")}
	s.start(t, key)
	return s
}

// start runs the server, and returns when it listens.
func (s *submissionServer) start(t *testing.T, key string) {
	t.Helper()
	cmd := exec.Command(submissionServerBinary(t), "-listen", serverAddr, "-api-key", key, "-out", s.out)
	s.Process = s.namespace.Start(t, "sieserver", cmd)
	await(t, "the submission server", func() bool { return strings.Contains(s.Log(t), "listening ") })
}

// writeKey writes the file with the API key.
func (s *sensor) writeKey(t *testing.T, key string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "api.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
}

// size is that of the containers that came.
func (s *submissionServer) size(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(s.out)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// received returns the octets of all containers in the order in which each came first, and the
// number of those that came again. A repeated container must be identical.
func (s *submissionServer) received(t *testing.T) (once []byte, repeated int) {
	t.Helper()
	data, err := os.ReadFile(s.out)
	if err != nil {
		t.Fatal(err)
	}
	return withoutRepeats(t, data)
}

// withoutRepeats returns the octets of all containers in the order in which each is first in data,
// and the number of repeated ones, which must be identical.
func withoutRepeats(t *testing.T, data []byte) (once []byte, repeated int) {
	t.Helper()
	decoded, _ := readGaps(t, data)
	octets := map[string][]byte{}
	all, _ := splitContainers(data)
	for i, c := range all {
		id := fmt.Sprintf("%x %d", decoded[i].SequenceID, decoded[i].Sequence)
		first, again := octets[id]
		switch {
		case !again:
			octets[id] = c
			once = append(once, c...)
		case !bytes.Equal(first, c):
			t.Errorf("container %s was repeated with other octets", id)
		}
		if again {
			repeated++
		}
	}
	return once, repeated
}

// splitContainers returns the whole containers at the beginning of a file without fragments, and
// the rest of it.
func splitContainers(data []byte) (all [][]byte, rest []byte) {
	const header, lengthAt = 10, 6
	for len(data) >= header {
		n := header + int(binary.BigEndian.Uint32(data[lengthAt:]))
		if n > len(data) {
			break
		}
		all, data = append(all, data[:n]), data[n:]
	}
	return all, data
}

// namesOf returns the names of the records of whole containers, in order.
func namesOf(t *testing.T, data []byte) (names []string) {
	t.Helper()
	_, part := readGaps(t, data)
	for _, r := range part.records {
		names = append(names, r.Name)
	}
	return names
}

// checkNames checks that the names are those of the responses of a busy resolver, in order and
// each once, without at most the given number of them.
func checkNames(t *testing.T, names []string, sent, mayLack int) {
	t.Helper()
	next := 0
	for _, name := range names {
		var i int
		if _, err := fmt.Sscanf(name, "h%d.example.com.", &i); err != nil || i < next || i >= sent {
			t.Fatalf("%s came when h%d or a later one was expected, %v", name, next, err)
		}
		next = i + 1
	}
	if lack := sent - len(names); lack > mayLack {
		t.Errorf("%d of %d records did not come, at most %d may be lost", lack, sent, mayLack)
	}
}

// TestSubmittedRecordsAreThoseOfTheFiles sends the records of a resolver to a submission server,
// with a spool and compressed, and to files.
func TestSubmittedRecordsAreThoseOfTheFiles(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	server := startSubmissionServer(t, w.Namespace, submissionKey)
	s := newSensor(t, w.Namespace)
	s.writeKey(t, submissionKey)
	s.run(t, unixSource+site+fileSink("first", "dnsqr")+`
sink "nmsg" "sie" {
  to      = "ws://`+serverAddr+`/session/test"
  channel = 202
  api_key = file("DIR/api.key")
  zlib    = true
  spool {
    dir       = "DIR/spool"
    max_bytes = "64MiB"
  }
}
`)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	unbound.Stop(t)
	closing := s.stop(t).sinks["sie"]
	server.Stop(t)

	once, repeated := server.received(t)
	submitted, files := readOutput(t, once), s.written(t, "first")
	checkRecords(t, w.Zones, submitted)
	checkExpected(t, w.Zones, submitted, lab.Questions())
	checkNothingLeaked(t, submitted)
	if d := cmp.Diff(payloads(files.records), payloads(submitted.records)); d != "" {
		t.Errorf("the server got other records (-file +server):\n%s", d)
	}
	if n := uint64(len(submitted.records)); repeated > 0 || closing.Delivered != n || closing.Offered != n {
		t.Errorf("%d records came and %d containers repeated, the ledger has %+v", n, repeated, closing)
	}
	if ends := strings.Count(server.Log(t), "finished "); ends != 1 {
		t.Errorf("%d Finished messages came, want 1", ends)
	}
}
