package integration

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const pathClosed = "the path to the receiver is closed: records wait, and single containers are sent until the network reports no more errors"

// TestRecordsWaitForAUDPReceiver sends to a receiver on another host that is away for six
// seconds. Only the datagrams of the first round trip and the probes may be lost, and none if
// the kernel itself has no route.
func TestRecordsWaitForAUDPReceiver(t *testing.T) {
	t.Parallel()
	const direct, routed = "198.18.0.2:9430", "203.0.113.1:9430"
	for name, c := range map[string]struct {
		to   string
		kind string                         // of the error; empty: the kernel has no route
		back func(near, far *lab.Namespace) // the receiver can be reached
	}{
		"no listener": {direct, "refused", func(_, _ *lab.Namespace) {}},
		"router that rejects": {routed, "unreachable", func(_, far *lab.Namespace) {
			far.IP(t, "addr add 203.0.113.1/32 dev lo\nroute del prohibit 203.0.113.0/24\n")
		}},
		"no route": {routed, "", func(near, far *lab.Namespace) {
			far.IP(t, "addr add 203.0.113.1/32 dev lo\n")
			near.IP(t, "route add default via 198.18.0.2\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := lab.NewNamespace(t), lab.NewNamespace(t)
			near.Connect(t, "line", far, "line", 1500)
			near.IP(t, "addr add 198.18.0.1/30 dev line\n")
			far.IP(t, "addr add 198.18.0.2/30 dev line\nroute add prohibit 203.0.113.0/24\n")
			if err := far.Start(t, "sysctl", exec.Command("sysctl", "-w", "net.ipv4.ip_forward=1")).Wait(waitTime); err != nil {
				t.Fatal(err)
			}
			if c.kind != "" {
				near.IP(t, "route add default via 198.18.0.2\n")
			}
			s := startSensor(t, near, unixSource+site+fmt.Sprintf("sink \"nmsg\" \"away\" {\n  to = \"udp://%s\"\n}\nadmin {}\n", c.to))
			const seconds, perSecond = 6, 200
			feedTap(t, s, seconds, perSecond)
			if c.kind != "" {
				if lines := s.logged(t, pathClosed); len(lines) == 0 || !strings.Contains(lines[0], `"kind":"`+c.kind+`"`) ||
					!strings.Contains(lines[0], `"peer":"udp://`+c.to+`"`) {
					t.Errorf("the log does not have the peer and the kind: %q", lines)
				} else {
					t.Logf("the path was closed %d times", len(lines))
				}
			}
			s.checkStatus(t, `warning: sink "away": failing since `)
			c.back(near, far)
			r := listenAt(t, far, "0.0.0.0:9430")
			await(t, "the queue is empty", func() bool { l := s.readLedger(t).sink("away"); return l.Queued == 0 })
			closing := s.stop(t)
			arrived := countRecords(t, r.finish(t, 1280)) // the containers of probes are missing
			d, lost := closing.sinks["away"], seconds*perSecond-int(arrived)
			t.Logf("%d of %d records did not arrive", lost, d.Offered)
			most := perSecond
			if c.kind == "" {
				most = 0
			}
			if d.Offered != seconds*perSecond || d.Delivered != d.Offered || lost > most {
				t.Errorf("%d records did not arrive, want at most %d; the ledger has %+v", lost, most, d)
			}
		})
	}
}

// feedTap sends responses to the sensor's socket, a tenth of a second's at once.
func feedTap(t *testing.T, s *sensor, seconds, perSecond int) {
	t.Helper()
	nc := dialTap(t, s)
	var in bytes.Buffer
	if err := encode(&in, framestream.ControlFrame{ControlType: framestream.CONTROL_START, ContentTypes: [][]byte{dnstap.FSContentType}}); err != nil {
		t.Fatal(err)
	}
	frames := dataFrames(t, seconds*perSecond)
	for range 10 * seconds {
		for range perSecond / 10 {
			n := 4 + int(binary.BigEndian.Uint32(frames))
			in.Write(frames[:n])
			frames = frames[n:]
		}
		if _, err := in.WriteTo(nc); err != nil {
			t.Fatal(err)
		}
		delayFor(time.Second / 10)
	}
}
