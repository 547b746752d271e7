package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// publicAttributes are the attributes whose values are not secret: numbers, booleans, durations,
// sizes and keywords.
var publicAttributes = []string{
	`source "dnstap" NAME.mode`, `source "dnstap" NAME.max_connections`, `source "dnstap" NAME.max_frame`,
	`source "dnstap" NAME.handshake_timeout`, `source "pcap" NAME.when`, `source "pcap" NAME.idle_after`,
	`source "pcap" NAME.promiscuous`, `source "pcap" NAME.decapsulate`, `source "pcap" NAME.verify_checksum`,
	`source "pcap" NAME.ring`, `source "pcap" NAME.lanes`, `pairing.max_queries`, `pairing.timeout`, `outward.forwarded`,
	`outward.unanswered`, `outward.local_servers`, `outward.rcodes`, `scrub.resolver_address`, `scrub.local_names_inside`,
	`scrub.lookups`, `scrub.special_names`, `scrub.time_resolution`, `sink "nmsg" NAME.message`, `sink "nmsg" NAME.mtu`,
	`sink "nmsg" NAME.flush`, `sink "nmsg" NAME.queue`, `sink "nmsg" NAME.zlib`, `sink "nmsg" NAME.rate`,
	`sink "nmsg" NAME.rotate`, `sink "nmsg" NAME.rotate_size`, `sensor.source`, `sensor.operator`, `sensor.group`,
	`admin.allow_remote`, `admin.samples`, `admin.pprof`, `log.level`, `log.format`,
}

// A secretValue is the value of an attribute from env("SECRET").
type secretValue struct {
	attribute string // as in the reference
	value     string
	config    string
	fails     bool   // check or run quotes the attribute
	also      string // another text that no output may contain
}

// secretValues returns at least one value of each attribute that is not public.
func secretValues(dir string) []secretValue {
	const sink = "sink \"nmsg\" \"s\" {\nto = \"stdout:\"\n}\n"
	admin := "admin {\nlisten = \"\"\n}\n"
	tap := "source \"dnstap\" \"a\" {\nlisten = \"unix://" + dir + "/tap.sock\"\n"
	tls := "source \"dnstap\" \"a\" {\nlisten = \"tcp://127.0.0.1:6000\"\ntls {\n"
	span := "source \"pcap\" \"p\" {\n"
	const resolvers = "resolvers = [\"192.0.2.53\"]\n"
	tunnel := span + "interface = \"no-such-if\"\n" + resolvers + "decapsulate = true\n"
	base := admin + sink
	running := base + tap + "}\n"
	return []secretValue{
		{`source "dnstap" NAME.listen`, "unix://" + dir + "/s3cr3t/tap.sock", base + "source \"dnstap\" \"a\" {\nlisten = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`source "dnstap" NAME.listen`, dir + "/s3cr3t", base + "source \"dnstap\" \"a\" {\nlisten = \"unix://${env(\"SECRET\")}/tap.sock\"\n}\n", true, "s3cr3t"},
		{`source "dnstap" NAME.listen`, "tcp://192.0.2.77:6000", base + "source \"dnstap\" \"a\" {\nlisten = env(\"SECRET\")\n}\n", true, "192.0.2.77"},
		{`source "dnstap" NAME.owner`, "s3cr3t-user", base + tap + "owner = env(\"SECRET\")\n}\n", true, ""},
		{`source "dnstap" NAME.group`, "s3cr3t-group", base + tap + "group = env(\"SECRET\")\n}\n", true, ""},
		{`source "dnstap" NAME { tls }.cert`, "s3cr3t.pem", base + tls + "cert = env(\"SECRET\")\nkey = \"key.pem\"\n}\n}\n", true, "s3cr3t"},
		{`source "dnstap" NAME { tls }.key`, dir + "/s3cr3t.pem", base + tls + "cert = \"cert.pem\"\nkey = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`source "dnstap" NAME { tls }.client_ca`, "s3cr3t.pem", base + tls + "cert = \"cert.pem\"\nkey = \"key.pem\"\nclient_ca = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`source "pcap" NAME.interface`, "s3cr3t0", base + span + "interface = env(\"SECRET\")\n" + resolvers + "}\n", false, ""},
		{`source "pcap" NAME.interfaces`, "s3cr3t0", base + span + "interfaces = [env(\"SECRET\")]\n" + resolvers + "}\n", false, ""},
		{`source "pcap" NAME.resolvers`, "10.77.0.0/16", base + span + "interface = \"no-such-if\"\nresolvers = [env(\"SECRET\")]\n}\n", false, "10.77"},
		{`source "pcap" NAME.decapsulate_from`, "10.77.0.0/16", base + tunnel + "decapsulate_from = [env(\"SECRET\")]\n}\n", false, "10.77"},
		{`source "pcap" NAME.decapsulate_to`, "10.77.0.1", base + tunnel + "decapsulate_from = [\"192.0.2.1\"]\ndecapsulate_to = [env(\"SECRET\")]\n}\n", false, "10.77"},
		{`scrub.resolvers`, "10.0.0.0/7", running + "scrub {\nresolvers = [env(\"SECRET\")]\n}\n", false, ""},
		{`scrub.local_names`, "s3cr3t", running + "scrub {\nlocal_names = [\"corp.example\", env(\"SECRET\")]\n}\n", false, ""},
		{`scrub.local_names`, "s3cr3t.github.io", running + "scrub {\nlocal_names = [env(\"SECRET\")]\n}\n", false, "s3cr3t"},
		{`scrub.local_names_file`, "s3cr3t.list", running + "scrub {\nlocal_names_file = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`scrub.local_names_file`, dir + "/s3cr3t-empty.list", running + "scrub {\nlocal_names_file = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`scrub.local_networks`, "8.0.0.0/6", running + "scrub {\nlocal_networks = [env(\"SECRET\")]\n}\n", false, ""},
		{`scrub.lookup_zones`, "dnsbl.s3cr3t.example", running + "scrub {\nlookup_zones = [env(\"SECRET\")]\n}\n", false, "s3cr3t"},
		{`scrub.root_servers`, "10.77.0.1", running + "scrub {\nroot_servers = [env(\"SECRET\")]\n}\n", false, "10.77"},
		{`sink "nmsg" NAME.to`, "file://" + dir + "/s3cr3t/%Y%m%dT%H%M%S.nmsg", admin + tap + "}\nsink \"nmsg\" \"s\" {\nto = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME.to`, "udp://s3cr3t.invalid:9430", admin + tap + "}\nsink \"nmsg\" \"s\" {\nto = env(\"SECRET\")\n}\n", false, "s3cr3t"},
		{`sink "nmsg" NAME.on_rotate`, "s3cr3t-program", admin + tap + "}\nsink \"nmsg\" \"s\" {\nto = \"file://" + dir + "/%Y%m%dT%H%M%S.nmsg\"\non_rotate = [env(\"SECRET\")]\n}\n", true, ""},
		{`admin.listen`, "192.0.2.77:9353", tap + "}\n" + sink + "admin {\nlisten = env(\"SECRET\")\nallow_remote = true\n}\n", true, "192.0.2.77"},
	}
}

// TestNoOutputContainsSecrets: errors about a value from a function must not show it.
func TestNoOutputContainsSecrets(t *testing.T) {
	dir := t.TempDir()
	certificate, key := newPair(t)
	for name, text := range map[string][]byte{
		"s3cr3t.list": []byte("good.example\n*bad\n"), "s3cr3t-empty.list": []byte("# none\n"), "cert.pem": certificate, "key.pem": key,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := secretValues(dir)
	reference, err := os.ReadFile("../../conf/testdata/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(.*?)` \\| `(.*?)` \\|").FindAllSubmatch(reference, -1)
	if len(rows) < len(publicAttributes) {
		t.Errorf("only %d attributes found", len(rows))
	}
	for _, row := range rows {
		name := string(row[1]) + "." + string(row[2])
		if !slices.Contains(publicAttributes, name) && !slices.ContainsFunc(all, func(v secretValue) bool { return v.attribute == name }) {
			t.Errorf("%s: add it to publicAttributes, or add a configuration that could show its value to secretValues", name)
		}
	}
	path := filepath.Join(dir, "c.hcl")
	for _, h := range all {
		t.Run(h.attribute+"="+filepath.Base(h.value), func(t *testing.T) {
			t.Setenv("SECRET", h.value)
			if err := os.WriteFile(path, []byte(h.config), 0o600); err != nil {
				t.Fatal(err)
			}
			quoted := false
			for name, args := range map[string][]string{
				"check": {}, "run": {}, "replay": {"demo.fstrm"}, "explain": {"demo.fstrm"},
			} {
				ctx, stop := context.WithCancel(t.Context())
				errs, out := &stopper{stop: stop}, new(bytes.Buffer)
				std := stdio{out: out, err: errs, secrets: new(secrets)}
				exitCode(name, commands[name].run(ctx, append([]string{"-c", path}, args...), std), std)
				stop()
				text := errs.String()
				quoted = quoted || strings.Contains(text, "SECRET")
				if name == "check" {
					text += out.String() // the output of the others is records and reports
				}
				for _, v := range []string{h.value, h.also} {
					if v != "" && strings.Contains(text, v) {
						t.Errorf("%s shows %q:\n%s", name, v, text)
					}
				}
			}
			if h.fails && !quoted {
				t.Error("no command quotes the value: the test proves nothing for this attribute")
			}
		})
	}
}

// newPair returns a certificate and its key, in PEM.
func newPair(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// A stopper is a log that stops the sensor when it has started.
type stopper struct {
	mu   sync.Mutex
	text bytes.Buffer
	stop func()
}

func (s *stopper) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(b, []byte("msg=started")) {
		s.stop()
	}
	return s.text.Write(b)
}

func (s *stopper) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
