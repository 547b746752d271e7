package admin

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestAlertsUseMetricsThatExist compares the names in the alert rules and in their tests with a
// scrape.
func TestAlertsUseMetricsThatExist(t *testing.T) {
	scrape := get(serverOf(t, viewOf(fullState)), "/metrics").Body.String()
	name := regexp.MustCompile(namespace + `\w+`)
	for _, file := range []string{"alerts.yml", "alerts_test.yml"} {
		rules, err := os.ReadFile("../../../../conf/prometheus/" + file)
		if err != nil {
			t.Fatal(err)
		}
		names := name.FindAllString(string(rules), -1)
		if len(names) < 10 {
			t.Errorf("%s: only %d names found", file, len(names))
		}
		for _, n := range names {
			if !strings.Contains(scrape, "\n"+n+"{") && !strings.Contains(scrape, "\n"+n+" ") {
				t.Errorf("%s: metric %s does not exist", file, n)
			}
		}
	}
}

// TestEveryAlertSaysWhatToDo: the description of an alert is its remedy.
func TestEveryAlertSaysWhatToDo(t *testing.T) {
	rules, err := os.ReadFile("../../../../conf/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := strings.Split(string(rules), "- alert: ")[1:]
	if len(alerts) < 20 {
		t.Errorf("only %d alerts found", len(alerts))
	}
	for _, a := range alerts {
		if name, _, _ := strings.Cut(a, "\n"); !strings.Contains(a, "\n          description: \"") {
			t.Errorf("%s has no description", name)
		}
	}
}
