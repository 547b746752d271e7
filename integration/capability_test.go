package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const nobodyID = 65534

// startAsNobody runs a copy of the sensor as an unprivileged user, with that capability or,
// for "", none. It does not wait until the sensor has started.
func startAsNobody(t *testing.T, n *lab.Namespace, capability, config string) (s *sensor, binary string) {
	t.Helper()
	lab.RequirePrograms(t, "setcap", "setpriv")
	dir, err := os.MkdirTemp("", "sensor") // not in n.Dir, which may be mounted without capabilities
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary = filepath.Join(dir, "dnstap-pdns")
	commands := [][]string{{"cp", sensorBinary, binary}, {"chmod", "-R", "a+rX", dir}}
	if capability != "" {
		commands = append(commands, []string{"setcap", capability, binary})
	}
	for _, c := range commands {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", c, err, out)
		}
	}
	s = newSensor(t, n)
	s.configure(t, config)
	err = filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, _ error) error { return os.Chown(path, nobodyID, nobodyID) })
	if err != nil {
		t.Fatal(err)
	}
	s.Process = n.Start(t, "sensor", exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "run", "-c", s.config))
	return s, binary
}

// TestOneCapabilitySufficesToCapture runs the sensor as an unprivileged user, with two lanes
// and in promiscuous mode, on packets of a real resolver.
func TestOneCapabilitySufficesToCapture(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	makeLink(t, n, "wire0")
	s, _ := startAsNobody(t, n, "cap_net_raw+ep", packetSourceOf(bothResolvers, "  lanes = 2\n  promiscuous = true", "wire0")+keepAddress+fileSink("first", "dnsqr"))
	s.awaitLog(t, "started", 1)
	awaitCapture(t, n, 2)
	const file = "testdata/captures/unbound.pcap"
	awaitReplays(t, startReplay(t, n, "tcpreplay", "wire0-in", fast, file))
	s.stop(t)
	s.packets(t).checkNoDrops(t)
	checkSame(t, s.replayed(t, file), s.written(t, "first"))
}

func TestMissingCapabilityIsReportedWithTheRemedy(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	s, binary := startAsNobody(t, n, "", packetSource("", "lo")+keepAddress+fileSink("first", "dnsqr"))
	if err := s.Wait(waitTime); err == nil || !s.Ended() {
		t.Errorf("the sensor captures without a capability: %v", err)
	}
	for _, want := range []string{`source "span"`, "setcap cap_net_raw+ep " + binary, "AmbientCapabilities=CAP_NET_RAW"} {
		if !strings.Contains(strings.ReplaceAll(s.Log(t), `\"`, `"`), want) {
			t.Errorf("the sensor logged %q, want %q in it", s.Log(t), want)
		}
	}
}
