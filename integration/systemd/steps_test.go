package systemd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const directives = "/etc/unbound/unbound.conf.d/dnstap.conf"

// prove waits until selftest proves that names leave, which needs a resolver that is connected.
func (m *machine) prove(t *testing.T) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Logf("the last selftest:\n%s", last)
		}
	}()
	await(t, "selftest to prove that names leave", func() bool {
		out, err := m.try("dnstap-pdns", "selftest")
		last = out
		return err == nil && strings.Contains(out, "\nproven: ")
	})
}

// allowStarts makes systemd forget how often the service was started.
func (m *machine) allowStarts(t *testing.T) {
	t.Helper()
	m.run(t, "systemctl", "reset-failed", "dnstap-pdns.*")
}

// awaitNewProcess waits until the service runs as another process than before.
func (m *machine) awaitNewProcess(t *testing.T, before string) {
	t.Helper()
	await(t, "the service to run again", func() bool {
		return m.property(t, unit, "ActiveState") == "active" && m.property(t, unit, "MainPID") != before
	})
}

func applyWithoutUnits(t *testing.T, m *machine) {
	out, err := m.try("bin/dnstap-pdns", "init", "--apply", "unbound")
	if err == nil || !strings.Contains(out, "the units are not installed") {
		t.Errorf("got %v, %s", err, out)
	}
	if _, err := m.try("test", "-e", config); err == nil {
		t.Error("the configuration was written")
	}
}

// documentedSteps installs the service, and compares what init proposes with the machine.
func documentedSteps(t *testing.T, m *machine) {
	steps := typed(t, "docs/operating.md", "service")
	if got := typed(t, "README.md", "service"); got != "make build\n"+steps {
		t.Errorf("README.md has the steps\n%s", got)
	}
	out := m.shell(t, steps)
	if !strings.Contains(out, "\nproven: ") {
		t.Errorf("selftest proved nothing:\n%s", out)
	}
	text := m.run(t, "cat", config)
	for _, want := range []string{
		`resolvers = ["` + address4 + `", "` + address6 + `"]`,
		`"lab.example", # /etc/resolv.conf`,
		`"hosts.example", # /etc/hosts`,
		`"intranet.corp.example", # local-zone in /etc/unbound/unbound.conf.d/test.conf`,
		`"campus.example", # stub-zone in /etc/unbound/unbound.conf.d/test.conf`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the configuration has no %s:\n%s", want, text)
		}
	}
	if got := m.property(t, unit, "UnitFileState") + " " + m.property(t, socketUnit, "UnitFileState"); got != "enabled enabled" {
		t.Errorf("the units are %s", got)
	}
	if got := strings.TrimSpace(m.run(t, "stat", "-c", "%U %a", "/var/lib/unbound/dnstap.sock")); got != "unbound 660" {
		t.Errorf("the socket belongs to %s", got)
	}
}

func applyAgain(t *testing.T, m *machine) {
	before := m.property(t, unit, "MainPID") + " " + m.property(t, "unbound.service", "MainPID")
	out := m.run(t, "dnstap-pdns", "init", "--apply", "unbound")
	if got := m.property(t, unit, "MainPID") + " " + m.property(t, "unbound.service", "MainPID"); got != before {
		t.Errorf("processes %s before, and %s now", before, got)
	}
	if strings.Count(out, " is up to date.\n") != 2 || strings.Contains(out, " was written") || !strings.Contains(out, "\nproven: ") {
		t.Errorf("got %s", out)
	}
}

// applyOnTerminal changes the directives, and refuses and then permits to replace them.
func applyOnTerminal(t *testing.T, m *machine) {
	changed := "# changed\n" + m.run(t, "cat", directives)
	m.put(t, directives, changed)
	before := m.property(t, "unbound.service", "MainPID")
	for _, answer := range []string{"n", "y"} {
		out := m.shell(t, "echo "+answer+" | script --quiet --return --command 'dnstap-pdns init --apply unbound' /dev/null")
		if strings.Count(out, "Replace "+directives+"? A backup remains. [y/n]") != 1 || !strings.Contains(out, "proven: ") {
			t.Errorf("%s: got %s", answer, out)
		}
		restarted := m.property(t, "unbound.service", "MainPID") != before
		kept := m.run(t, "cat", directives) == changed
		if restarted == kept || kept != (answer == "n") {
			t.Errorf("%s: Unbound restarted: %v, directives kept: %v", answer, restarted, kept)
		}
	}
	backups := strings.Fields(m.shell(t, "ls "+directives+".*"))
	if len(backups) != 1 || m.run(t, "cat", backups[0]) != changed {
		t.Errorf("backups: %v", backups)
	}
}

// applyBadDirectives: unbound-checkconf refuses a file of the operator, so that nothing changes.
func applyBadDirectives(t *testing.T, m *machine) {
	const bad = "/etc/unbound/unbound.conf.d/bad.conf"
	m.put(t, bad, "server:\n  nonsense: yes\n")
	m.run(t, "rm", directives)
	before := m.property(t, "unbound.service", "MainPID")
	out, err := m.try("dnstap-pdns", "init", "--apply", "unbound")
	if err == nil || !strings.Contains(out, "nonsense") || !strings.Contains(out, directives+" was removed.") || !strings.Contains(out, "init: unbound-checkconf: exit status 1") {
		t.Errorf("got %v, %s", err, out)
	}
	if got := m.property(t, "unbound.service", "MainPID"); got != before {
		t.Error("Unbound was restarted")
	}
	m.run(t, "rm", bad)
	m.run(t, "dnstap-pdns", "init", "--apply", "unbound")
}

// reload reloads a valid, an invalid and again a valid configuration. The process stays.
func reload(t *testing.T, m *machine) {
	valid := m.run(t, "cat", config)
	before := m.property(t, unit, "MainPID")
	reloaded := func(n int) {
		t.Helper()
		await(t, "the log to report the reload", func() bool { return strings.Count(m.journal(t), "msg=reloaded") == n })
	}
	first := strings.Count(m.journal(t), "msg=reloaded")
	m.put(t, config, valid+"log {\n  level = \"debug\"\n}\n")
	if out := m.shell(t, typed(t, "README.md", "reload")); !strings.Contains(out, "every message and record is accounted for") {
		t.Errorf("got %s", out)
	}
	reloaded(first + 1)
	m.put(t, config, valid+"nonsense {\n}\n")
	m.try("systemctl", "reload", "dnstap-pdns")
	await(t, "the log to report the error", func() bool { return strings.Contains(m.journal(t), "Unsupported block type") })
	m.put(t, config, valid)
	m.run(t, "systemctl", "reload", "dnstap-pdns")
	reloaded(first + 2)
	if got := m.property(t, unit, "MainPID"); got != before || m.property(t, unit, "ActiveState") != "active" {
		t.Errorf("process %s before, and %s now", before, got)
	}
	m.prove(t)
}

// killed kills the sensor by the signal that cannot be caught, and by the signal of the watchdog,
// after which Go's runtime would end with the exit status of a bad configuration.
func killed(t *testing.T, m *machine) {
	for _, signal := range []string{"KILL", "ABRT"} {
		m.allowStarts(t)
		before := m.property(t, unit, "MainPID")
		m.run(t, "systemctl", "kill", "--signal="+signal, unit)
		m.awaitNewProcess(t, before)
		m.prove(t)
	}
}

// watchdog stops the process, which then sends no notices.
func watchdog(t *testing.T, m *machine) {
	const dropIn = "/run/systemd/system/dnstap-pdns.service.d/watchdog.conf"
	m.put(t, dropIn, "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=2s\n")
	m.allowStarts(t)
	m.shell(t, "systemctl daemon-reload\nsystemctl restart dnstap-pdns.service\n")
	before := m.property(t, unit, "MainPID")
	m.run(t, "systemctl", "kill", "--signal=STOP", unit)
	m.awaitNewProcess(t, before)
	if !strings.Contains(m.journal(t), "Failed with result 'watchdog'") {
		t.Error("the journal does not report that the watchdog ended the process")
	}
	m.run(t, "rm", dropIn)
	m.shell(t, "systemctl daemon-reload\nsystemctl restart dnstap-pdns.service\n")
	m.prove(t)
}

// counts returns how often the service ended with exit status 2, and how often systemd has
// planned a restart.
func (m *machine) counts(t *testing.T) (unusable, restarts int) {
	t.Helper()
	journal := m.journal(t)
	return strings.Count(journal, "Main process exited, code=exited, status=2/"), strings.Count(journal, "Scheduled restart job")
}

// unusableConfiguration: the service is not restarted, and the connections of the resolver, which
// start it too, end at the start limit. The documented commands start it again.
func unusableConfiguration(t *testing.T, m *machine) {
	valid := m.run(t, "cat", config)
	m.allowStarts(t)
	unusable, restarts := m.counts(t)
	m.put(t, config, valid+"nonsense {\n}\n")
	if out, err := m.try("systemctl", "restart", unit); err == nil {
		t.Errorf("the service started: %s", out)
	}
	await(t, "systemd to give up", func() bool { return m.property(t, socketUnit, "Result") == "service-start-limit-hit" })
	if u, r := m.counts(t); u-unusable != 5 || r != restarts {
		t.Errorf("%d starts and %d restarts, want 5 and 0", u-unusable, r-restarts)
	}
	m.put(t, config, valid)
	m.shell(t, typed(t, "docs/operating.md", "socket"))
	m.prove(t)
}

// anotherSocket removes the drop-in, and writes it again as the journal says.
func anotherSocket(t *testing.T, m *machine) {
	const dropIn = "/etc/systemd/system/dnstap-pdns.socket.d/listen.conf"
	text := m.run(t, "cat", dropIn)
	unusable, restarts := m.counts(t)
	m.run(t, "rm", dropIn)
	if out, err := m.tryShell(typed(t, "docs/operating.md", "socket")); err == nil {
		t.Errorf("the service started: %s", out)
	}
	if u, r := m.counts(t); u-unusable != 1 || r != restarts {
		t.Errorf("%d starts and %d restarts, want 1 and 0", u-unusable, r-restarts)
	}
	journal := m.journal(t)
	_, rest, ok := strings.Cut(journal, "Write this to "+dropIn+":\n")
	from := strings.Index(rest, "[Socket]")
	to := strings.Index(rest, "Then run: ")
	if !ok || from < 0 || to < from {
		t.Fatalf("the journal has no drop-in:\n%s", journal)
	}
	if got := strings.TrimSpace(rest[from:to]) + "\n"; got != text {
		t.Errorf("got %q, want %q", got, text)
	}
	m.put(t, dropIn, strings.TrimSpace(rest[from:to])+"\n")
	m.shell(t, typed(t, "docs/operating.md", "socket"))
	m.prove(t)
}

func reboot(t *testing.T, m *machine) {
	m.reboot(t)
	if got := m.property(t, unit, "ActiveState") + " " + m.property(t, socketUnit, "ActiveState"); got != "active active" {
		t.Errorf("service and socket are %s", got)
	}
	m.prove(t)
}

// tlsWithCredential adds a source with the documented drop-in, and makes Unbound send to it.
// selftest, which has no credential, works nevertheless.
func tlsWithCredential(t *testing.T, m *machine) {
	folder := filepath.Join(m.world.Dir, "tls")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	authority := lab.NewAuthority(t, folder, "ca")
	cert, key := authority.Issue(t, folder, "sensor.example.net")
	clientCert, clientKey := authority.Issue(t, folder, "resolver.example.net")
	for from, to := range map[string]string{
		authority.Path: "/etc/dnstap-pdns/ca.pem", cert: "/etc/dnstap-pdns/sensor.example.net.pem", key: "/etc/ssl/private/sensor.key",
		clientCert: "/etc/unbound/dnstap/resolver.pem", clientKey: "/etc/unbound/dnstap/resolver.key",
	} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		m.put(t, to, string(text))
	}
	m.run(t, "chmod", "600", "/etc/ssl/private/sensor.key")
	page, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	dropIn, source := block(t, string(page), "[Service]\nLoadCredential="), block(t, string(page), "source \"dnstap\" \"remote\"")
	valid := m.run(t, "cat", config)
	m.put(t, "/etc/systemd/system/dnstap-pdns.service.d/credential.conf", dropIn)
	m.put(t, config, valid+strings.Replace(source, "192.0.2.60", address4, 1))
	m.shell(t, "systemctl daemon-reload\nsystemctl restart dnstap-pdns.service\n")
	unix := m.run(t, "cat", directives)
	m.put(t, directives, strings.Replace(unix, "dnstap-socket-path: \"/var/lib/unbound/dnstap.sock\"", `dnstap-ip: "`+address4+`@6000"
  dnstap-tls: yes
  dnstap-tls-server-name: "sensor.example.net"
  dnstap-tls-cert-bundle: "/etc/dnstap-pdns/ca.pem"
  dnstap-tls-client-cert-file: "/etc/unbound/dnstap/resolver.pem"
  dnstap-tls-client-key-file: "/etc/unbound/dnstap/resolver.key"`, 1))
	m.run(t, "systemctl", "restart", "unbound.service")
	m.prove(t)
	if out := m.run(t, "dnstap-pdns", "selftest"); !strings.Contains(out, "only its block admin is used") {
		t.Errorf("got %s", out)
	}
	if out := m.run(t, "dnstap-pdns", "status"); !strings.Contains(out, `client "resolver.example.net"`) {
		t.Errorf("got %s", out)
	}
	m.run(t, "systemctl", "reload", "dnstap-pdns")
	await(t, "the reload", func() bool { return strings.Contains(m.journal(t), "msg=reloaded sources=2") })
	m.put(t, directives, unix)
	m.put(t, config, valid)
	m.shell(t, "systemctl restart dnstap-pdns.service\nsystemctl restart unbound.service\n")
	m.prove(t)
}

// block returns the code block of a page that begins with that text.
func block(t *testing.T, page, begin string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\n"+begin)
	text, _, closed := strings.Cut(rest, "```\n")
	if !ok || !closed {
		t.Fatalf("no block that begins with %q", begin)
	}
	return begin + text
}

// printedStepsForBIND changes the resolver, and runs what init prints, as a script.
func printedStepsForBIND(t *testing.T, m *machine) {
	m.allowStarts(t)
	m.shell(t, "systemctl disable --now unbound.service\nsystemctl unmask named.service\n")
	steps := m.shell(t, "dnstap-pdns init --force bind")
	if out := m.shell(t, steps); !strings.Contains(out, "\nproven: ") {
		t.Errorf("selftest proved nothing:\n%s", out)
	}
	again := m.shell(t, "dnstap-pdns init bind")
	if !strings.Contains(again, "which stays as it is") {
		t.Errorf("got %s", again)
	}
	m.allowStarts(t)
	if out := m.shell(t, again); !strings.Contains(out, "\nproven: ") {
		t.Errorf("selftest proved nothing the second time:\n%s", out)
	}
}

// printedStepsForPackets reads the packets of BIND.
func printedStepsForPackets(t *testing.T, m *machine) {
	m.allowStarts(t)
	steps := m.shell(t, "dnstap-pdns init --force knot")
	if !strings.Contains(steps, "AmbientCapabilities=CAP_NET_RAW") {
		t.Errorf("got %s", steps)
	}
	if out := m.shell(t, steps); !strings.Contains(out, "\nproven: ") {
		t.Errorf("selftest proved nothing:\n%s", out)
	}
	if got := m.property(t, socketUnit, "LoadState"); got != "masked" {
		t.Errorf("the socket is %s", got)
	}
	if out := m.run(t, "dnstap-pdns", "init", "--apply", "knot"); !strings.Contains(out, "\nproven: ") {
		t.Errorf("selftest proved nothing the second time:\n%s", out)
	}
}

// applyForBIND goes back to dnstap, with a file missing. The only resolver that runs is chosen.
func applyForBIND(t *testing.T, m *machine) {
	m.run(t, "rm", "/etc/bind/named.conf.dnstap")
	out := m.run(t, "dnstap-pdns", "init", "--apply", "--force")
	if !strings.Contains(out, "\nproven: ") || !strings.Contains(out, "/etc/bind/named.conf.options is up to date.") {
		t.Errorf("got %s", out)
	}
	if got := m.property(t, socketUnit, "ActiveState"); got != "active" {
		t.Errorf("the socket is %s", got)
	}
}

// applyForPowerDNS changes the resolver once more.
func applyForPowerDNS(t *testing.T, m *machine) {
	m.allowStarts(t)
	m.shell(t, "systemctl disable --now named.service\nsystemctl unmask pdns-recursor.service\n")
	out := m.run(t, "dnstap-pdns", "init", "--apply", "--force", "pdns")
	if !strings.Contains(out, "\nproven: ") || !strings.Contains(out, "/etc/powerdns/recursor.lua was written; backup: ") {
		t.Errorf("got %s", out)
	}
}

// look reads the files of the running service.
func look(t *testing.T, m *machine) {
	if out := m.shell(t, typed(t, "README.md", "look")); !strings.Contains(out, "dnstap-pdns-selftest-") {
		t.Errorf("the files have no record of selftest:\n%s", out)
	}
}
