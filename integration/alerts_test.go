package integration

import (
	"os/exec"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestAlertRulesFireAsTested has Prometheus check our alert rules and run their tests.
func TestAlertRulesFireAsTested(t *testing.T) {
	t.Parallel()
	lab.RequirePrograms(t, "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = "../conf/prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
