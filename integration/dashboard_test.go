package integration

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// prometheusAddr is the address of the Prometheus of this test.
const prometheusAddr = "127.0.0.1:9090"

// A dashboard is what the test reads of one of Grafana's.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr, LegendFormat string }
	}
}

// collectionAddr is the admin.listen of the collection of this test.
const collectionAddr = "127.0.0.1:9354"

// TestDashboardQueriesHaveResults has a Prometheus scrape a sensor with every other kind of source
// and sink, and a collection, both without a Kafka broker, and asks it every query of the dashboard. Each must have a result with the labels of its
// legend, except those that show only what is above zero.
func TestDashboardQueriesHaveResults(t *testing.T) {
	t.Parallel()
	lab.RequirePrograms(t, "prometheus")
	n := lab.NewNamespace(t)
	authority := lab.NewAuthority(t, n.Dir, "ca")
	cert, key := authority.Issue(t, n.Dir, "sensor.example.net")
	startSensor(t, n, unixSource+`
source "dnstap" "tls" {
  listen = "tcp://127.0.0.1:6000"
  tls {
    cert = "`+cert+`"
    key  = "`+key+`"
  }
}
`+packetSource("", "lo")+jsonLog+fileSink("first", "dnsqr")+`
sink "nmsg" "remote" {
  to = "udp://127.0.0.1:9430"
}
sink "nmsg" "topic" {
  to = "kafka://127.0.0.1:9092/dns"
}
admin {
}
`)
	startSensor(t, n, `
source "kafka" "topic" {
  brokers = ["127.0.0.1:9092"]
  topic   = "dns"
  group   = "collection"
}
`+jsonLog+fileSink("first", "dnsqr")+`
admin {
  listen = "`+collectionAddr+`"
}
`)
	startPrometheus(t, n)
	queries := 0
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			queries++
			await(t, "a result of "+q.Expr, func() bool {
				labels, ok := query(t, n, q.Expr)
				if !ok {
					return false
				}
				for _, l := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1) {
					if labels[l[1]] == "" {
						t.Fatalf("panel %q: the result of %s has no label %s: %v", p.Title, q.Expr, l[1], labels)
					}
				}
				return true
			})
		}
	}
	if queries < 34 {
		t.Errorf("only %d queries were checked", queries)
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	text, err := os.ReadFile("../conf/grafana/dnstap-pdns.json")
	if err == nil {
		err = json.Unmarshal(text, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// startPrometheus starts a Prometheus that scrapes both sensors every second.
func startPrometheus(t *testing.T, n *lab.Namespace) {
	t.Helper()
	config := filepath.Join(n.Dir, "prometheus.yml")
	text := "scrape_configs:\n- job_name: dnstap-pdns\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['" + adminAddr + "', '" + collectionAddr + "']\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	n.Start(t, "prometheus", exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(n.Dir, "tsdb"),
		"--web.listen-address="+prometheusAddr))
}

// query asks Prometheus a query of the dashboard as of now, and returns the labels of its first
// result. It reports false if there is no result yet. Without the condition "> 0" at their
// end, queries that show only what happens have a result too. So has the time since the latest
// message, if there was none.
func query(t *testing.T, n *lab.Namespace, expr string) (labels map[string]string, ok bool) {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "10s", "$instance", ".*", " > 0)", ")").Replace(strings.TrimSuffix(expr, " > 0"))
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Metric map[string]string }
		}
	}
	status, body, err := request(t, n, prometheusAddr, "/api/v1/query?query="+url.QueryEscape(expr))
	if err != nil || status == http.StatusServiceUnavailable {
		return nil, false // it has not started yet
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if answer.Status != "success" {
		t.Fatalf("%s: %s", expr, answer.Error)
	}
	if len(answer.Data.Result) == 0 {
		return nil, false
	}
	return answer.Data.Result[0].Metric, true
}
