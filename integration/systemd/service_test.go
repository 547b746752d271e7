package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	unit       = "dnstap-pdns.service"
	socketUnit = "dnstap-pdns.socket"
	config     = "/etc/dnstap-pdns/dnstap-pdns.hcl"
)

// typed returns the steps of a page of the documentation that follow the comment "typed:" with
// that name: the lines of the indented block.
func typed(t *testing.T, page, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "<!-- typed: "+name+" -->\n\n")
	if !ok {
		t.Fatalf("%s has no block marked %q", page, "typed: "+name)
	}
	var lines strings.Builder
	for line := range strings.Lines(rest) {
		step, indented := strings.CutPrefix(line, "    ")
		if !indented {
			break
		}
		lines.WriteString(step)
	}
	return lines.String()
}

// TestService types the documented steps on a new machine, and then does to the service what
// happens to services.
func TestService(t *testing.T) {
	need(t, "debootstrap", "systemd-nspawn", "nsenter", "unshare", "ip")
	lockCache(t)
	bin := t.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, "dnstap-pdns"), "../../cmd/dnstap-pdns")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	conf, err := filepath.Abs("../../conf")
	if err != nil {
		t.Fatal(err)
	}
	m := boot(t, bin, conf)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *machine)
	}{
		{"apply refuses to work without units", applyWithoutUnits},
		{"documented steps", documentedSteps},
		{"apply changes nothing twice", applyAgain},
		{"apply asks on a terminal", applyOnTerminal},
		{"apply restores after a failed check", applyBadDirectives},
		{"reload", reload},
		{"killed", killed},
		{"watchdog", watchdog},
		{"unusable configuration", unusableConfiguration},
		{"another socket", anotherSocket},
		{"reboot", reboot},
		{"TLS with a credential", tlsWithCredential},
		{"printed steps for BIND", printedStepsForBIND},
		{"printed steps for packets", printedStepsForPackets},
		{"apply for BIND", applyForBIND},
		{"apply for PowerDNS Recursor", applyForPowerDNS},
		{"look", look},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, m) }) {
			return // later steps need it
		}
	}
}
