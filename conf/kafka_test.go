package conf

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
	kafkasink "github.com/dnstap-pdns/dnstap-pdns/forward/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/spool"
)

func TestEveryAttributeOfAKafkaSinkSetsItsField(t *testing.T) {
	setEnvironment(t)
	f, diags := Load("testdata/valid/kafka.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	sink := func(c forward.SinkConfig) forward.SinkConfig {
		c.Flush, c.Queue = 500*time.Millisecond, 16<<20
		return c
	}
	want := []forward.SinkConfig{
		sink(forward.SinkConfig{
			Name:   "raw",
			Target: forward.Target{Scheme: forward.Kafka, Address: "kafka1.example.net:9092,[2001:db8::1]:9094/dns.raw"},
			Format: forward.NMSG{Message: nmsg.DNSObs},
			MTU:    64 << 10,
			Zlib:   true,
			Transport: spool.Config{
				Dir: "/var/lib/dnstap-pdns/spool", MaxBytes: 1 << 30, MaxAge: 168 * time.Hour,
				Transport: kafkasink.Config{Topic: "dns.raw", Brokers: brokers.Config{
					Addresses: []string{"kafka1.example.net:9092", "[2001:db8::1]:9094"},
					TLS: &certs.ClientFiles{
						CA:   "testdata/valid/ca.pem",
						Cert: "/etc/dnstap-pdns/cert.pem",
						Key:  "-----BEGIN PRIVATE KEY-----\ntop-secret\n-----END PRIVATE KEY-----",
					},
					SASL: brokers.SASL{Mechanism: "SCRAM-SHA-256", User: "sensor-7", Password: secret.InFile("testdata/valid/secret.txt")},
				}},
			},
		}),
		sink(forward.SinkConfig{
			Name:   "rrsets-to-kafka",
			Target: forward.Target{Scheme: forward.Kafka, Address: "localhost:9092/dns_rrsets"},
			From:   "rrsets",
			Format: forward.DNSDedupe{Buckets: true},
			MTU:    256 << 10,
			Transport: kafkasink.Config{Topic: "dns_rrsets", Brokers: brokers.Config{
				Addresses: []string{"localhost:9092"},
				SASL:      brokers.SASL{Mechanism: "PLAIN", User: "hidden-name.example", Password: secret.Text("hidden value")},
			}},
		}),
		sink(forward.SinkConfig{
			Name:      "plain",
			Target:    forward.Target{Scheme: forward.Kafka, Address: "127.0.0.1:9092/dns"},
			Format:    forward.NMSG{Message: nmsg.DNSQR},
			MTU:       256 << 10,
			Transport: kafkasink.Config{Topic: "dns", Brokers: brokers.Config{Addresses: []string{"127.0.0.1:9092"}}},
		}),
	}
	if diff := cmp.Diff(want, f.Outputs(), sameAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := f.Sinks[0].Transport.(aggregate.Config).Release; got != 2 {
		t.Errorf("release.sources is %d, want 2", got)
	}
}

func TestEveryAttributeOfAKafkaSourceSetsItsField(t *testing.T) {
	setEnvironment(t)
	f, diags := Load("testdata/valid/collection.hcl")
	if len(diags) > 0 {
		t.Fatal(messages(t, f, diags))
	}
	want := []kafka.Config{
		{
			Name: "sensors",
			Brokers: brokers.Config{
				Addresses: []string{"kafka1.example.net:9092", "kafka2.example.net:9094", "hidden-name.example:9092"},
				TLS:       &certs.ClientFiles{CA: "testdata/valid/ca.pem"},
				SASL:      brokers.SASL{Mechanism: "SCRAM-SHA-512", User: "collection", Password: secret.InFile("testdata/valid/secret.txt")},
			},
			Topic: "dns.rrsets", Group: "collection", Commit: 15 * time.Minute,
		},
		{
			Name:    "own",
			Brokers: brokers.Config{Addresses: []string{"127.0.0.1:9092"}},
			Topic:   "raw", Group: "collection", Commit: 10 * time.Minute,
		},
	}
	if diff := cmp.Diff(want, f.Kafka, sameAddresses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]nmsg.IDs{"sensors": {Source: 99}}, f.SourceIDs); diff != "" {
		t.Errorf("ids of payloads without (-want +got):\n%s", diff)
	}
	if f.NumSources() != 2 {
		t.Errorf("%d sources, want 2", f.NumSources())
	}
}

// TestSinksWaitIfASourceCan: a Kafka source can be paused, and a resolver cannot.
func TestSinksWaitIfASourceCan(t *testing.T) {
	setEnvironment(t)
	for path, want := range map[string]bool{"testdata/valid/collection.hcl": true, "testdata/valid/kafka.hcl": false, "testdata/valid/aggregate.hcl": false} {
		f, diags := Load(path)
		if len(diags) > 0 {
			t.Fatal(messages(t, f, diags))
		}
		for _, c := range f.Sinks {
			if c.Waits != want {
				t.Errorf("%s: sink %q: waits is %t, want %t", path, c.Name, c.Waits, want)
			}
		}
	}
}

// TestMaskHidesTheBrokersOfATarget, each alone: an error is about one of them.
func TestMaskHidesTheBrokersOfATarget(t *testing.T) {
	t.Setenv("PDNS_TEST_TO", "kafka://first.hidden.example,second.hidden.example:9094/hidden-topic")
	f := mustParse(t, "sink nmsg a {\nto = env(\"PDNS_TEST_TO\")\n}\n")
	for _, text := range []string{
		"dial first.hidden.example:9092: refused", "lookup second.hidden.example: no such host",
		"topic hidden-topic does not exist", "sent to kafka://first.hidden.example:9092,second.hidden.example:9094/hidden-topic",
	} {
		if got := f.Mask(text); strings.Contains(got, "hidden") || !strings.Contains(got, `env("PDNS_TEST_TO")`) {
			t.Errorf("%q is shown as %q", text, got)
		}
	}
}

// TestExampleContainsEveryKafkaAttribute: its source is not enabled together with others, so it is
// commented in another way.
func TestExampleContainsEveryKafkaAttribute(t *testing.T) {
	setCredentials(t)
	src, err := os.ReadFile("dnstap-pdns.hcl")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(src)) {
		if code, ok := strings.CutPrefix(line, "##"); ok {
			lines = append(lines, code)
		}
	}
	f := mustParse(t, strings.Join(lines, ""))
	if len(f.Kafka) != 1 {
		t.Fatalf("%d Kafka sources", len(f.Kafka))
	}
	for _, s := range f.sections {
		if s.schema.typ != "kafka" {
			continue
		}
		if len(s.inner) != len(s.schema.blocks) {
			t.Errorf("%d blocks, want %d", len(s.inner), len(s.schema.blocks))
		}
		for _, b := range append(s.inner, s) {
			for name, set := range b.settings {
				if set.expr == nil {
					t.Errorf("%s.%s is not in the example", b.schema.name, name)
				}
			}
		}
	}
}
