package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// layUnits puts the units of conf/systemd into a folder, with the program that there is.
func layUnits(t *testing.T, drops ...string) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, to string) {
		text, err := os.ReadFile("../conf/systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.ReplaceAll(string(text), "/usr/local/bin/dnstap-pdns", sensorBinary))
		if err := os.WriteFile(to, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("dnstap-pdns.service", "dnstap-pdns.service")
	put("dnstap-pdns.socket", "dnstap-pdns.socket")
	for _, d := range drops {
		put(d, "dnstap-pdns.service.d/"+d)
	}
	return dir
}

// verify has systemd read the units, which it is to do without a word.
func verify(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("systemd-analyze", "verify", "--man=no", dir+"/dnstap-pdns.service", dir+"/dnstap-pdns.socket")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// TestServiceUnits has systemd check the units, and compares their exposure levels with
// docs/operating.md.
func TestServiceUnits(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile("level of ([0-9][.][0-9]), with `pcap.conf` ([0-9][.][0-9])").FindStringSubmatch(string(page))
	if said == nil {
		t.Fatal("docs/operating.md gives no exposure levels")
	}
	for _, resolver := range []string{"unbound", "bind", "pdns"} {
		dir := layUnits(t)
		drop, err := os.ReadFile("../conf/setup/" + resolver + "/socket.conf")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir+"/dnstap-pdns.socket.d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/dnstap-pdns.socket.d/resolver.conf", drop, 0o644); err != nil {
			t.Fatal(err)
		}
		verify(t, dir)
	}
	for i, drops := range [][]string{nil, {"pcap.conf"}} {
		dir := layUnits(t, drops...)
		verify(t, dir)
		security := exec.Command("systemd-analyze", "security", "--offline=yes", dir+"/dnstap-pdns.service")
		out, err := security.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", security.Args, err, out)
		}
		level := regexp.MustCompile(`Overall exposure level for dnstap-pdns.service: ([0-9.]+)`).FindSubmatch(out)
		if level == nil || string(level[1]) != said[i+1] {
			t.Errorf("%v: level %s, and docs/operating.md says %s:\n%s", drops, level, said[i+1], out)
		}
	}
}

// systemd's own tool makes the socket and hands it over; the sensor, a user without any
// right to the socket's folder, serves a resolver there that may write to it.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := newSensor(t, w.Namespace)
	s.configure(t, unixSource+site+fileSink("first", "dnsqr"))
	const nobody = 65534
	if err := os.Chown(s.dir+"/first", nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-socket-activate", "--listen="+s.tapPath(),
		"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs",
		sensorBinary, "run", "-c", s.config)
	s.Process = w.Namespace.Start(t, "sensor", cmd)
	await(t, "systemd-socket-activate makes the socket", func() bool { return os.Chmod(s.tapPath(), 0o666) == nil })

	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	s.awaitLog(t, "listening on an inherited socket", 1)
	unbound.Stop(t)
	books := s.stop(t)
	out := s.written(t, "first")
	checkRecords(t, w.Zones, out)
	if len(out.records) == 0 || books.Records != uint64(len(out.records)) {
		t.Errorf("%d records in the file, %d made", len(out.records), books.Records)
	}
	if _, err := os.Stat(s.tapPath()); err != nil {
		t.Errorf("the socket is gone with the sensor: %v", err)
	}
}
