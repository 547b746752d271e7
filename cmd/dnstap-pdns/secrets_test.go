package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
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
	`source "pcap" NAME.promiscuous`, `source "pcap" NAME.decapsulate`, `source "pcap" NAME.vxlan_ports`, `source "pcap" NAME.verify_checksum`,
	`source "pcap" NAME.ring`, `source "pcap" NAME.lanes`, `pairing.max_queries`, `pairing.timeout`, `outward.forwarded`,
	`outward.unanswered`, `outward.local_servers`, `outward.rcodes`, `scrub.resolver_address`, `scrub.local_names_inside`,
	`scrub.lookups`, `scrub.special_names`, `scrub.time_resolution`, `sink "nmsg" NAME.message`, `sink "nmsg" NAME.mtu`,
	`sink "nmsg" NAME.flush`, `sink "nmsg" NAME.queue`, `sink "nmsg" NAME.zlib`, `sink "nmsg" NAME.rate`,
	`sink "nmsg" NAME.rotate`, `sink "nmsg" NAME.rotate_size`, `sink "nmsg" NAME { keep }.age`,
	`sink "nmsg" NAME { keep }.size`, `sink "nmsg" NAME.channel`, `sink "nmsg" NAME { spool }.max_bytes`, `sink "nmsg" NAME { spool }.max_age`,
	`sink "json" NAME.format`, `sink "json" NAME.message`,
	`aggregate NAME.window`, `aggregate NAME.max_entries`, `aggregate NAME.max_bytes`, `aggregate NAME.insertions`,
	`aggregate NAME.bailiwick_wait`, `aggregate NAME.flush`, `aggregate NAME.queue`,
	`source "kafka" NAME.commit`, `source "kafka" NAME { sasl }.mechanism`, `sink "nmsg" NAME { sasl }.mechanism`, `aggregate NAME { release }.sources`,
	`sensor.source`, `sensor.operator`, `sensor.group`,
	`admin.allow_remote`, `admin.samples`, `admin.pprof`, `log.level`, `log.format`,
}

// publicInEveryBlock are such attributes of several blocks.
var publicInEveryBlock = regexp.MustCompile(`^source "\w+" NAME { sensor }\.|` +
	`^sink "(dnstap|json)" NAME(\.(flush|queue|rotate|rotate_size)$| { keep }\.)|` +
	`^(sink "\w+"|aggregate) NAME { policy }\.(types|rcodes|time_resolution)$`)

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
	submission := admin + tap + "}\nsink \"nmsg\" \"s\" {\nto = \"wss://127.0.0.1:1/session/s\"\nchannel = 202\n"
	keyed := submission + "api_key = file(\"api.key\")\n"
	rrsets, cof := admin+tap+"}\naggregate \"r\" {\n", "}\nsink \"json\" \"s\" {\nto = \"stdout:\"\nformat = \"cof\"\n"
	stream := admin + tap + "}\nsink \"dnstap\" \"s\" {\nto = \"tcp://127.0.0.1:1\"\n"
	topic := admin + tap + "}\nsink \"nmsg\" \"s\" {\nto = \"kafka://127.0.0.1:1/t\"\nsasl {\nmechanism = \"PLAIN\"\n"
	from := base + "source \"kafka\" \"k\" {\n"
	const brokers, named = "brokers = [\"127.0.0.1:1\"]\n", "topic = \"t\"\ngroup = \"g\"\n"
	all := []secretValue{
		{`sink "nmsg" NAME.to`, "kafka://s3cr3t.invalid/s3cr3t-topic", admin + tap + "}\nsink \"nmsg\" \"s\" {\nto = env(\"SECRET\")\n}\n", false, "s3cr3t"},
		{`sink "nmsg" NAME { sasl }.user`, "s3cr3t\nuser", topic + "user = env(\"SECRET\")\npassword = file(\"api.key\")\n}\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME { sasl }.password`, "s3cr3t-word", topic + "user = \"u\"\npassword = env(\"SECRET\")\n}\n}\n", false, "s3cr3t"},
		{`sink "nmsg" NAME { sasl }.password`, "s3cr3t\tword", topic + "user = \"u\"\npassword = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME.brokers`, "s3cr3t.invalid", from + named + "brokers = [env(\"SECRET\")]\n}\n", false, "s3cr3t"},
		{`source "kafka" NAME.brokers`, "s3cr3t:0", from + named + "brokers = [env(\"SECRET\")]\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME.topic`, "s3cr3t topic", from + brokers + "topic = env(\"SECRET\")\ngroup = \"g\"\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME.group`, "s3cr3t\ngroup", from + brokers + "topic = \"t\"\ngroup = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME { tls }.ca`, "s3cr3t.pem", from + brokers + named + "tls {\nca = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME { tls }.cert`, "s3cr3t.pem", from + brokers + named + "tls {\ncert = env(\"SECRET\")\nkey = \"key.pem\"\n}\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME { tls }.key`, dir + "/s3cr3t.pem", from + brokers + named + "tls {\ncert = \"cert.pem\"\nkey = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME { sasl }.user`, "s3cr3t\nuser", from + brokers + named + "sasl {\nmechanism = \"PLAIN\"\nuser = env(\"SECRET\")\npassword = file(\"api.key\")\n}\n}\n", true, "s3cr3t"},
		{`source "kafka" NAME { sasl }.password`, "s3cr3t-word", from + brokers + named + "sasl {\nmechanism = \"PLAIN\"\nuser = \"u\"\npassword = env(\"SECRET\")\n}\n}\n", false, "s3cr3t"},
		{`sink "nmsg" NAME.api_key`, "s3cr3t-key", submission + "api_key = env(\"SECRET\")\n}\n", false, "s3cr3t"},
		{`sink "nmsg" NAME.api_key`, "s3cr3t\tkey", submission + "api_key = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME.api_key`, dir + "/s3cr3t-gone", submission + "api_key = file(env(\"SECRET\"))\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME { tls }.ca`, "s3cr3t.pem", keyed + "tls {\nca = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME { tls }.cert`, "s3cr3t.pem", keyed + "tls {\ncert = env(\"SECRET\")\nkey = \"key.pem\"\n}\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME { tls }.key`, dir + "/s3cr3t.pem", keyed + "tls {\ncert = \"cert.pem\"\nkey = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME { spool }.dir`, dir + "/cert.pem/s3cr3t", keyed + "spool {\ndir = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`sink "dnstap" NAME.to`, "unix://" + dir + "/s3cr3t/out.sock", admin + tap + "}\nsink \"dnstap\" \"s\" {\nto = env(\"SECRET\")\n}\n", false, "s3cr3t"},
		{`sink "dnstap" NAME.to`, "tcp://s3cr3t.invalid:6000", admin + tap + "}\nsink \"dnstap\" \"s\" {\nto = env(\"SECRET\")\n}\n", false, "s3cr3t"},
		{`sink "dnstap" NAME.identity`, "s3cr3t-host", stream + "identity = env(\"SECRET\")\n}\n", false, "s3cr3t"},
		{`sink "dnstap" NAME.version`, "s3cr3t\n1", stream + "version = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`sink "dnstap" NAME { tls }.ca`, "s3cr3t.pem", stream + "tls {\nca = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`sink "dnstap" NAME { tls }.cert`, "s3cr3t.pem", stream + "tls {\ncert = env(\"SECRET\")\nkey = \"key.pem\"\n}\n}\n", true, "s3cr3t"},
		{`sink "dnstap" NAME { tls }.key`, "s3cr3t.pem", stream + "tls {\ncert = \"cert.pem\"\nkey = env(\"SECRET\")\n}\n}\n", true, "s3cr3t"},
		{`sink "json" NAME.to`, "file://" + dir + "/s3cr3t/%Y%m%dT%H%M%S.json", admin + tap + "}\nsink \"json\" \"s\" {\nto = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`aggregate NAME.state`, dir + "/s3cr3t/rrsets.state", rrsets + "state = env(\"SECRET\")\n" + cof + "}\n", true, "s3cr3t"},
		{`aggregate NAME.root_zone`, "s3cr3t.zone", rrsets + "root_zone = env(\"SECRET\")\n" + cof + "}\n", true, "s3cr3t"},
		{`aggregate NAME { policy }.names`, "s3cr3t.example", rrsets + "policy {\nnames = [env(\"SECRET\")]\n}\n" + cof + "}\n", false, "s3cr3t"},
		{`aggregate NAME { policy }.except_names`, "s3cr3t.example", rrsets + "policy {\nexcept_names = [env(\"SECRET\")]\n}\n" + cof + "}\n", false, "s3cr3t"},
		{`sink "json" NAME.from`, "s3cr3t", rrsets + cof + "from = env(\"SECRET\")\n}\n", true, "s3cr3t"},
		{`sink "nmsg" NAME.from`, "s3cr3t", rrsets + "}\nsink \"nmsg\" \"s\" {\nto = \"stdout:\"\nmessage = \"dnsdedupe\"\nfrom = env(\"SECRET\")\n}\n", true, "s3cr3t"},
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
		{`admin.host_names`, "s3cr3t.example/", tap + "}\n" + sink + "admin {\nlisten = \"\"\nhost_names = [env(\"SECRET\")]\n}\n", true, "s3cr3t"},
		{`admin.listen`, "192.0.2.77:9353", tap + "}\n" + sink + "admin {\nlisten = env(\"SECRET\")\nallow_remote = true\n}\n", true, "192.0.2.77"},
	}
	for _, typ := range []string{"nmsg", "dnstap", "json"} {
		block := fmt.Sprintf("%s}\nsink %q \"s\" {\nto = \"file://%s/%%Y%%m%%dT%%H%%M%%S.x\"\n", admin+tap, typ, dir)
		name := fmt.Sprintf("sink %q NAME", typ)
		all = append(all,
			secretValue{name + ".on_rotate", "s3cr3t-program", block + "on_rotate = [env(\"SECRET\")]\n}\n", true, ""},
			secretValue{name + " { policy }.names", "s3cr3t.example", block + "policy {\nnames = [env(\"SECRET\")]\n}\n}\n", false, "s3cr3t"},
			secretValue{name + " { policy }.except_names", "s3cr3t example", block + "policy {\nexcept_names = [env(\"SECRET\")]\n}\n}\n", true, "s3cr3t"})
	}
	return all
}

// TestNoOutputContainsSecrets: errors about a value from a function must not show it.
func TestNoOutputContainsSecrets(t *testing.T) {
	dir := t.TempDir()
	certificate, key := newPair(t)
	for name, text := range map[string][]byte{
		"s3cr3t.list": []byte("good.example\n*bad\n"), "s3cr3t-empty.list": []byte("# none\n"), "cert.pem": certificate, "key.pem": key, "api.key": []byte("key\n"),
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
		if !slices.Contains(publicAttributes, name) && !publicInEveryBlock.MatchString(name) && !slices.ContainsFunc(all, func(v secretValue) bool { return v.attribute == name }) {
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
			for name, text := range outputs(t, path) {
				quoted = quoted || strings.Contains(text, "SECRET")
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

// outputs runs commands with a configuration, and returns what each printed: records and reports
// are left out.
func outputs(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, args := range map[string][]string{
		"check": {}, "run": {}, "replay": {"demo.fstrm", "--send"}, "explain": {"demo.fstrm"},
	} {
		ctx, stop := context.WithCancel(t.Context())
		errs, out := &stopper{stop: stop}, new(bytes.Buffer)
		std := stdio{out: out, err: errs, secrets: new(secrets)}
		c, _ := find(name)
		exitCode(name, c.run(ctx, append([]string{"-c", path}, args...), std), std)
		stop()
		all[name] = errs.String()
		if name == "check" {
			all[name] += out.String()
		}
	}
	return all
}

// TestNoOutputContainsThePasswordOfAProxy, which is in the environment.
func TestNoOutputContainsThePasswordOfAProxy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.hcl")
	config := "source \"dnstap\" \"a\" {\nlisten = \"unix://" + dir + "/tap.sock\"\n}\nadmin {\nlisten = \"\"\n}\n" +
		"sink \"nmsg\" \"s\" {\nto = \"wss://submit.invalid/session/s\"\nchannel = 202\napi_key = env(\"SECRET\")\n}\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET", "s3cr3t-key")
	for _, proxy := range []string{"http://someone:s3cr3t-word@127.0.0.1:1", "http://someone:s3cr3t-word@[::1", "https://s3cr3t-word@proxy.invalid:1"} {
		t.Setenv("HTTPS_PROXY", proxy)
		tried := false
		for name, text := range outputs(t, path) {
			tried = tried || strings.Contains(text, "proxy") || strings.Contains(text, "127.0.0.1:1")
			if strings.Contains(text, "s3cr3t") {
				t.Errorf("%s shows a secret:\n%s", name, text)
			}
		}
		if !tried {
			t.Errorf("%s: no command used the proxy: the test proves nothing", proxy)
		}
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
