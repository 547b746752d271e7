package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The versions of the packages.
const (
	older = "1.2.3"
	newer = "1.3.0"
)

// buildPackages builds the .deb of both versions, each in a folder of its own, and returns their
// parent.
func buildPackages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, version := range []string{older, newer} {
		build := exec.Command("make", "-C", "../..", "packages", "VERSION="+version)
		build.Env = append(os.Environ(), "ARCHS=amd64")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", build.Args, err, out)
		}
		folder := filepath.Join(dir, version)
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		name := "dnstap-pdns_" + version + "_amd64.deb"
		deb, err := os.ReadFile("../../bin/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), deb, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPackage installs, upgrades, downgrades, removes and purges the .deb on a machine that
// systemd boots, as the documentation says.
func TestPackage(t *testing.T) {
	need(t, "debootstrap", "systemd-nspawn", "nsenter", "unshare", "ip", "make", "dpkg")
	lockCache(t)
	conf, err := filepath.Abs("../../conf")
	if err != nil {
		t.Fatal(err)
	}
	m := boot(t, buildPackages(t), conf)
	before := m.files(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *machine)
	}{
		{"install", installPackage},
		{"apply", applyPackage},
		{"upgrade", upgradePackage},
		{"downgrade", downgradePackage},
		{"upgrade with an unusable configuration", upgradeUnusable},
		{"remove", removePackage},
		{"install again", installAgain},
		{"purge with records", purgeWithRecords},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, m) }) {
			return // later steps need it
		}
	}
	// Everything that remains is what init wrote for Unbound, and what other programs wrote.
	m.shell(t, "cd /src/bin/"+newer+"\n"+typed(t, "docs/operating.md", "package")+"dnstap-pdns init --apply unbound\n")
	m.shell(t, typed(t, "docs/operating.md", "uninstall")+"rm -rf /var/lib/private/dnstap-pdns /var/lib/dnstap-pdns\n")
	for _, path := range m.files(t) {
		if !slices.Contains(before, path) && strings.Contains(path, "dnstap") {
			t.Errorf("%s remains after the documented steps", path)
		}
	}
}

// files returns the paths of the file system that a package may change.
func (m *machine) files(t *testing.T) []string {
	t.Helper()
	// Other programs make and remove files of /run meanwhile.
	return strings.Split(m.shell(t, "find /etc /usr /var -xdev\nfind /run -xdev 2>/dev/null || true\n"), "\n")
}

// state returns whether the units are enabled and active.
func (m *machine) state(t *testing.T) string {
	t.Helper()
	var all []string
	for _, u := range []string{unit, socketUnit} {
		all = append(all, m.property(t, u, "UnitFileState"), m.property(t, u, "ActiveState"))
	}
	return strings.Join(all, " ")
}

func (m *machine) installed(t *testing.T, version string) {
	t.Helper()
	if got := m.run(t, "dnstap-pdns", "version"); !strings.HasPrefix(got, "dnstap-pdns "+version+" ") {
		t.Errorf("got %s, want %s", got, version)
	}
}

// installPackage: nothing is started or enabled.
func installPackage(t *testing.T, m *machine) {
	out := m.shell(t, "cd /src/bin/"+older+"\n"+typed(t, "docs/operating.md", "package"))
	if !strings.Contains(out, "is not started") {
		t.Errorf("got %s", out)
	}
	m.installed(t, older)
	if got := m.state(t); got != "disabled inactive disabled inactive" {
		t.Errorf("the units are %s", got)
	}
	if got := strings.TrimSpace(m.run(t, "stat", "-c", "%U %a %F", "/run/dnstap-pdns")); got != "root 755 directory" {
		t.Errorf("/run/dnstap-pdns is %s", got)
	}
	m.run(t, "systemd-analyze", "verify", "--man=no", unit, socketUnit)
}

func applyPackage(t *testing.T, m *machine) {
	if out := m.run(t, "dnstap-pdns", "init", "--apply", "unbound"); !strings.Contains(out, "\nproven: ") {
		t.Errorf("selftest proved nothing:\n%s", out)
	}
	if got := m.state(t); got != "enabled active enabled active" {
		t.Errorf("the units are %s", got)
	}
}

// clients is a program that connects to the socket until a file exists, and prints how often
// that succeeded and failed.
const clients = `use IO::Socket::UNIX;
my ($done, $failed) = (0, 0);
until (-e "/run/enough") {
	if (IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "/var/lib/unbound/dnstap.sock")) { $done++ } else { $failed++ }
	select(undef, undef, undef, 0.02);
}
print "$done $failed\n";
`

// changeVersion installs a version while clients connect all the time. The service runs it, and
// the socket is the same one.
func changeVersion(t *testing.T, m *machine, version string) {
	t.Helper()
	m.allowStarts(t)
	socket := func() string {
		return m.run(t, "stat", "-c", "%i", "/var/lib/unbound/dnstap.sock") + m.property(t, socketUnit, "InvocationID")
	}
	process, before := m.property(t, unit, "MainPID"), socket()
	m.put(t, "/root/clients.pl", clients)
	m.run(t, "rm", "-f", "/run/enough")
	connecting := m.command("perl", "/root/clients.pl")
	var out strings.Builder
	connecting.Stdout, connecting.Stderr = &out, &out
	if err := connecting.Start(); err != nil {
		t.Fatal(err)
	}
	shown, err := m.tryShell("cd /src/bin/" + version + "\n" + typed(t, "docs/operating.md", "upgrade"))
	m.awaitNewProcess(t, process)
	m.run(t, "touch", "/run/enough")
	if err := connecting.Wait(); err != nil {
		t.Errorf("clients: %v", err)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, shown)
	}
	var done, failed int
	if _, err := fmt.Sscan(out.String(), &done, &failed); err != nil || done < 10 || failed > 0 {
		t.Errorf("connections to the socket, succeeded and failed: %s (%v)", &out, err)
	}
	if got := socket(); got != before {
		t.Errorf("socket %s before, and %s now", before, got)
	}
	m.installed(t, version)
	if got := m.state(t); got != "enabled active enabled active" {
		t.Errorf("the units are %s", got)
	}
	m.prove(t)
}

func upgradePackage(t *testing.T, m *machine)   { changeVersion(t, m, newer) }
func downgradePackage(t *testing.T, m *machine) { changeVersion(t, m, older) }

// upgradeUnusable: the package is installed, and reports that the service did not restart. The
// documented commands start it after a correction.
func upgradeUnusable(t *testing.T, m *machine) {
	valid := m.run(t, "cat", config)
	m.allowStarts(t)
	m.put(t, config, valid+"nonsense {\n}\n")
	out := m.shell(t, "cd /src/bin/"+newer+"\n"+typed(t, "docs/operating.md", "upgrade"))
	if !strings.Contains(out, "dnstap-pdns.service did not restart") {
		t.Errorf("got %s", out)
	}
	m.installed(t, newer)
	if got := strings.TrimSpace(m.run(t, "dpkg-query", "--show", "--showformat=${Status}", "dnstap-pdns")); got != "install ok installed" {
		t.Errorf("the package is %s", got)
	}
	m.put(t, config, valid)
	m.shell(t, typed(t, "docs/operating.md", "socket"))
	m.prove(t)
}

// removePackage: the configuration and the records stay.
func removePackage(t *testing.T, m *machine) {
	m.run(t, "apt-get", "remove", "--yes", "dnstap-pdns")
	if got := m.property(t, unit, "LoadState") + " " + m.property(t, socketUnit, "LoadState"); got != "not-found not-found" {
		t.Errorf("the units are %s", got)
	}
	m.run(t, "test", "-e", config)
	if out := m.shell(t, "ls /var/lib/dnstap-pdns/*.nmsg"); out == "" {
		t.Error("the records are gone")
	}
	if out := m.shell(t, "find /etc/systemd/system -name '*dnstap-pdns*' -type l"); out != "" {
		t.Errorf("links remain: %s", out)
	}
}

// installAgain: also with a configuration, nothing is started or enabled.
func installAgain(t *testing.T, m *machine) {
	m.shell(t, "cd /src/bin/"+newer+"\n"+typed(t, "docs/operating.md", "package"))
	if got := m.state(t); got != "disabled inactive disabled inactive" {
		t.Errorf("the units are %s", got)
	}
	m.allowStarts(t)
	applyPackage(t, m)
}

// purgeWithRecords: records and a spool stay, and everything else of the package goes.
func purgeWithRecords(t *testing.T, m *machine) {
	m.shell(t, `mkdir -p /var/lib/dnstap-pdns/spool/remote /var/lib/dnstap-pdns/old
	echo records >/var/lib/dnstap-pdns/spool/remote/1.nmsg
	echo index >/var/lib/dnstap-pdns/spool/remote/index
	: >/var/lib/dnstap-pdns/.20260101T000000.nmsg.rotate
	echo key >/etc/dnstap-pdns/sensor.key
	`)
	records := m.shell(t, "ls /var/lib/private/dnstap-pdns/*.nmsg")
	out := m.run(t, "apt-get", "purge", "--yes", "dnstap-pdns")
	for _, want := range []string{"/etc/dnstap-pdns has files", "/var/lib/dnstap-pdns has files"} {
		if !strings.Contains(out, want) {
			t.Errorf("apt-get does not print %q:\n%s", want, out)
		}
	}
	for _, path := range append(strings.Fields(records), "/var/lib/dnstap-pdns/spool/remote/1.nmsg", "/var/lib/dnstap-pdns/spool/remote/index", "/etc/dnstap-pdns/sensor.key") {
		if _, err := m.try("test", "-s", path); err != nil {
			t.Errorf("%s was removed", path)
		}
	}
	for _, path := range []string{config, "/usr/bin/dnstap-pdns", "/usr/share/doc/dnstap-pdns", "/etc/systemd/system/dnstap-pdns.socket.d",
		"/var/lib/dnstap-pdns/.20260101T000000.nmsg.rotate", "/var/lib/dnstap-pdns/old", "/var/lib/unbound/dnstap.sock", "/run/dnstap-pdns"} {
		if _, err := m.try("test", "-e", path); err == nil {
			t.Errorf("%s remains", path)
		}
	}
	m.shell(t, "rm -r /etc/dnstap-pdns /var/lib/private/dnstap-pdns/spool")
}

// TestPackageInContainer uses the .deb in a Debian without systemd. Purge also removes a folder of
// the service without records, which it would have in /var/lib/private.
func TestPackageInContainer(t *testing.T) {
	need(t, "debootstrap", "unshare", "make", "dpkg")
	lockCache(t)
	packages := buildPackages(t)
	options, merged := overlay(t, t.TempDir(), installedRoot(t))
	script := fmt.Sprintf(`
	mkdir -p /var/lib/private
	find /etc /usr /var -xdev -not -path '/var/log/*' -not -path '*/dpkg/*' | sort >/tmp/before
	dpkg -i /mnt/%[1]s/*.deb
	dnstap-pdns version
	dnstap-pdns demo >/dev/null
	dnstap-pdns check -c /usr/share/doc/dnstap-pdns/examples/dnstap-pdns.hcl --statement >/dev/null
	test -e /usr/share/man/man1/dnstap-pdns-run.1.gz
	dpkg -i /mnt/%[2]s/*.deb
	dnstap-pdns version
	dnstap-pdns init unbound >/dev/null
	test -e %[3]s
	mkdir -p /var/lib/private/dnstap-pdns/2026
	ln -s private/dnstap-pdns /var/lib/dnstap-pdns
	: >/var/lib/dnstap-pdns/2026/.1.nmsg.rotate
	dpkg --purge dnstap-pdns
	find /etc /usr /var -xdev -not -path '/var/log/*' -not -path '*/dpkg/*' | sort >/tmp/after
	diff /tmp/before /tmp/after
	echo nothing remains
	`, older, newer, config)
	cmd := exec.Command("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "sh", "-e", "-c",
		`mount -t overlay -o "$1" overlay "$2"; mount --bind "$3" "$2/mnt"; mount -t proc proc "$2/proc"
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot "$2" sh -e -c "$4"`, "sh", options, merged, packages, script)
	out, err := cmd.CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, "dnstap-pdns "+older+" ") || !strings.Contains(text, "dnstap-pdns "+newer+" ") || !strings.HasSuffix(text, "nothing remains\n") {
		t.Errorf("%v\n%s", err, text)
	}
}
