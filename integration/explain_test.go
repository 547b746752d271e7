package integration

import (
	"errors"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// exitCanary is explain's exit code if an output record contains a canary.
const exitCanary = 3

// TestExplainOnASocketFindsCanaries runs explain in place of the sensor while a resolver
// answers clients: canaries that must not leave are in no output record, others are found.
func TestExplainOnASocketFindsCanaries(t *testing.T) {
	t.Parallel()
	stay := []string{lab.Resolver4, lab.Resolver6, lab.Client1, lab.Client2, "corp.example", "printer.local"}
	for name, c := range map[string]struct {
		canaries []string
		exit     int
		says     string
	}{
		"what stays":  {stay, 0, "Nothing of this that must not leave was found."},
		"what leaves": {append(stay, "Shop.COM"), exitCanary, `canary "Shop.COM" appears in [1-9][0-9]* of [0-9]+ output records`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			s := newSensor(t, w.Namespace)
			s.configure(t, unixSource+site)
			args := []string{"explain", "-c", s.config, "--for", "1h"}
			for _, text := range c.canaries {
				args = append(args, "--canary", text)
			}
			explain := w.Start(t, "explain", exec.Command(sensorBinary, append(args, "unix://"+s.tapPath())...))
			await(t, "explain listens", func() bool { return strings.Contains(explain.Log(t), "listening on") })
			unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
			w.Ask(t, unbound, lab.Questions())
			unbound.Stop(t)
			explain.Stop(t)

			if got := exitOf(explain.Wait(waitTime)); got != c.exit {
				t.Errorf("exit %d, want %d", got, c.exit)
			}
			report := explain.Log(t)
			for _, says := range []string{c.says, `resolver address appears in 0 of [1-9][0-9]+ output records`, `local_name +[1-9]`,
				`identity ".*" in [1-9][0-9]+ frames`, `case_lowered +[1-9]`, `opt_removed +[1-9]`} {
				if !regexp.MustCompile(says).MatchString(report) {
					t.Errorf("the report does not match %q", says)
				}
			}
			if regexp.MustCompile(`address appears in [1-9]`).MatchString(report) {
				t.Error("an output record contains an address of the resolver")
			}
		})
	}
}

// exitOf returns the exit code in an error of Process.Wait, or -1 if the program was killed.
func exitOf(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}
