package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// copyUnits copies the units of conf/systemd to a folder, with the path of the test's sensor.
func copyUnits(t *testing.T, dropIns ...string) string {
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
	for _, d := range dropIns {
		put(d, "dnstap-pdns.service.d/"+d)
	}
	return dir
}

// verify checks that systemd accepts the units without a message.
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
	stated := regexp.MustCompile("level of ([0-9][.][0-9]), with `pcap.conf` ([0-9][.][0-9])").FindStringSubmatch(string(page))
	if stated == nil {
		t.Fatal("docs/operating.md gives no exposure levels")
	}
	for _, resolver := range []string{"unbound", "bind", "pdns"} {
		dir := copyUnits(t)
		steps, err := exec.Command(sensorBinary, "init", "--dry-run", "-c", dir+"/c.hcl", "--resolvers", lab.Resolver4, resolver).Output()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(steps), "/dnstap-pdns.socket.d/listen.conf <<'EOF'\n")
		dropIn, _, ok := strings.Cut(rest, "EOF\n")
		if !ok {
			t.Fatalf("init printed no drop-in of the socket:\n%s", steps)
		}
		if err := os.Mkdir(dir+"/dnstap-pdns.socket.d", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/dnstap-pdns.socket.d/listen.conf", []byte(dropIn), 0o644); err != nil {
			t.Fatal(err)
		}
		verify(t, dir)
	}
	for i, dropIns := range [][]string{nil, {"pcap.conf"}} {
		dir := copyUnits(t, dropIns...)
		verify(t, dir)
		security := exec.Command("systemd-analyze", "security", "--offline=yes", dir+"/dnstap-pdns.service")
		out, err := security.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", security.Args, err, out)
		}
		level := regexp.MustCompile(`Overall exposure level for dnstap-pdns.service: ([0-9.]+)`).FindSubmatch(out)
		if level == nil || string(level[1]) != stated[i+1] {
			t.Errorf("%v: level %s, and docs/operating.md says %s:\n%s", dropIns, level, stated[i+1], out)
		}
	}
}

// TestReloadOfTheServiceChecksFirst runs the first command of ExecReload=, which systemd does
// before the second, which sends SIGHUP. A configuration that cannot take effect, or is none, is not loaded, and
// nothing of the configuration is printed.
func TestReloadOfTheServiceChecksFirst(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../conf/systemd/dnstap-pdns.service")
	if err != nil {
		t.Fatal(err)
	}
	n := lab.NewNamespace(t)
	good := unixSource + site + fileSink("first", "dnsqr")
	s := startSensor(t, n, good)
	here := strings.NewReplacer("/usr/local/bin/dnstap-pdns", sensorBinary, "/etc/dnstap-pdns/dnstap-pdns.hcl", s.config)
	commands := regexp.MustCompile(`(?m)^ExecReload=(.*)$`).FindAllStringSubmatch(string(unit), -1)
	if len(commands) != 2 || commands[1][1] != "/bin/sh -c 'kill -HUP $MAINPID'" {
		t.Fatalf("the commands of ExecReload= are %q", commands)
	}
	reload := func(config string) (output string, err error) {
		s.configure(t, config)
		cmd := exec.Command("sh", "-c", "exec "+here.Replace(commands[0][1]))
		cmd.Env = append(os.Environ(), "MAINPID="+strconv.Itoa(s.PID()))
		p := n.Start(t, "ExecReload", cmd)
		err = p.Wait(waitTime)
		return p.Log(t), err
	}
	for _, bad := range []string{good + "sink {", strings.Replace(good, "DIR/first/", "DIR/frist/", 1), ""} {
		if output, err := reload(bad); err == nil {
			t.Errorf("the command succeeded with\n%s\n%s", bad, output)
		}
	}
	output, err := reload(good)
	if err != nil {
		t.Fatal(err)
	}
	s.Signal(t, syscall.SIGHUP)
	s.awaitLog(t, "reloaded", 1)
	if strings.Contains(output, "corp.example") || strings.Contains(output, "another process listens") || !strings.Contains(output, "OK: "+s.config+", 1 source, 1 sink, ") {
		t.Errorf("the command prints\n%s", output)
	}
	s.stop(t)
}

// TestSocketActivation has systemd's tool make the socket and pass it to a sensor that has no
// rights to the socket's folder. The sensor receives the messages of a resolver.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	s := newSensor(t, w.Namespace)
	s.configure(t, unixSource+site+fileSink("first", "dnsqr"))
	if err := os.Chown(s.dir+"/first", nobodyID, nobodyID); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("systemd-socket-activate", "--listen="+s.tapPath(),
		"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--no-new-privs",
		sensorBinary, "run", "-c", s.config)
	s.Process = w.Namespace.Start(t, "sensor", cmd)
	await(t, "the socket of systemd-socket-activate", func() bool { return os.Chmod(s.tapPath(), 0o666) == nil })

	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	w.Ask(t, unbound, lab.Questions())
	s.awaitLog(t, "listening on an inherited socket", 1)
	unbound.Stop(t)
	closing := s.stop(t)
	out := s.written(t, "first")
	checkRecords(t, w.Zones, out)
	if len(out.records) == 0 || closing.Records != uint64(len(out.records)) {
		t.Errorf("%d records in the file, %d made", len(out.records), closing.Records)
	}
	if _, err := os.Stat(s.tapPath()); err != nil {
		t.Errorf("the socket was removed when the sensor ended: %v", err)
	}
}
