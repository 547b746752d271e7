package statement

import (
	"strings"
	"testing"

	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// permissive changes everything that a statement depends on.
const permissive = `
source "dnstap" "a" {
  listen = "tcp://127.0.0.1:6000"
}
source "pcap" "b" {
  interfaces = ["eth0"]
  resolvers  = ["198.51.100.53"]
}
outward {
  forwarded     = true
  unanswered    = true
  local_servers = true
  rcodes        = ["NOERROR"]
}
scrub {
  resolver_address   = "keep"
  resolvers          = ["192.0.2.53"]
  local_names        = ["secret.example"]
  local_names_inside = "keep"
  local_networks     = ["198.51.100.0/24"]
  lookups            = "keep"
  special_names      = false
  time_resolution    = "1ns"
}
sink "nmsg" "remote" {
  to = "udp://${env("RECEIVER")}:9430"
}
sink "nmsg" "files" {
  to        = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
  on_rotate = ["/usr/local/bin/upload"]
  keep {
    age = "720h"
  }
}
sink "nmsg" "out" {
  to = "stdout:"
}
aggregate "kept" {
  state = "/var/lib/dnstap-pdns/rrsets.state"
}
aggregate "memory" {}
sink "nmsg" "database" {
  to      = "udp://127.0.0.1:9431"
  message = "dnsdedupe"
  from    = "kept"
}
admin {
  samples = true
}
`

// collection reads from Kafka, and its sinks differ in what they get.
const collection = `
source "kafka" "sensors" {
  brokers = ["kafka.secret.example", "192.0.2.53:9092"]
  topic   = "dns.rrsets"
  group   = "collection"
  commit  = "10m"
  tls {}
  sasl {
    mechanism = "SCRAM-SHA-512"
    user      = "collection"
    password  = env("RECEIVER")
  }
}
aggregate "released" {
  release {
    sources = 3
  }
}
sink "json" "cof" {
  to     = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.cof"
  format = "cof"
}
sink "nmsg" "onwards" {
  to      = "kafka://${env("RECEIVER")}:9093/dns.released"
  message = "dnsdedupe"
  tls {}
}
`

func subject(t *testing.T, text string) *Subject {
	t.Helper()
	file, diags := conf.Parse("site.hcl", []byte(text))
	if text == "" {
		file, diags = conf.Default()
	}
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return &Subject{File: file, Name: "site.hcl", Option: "-c site.hcl", Version: "1.2.3", Warnings: file.Warnings()}
}

func statement(t *testing.T, s *Subject) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestStatements compares the statements about the default, a permissive configuration and a collection
// with the golden ones.
func TestStatements(t *testing.T) {
	t.Setenv("RECEIVER", "hidden.example")
	golden.Assert(t, statement(t, subject(t, "")), "default.md")
	golden.Assert(t, statement(t, subject(t, permissive)), "permissive.md")
	golden.Assert(t, statement(t, subject(t, collection)), "collection.md")
}

// TestNothingOfTheOrganisationIsPublished searches a statement for the names, networks and
// addresses in its configuration, and for the value of a function.
func TestNothingOfTheOrganisationIsPublished(t *testing.T) {
	t.Setenv("RECEIVER", "hidden.example")
	text := statement(t, subject(t, permissive)) + statement(t, subject(t, collection))
	for _, hidden := range []string{"secret.example", "198.51.100", "192.0.2.53", "hidden.example"} {
		if strings.Contains(text, hidden) {
			t.Errorf("the statement contains %s", hidden)
		}
	}
}

// TestEveryRuleAndReasonHasAState compares what the two configurations leave out with what their
// settings say. All other rules and reasons of the ledger are in both statements.
func TestEveryRuleAndReasonHasAState(t *testing.T) {
	t.Setenv("RECEIVER", "hidden.example")
	for name, c := range map[string]struct{ text, unused string }{
		"default":    {"", "local_name local_name_in_name local_name_inside local_name_in_rdata local_network"},
		"permissive": {permissive, "forwarded local_server unanswered lookup special_name resolver_zeroed id_zeroed time_truncated resolver_in_address resolver_in_name resolver_in_rdata local_name_inside list_lookup special_use no_tld"},
	} {
		text := statement(t, subject(t, c.text))
		rows := map[string]string{} // meanings by name
		for _, r := range transform.Reasons() {
			rows[r.String()] = r.Meaning()
		}
		for _, r := range transform.Rules() {
			rows[r.String()] = r.Meaning()
		}
		for row, meaning := range rows {
			unused := strings.Contains(" "+c.unused+" ", " "+row+" ")
			if listed := strings.Contains(text, "\n| `"+row+"` | "+meaning+" |"); listed == unused {
				t.Errorf("%s: %s is listed: %v", name, row, listed)
			}
		}
	}
}
