package startcheck

import (
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// submission is a sink that submits to an address, and what its block contains in addition.
func submission(inside string) string {
	return "sink \"nmsg\" \"sie\" {\n  to = \"wss://192.0.2.9/session/s\"\n  channel = 202\n  api_key = env(\"PDNS_TEST_KEY\")\n" + inside + "}\n"
}

func dnstapSink(to, inside string) string {
	return fmt.Sprintf("sink \"dnstap\" \"tap\" {\n  to = %q\n%s}\n", to, inside)
}

func kafkaSink(brokers, inside string) string {
	return fmt.Sprintf("sink \"nmsg\" \"topic\" {\n  to = \"kafka://%s/dns\"\n%s}\n", brokers, inside)
}

func kafkaSource(brokers, inside string) string {
	return fmt.Sprintf("source \"kafka\" \"topic\" {\n  brokers = [%q]\n  topic = \"dns\"\n  group = \"collection\"\n%s}\n", brokers, inside)
}

func spoolIn(dir, inside string) string {
	return fmt.Sprintf("  spool {\n    dir = %q\n%s  }\n", dir, inside)
}

func TestServersOfSinks(t *testing.T) {
	t.Setenv("PDNS_TEST_KEY", "key")
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		t.Setenv(name, "")
	}
	f := newFolder(t)
	ca := certstest.NewCA(t, "ca")
	clientFiles := func(name string, expires time.Time) string {
		cert, key := f.path(name+".pem"), f.path(name+".key")
		pair := ca.Issue(t, "sensor", func(c *x509.Certificate) { c.NotAfter = expires })
		certstest.Write(t, cert, pair.Cert)
		certstest.Write(t, key, pair.Key)
		return fmt.Sprintf("  tls {\n    cert = %q\n    key = %q\n  }\n", cert, key)
	}
	listening, gone, plain := f.path("run/listening.sock"), f.path("run/gone.sock"), f.path("run/file")
	listen(t, "unix", listening)
	stale(t, gone)
	linked := f.path("run/link.sock") // a path that the receiver does not know
	if err := os.Symlink(listening, linked); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(f.path("run/spool/old,dnsqr,202"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path("run/spool/old,dnsqr,202/00000000000000000001.nmsg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	later := Options{Later: &Later{}}
	for name, tt := range map[string]struct {
		sink     string
		o        Options
		errs     []string
		warnings []string
	}{
		"nothing to check":                    {submission(""), later, nil, nil},
		"a certificate of next year":          {submission(clientFiles("year", now.AddDate(1, 0, 0))), later, nil, nil},
		"a certificate that expires soon":     {submission(clientFiles("soon", now.AddDate(0, 0, 29))), later, nil, []string{`sink "sie": its client certificate expires on ` + now.AddDate(0, 0, 29).UTC().Format(time.DateOnly)}},
		"an expired certificate":              {submission(clientFiles("late", now.AddDate(0, 0, -1))), later, nil, []string{`sink "sie": its client certificate expired on `}},
		"a certificate of a dnstap sink":      {dnstapSink("tcp://192.0.2.9:6000", clientFiles("tap", now)), later, nil, []string{`sink "tap": its client certificate expired on `}},
		"TLS files absent":                    {submission("  tls {\n    ca = \"/none/ca.pem\"\n  }\n"), later, []string{`sink "sie": TLS ca: open /none/ca.pem`}, nil},
		"TLS files absent, with a spool":      {submission("  tls {\n    ca = \"/none/ca.pem\"\n  }\n" + spoolIn(f.path("out"), "    max_bytes = \"16MiB\"\n")), later, []string{`sink "sie": TLS ca: open /none/ca.pem`}, nil},
		"a spool":                             {submission(spoolIn(f.path("out"), "    max_bytes = \"16MiB\"\n")), later, nil, nil},
		"a spool in a folder to be made":      {submission(spoolIn(f.path("out/a/b%Y"), "    max_bytes = \"16MiB\"\n")), later, nil, nil},
		"a spool in a file":                   {submission(spoolIn(plain, "    max_bytes = \"16MiB\"\n")), later, []string{`sink "sie": creating a file in ` + plain}, []string{"the folders of spools cannot be read: "}},
		"a spool of a sink that was removed":  {submission(spoolIn(f.path("run/spool"), "    max_bytes = \"16MiB\"\n")), later, nil, []string{"the spool " + f.path("run/spool/old,dnsqr,202") + " contains records that no sink sends"}},
		"a spool that a reload removes":       {submission(""), Options{InForce: parse(t, submission(spoolIn(f.path("run/spool"), ""))).Sinks}, nil, []string{"the spool " + f.path("run/spool/old,dnsqr,202") + " contains records that no sink sends"}},
		"a spool below a folder of the units": {submission(spoolIn(f.path("none/spool"), "")), Options{Later: &Later{Units: service.Units{Folders: []string{f.path("none")}}}}, nil, nil},
		"a spool that the unit makes read-only": {submission(spoolIn(f.path("out/spool"), "    max_bytes = \"16MiB\"\n")), Options{Later: &Later{Units: service.Units{ReadOnly: true, Folders: []string{"/var/lib/x"}}}}, nil,
			[]string{`sink "sie": the service may not write to ` + f.path("out")}},
		"little room for a spool": {submission(spoolIn(f.path("out"), "    max_bytes = \"1024GiB\"\n")), later, nil, []string{`sink "sie": only `}},
		"a socket":                {dnstapSink("unix://"+listening, ""), later, nil, nil},
		"a socket by a link":      {dnstapSink("unix://"+linked, ""), later, nil, nil},
		"a stale socket":          {dnstapSink("unix://"+gone, ""), later, nil, []string{`sink "tap": no process listens on its socket`}},
		"no socket":               {dnstapSink("unix://"+f.path("run/none.sock"), ""), later, nil, []string{`sink "tap": its socket does not exist`}},
		"a file for a socket":     {dnstapSink("unix://"+plain, ""), later, nil, []string{`sink "tap": the path in to is not a socket`}},
		"a name without address":  {dnstapSink("tcp://receiver.invalid:6000", "  tls {}\n"), later, nil, []string{`sink "tap": the name of its receiver does not resolve: `}},
		"a server without address": {strings.Replace(submission(""), "192.0.2.9", "receiver.invalid", 1), later, nil,
			[]string{`sink "sie": the name of its receiver does not resolve: `}},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.names(t)
			warnings, err := Run(t.Context(), parse(t, unixSource(f.path("run/tap.sock"))+tt.sink+decided+quiet), tt.o)
			var errs []string
			if err != nil {
				errs = strings.Split(err.Error(), "\n")
			}
			if problems := problems(t, warnings); !eachContains(errs, tt.errs) || !eachContains(problems, tt.warnings) {
				t.Errorf("errors %q, want %q\nwarnings %q, want %q", errs, tt.errs, problems, tt.warnings)
			}
			if after := f.names(t); strings.Join(before, "\n") != strings.Join(after, "\n") {
				t.Errorf("files: before %q, after %q", before, after)
			}
		})
	}
}

// TestBrokers checks sinks and sources of Kafka. Each broker is looked up: the client needs the
// others when one is away.
func TestBrokers(t *testing.T) {
	f := newFolder(t)
	expired := certstest.NewCA(t, "ca").Issue(t, "sensor", func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, -1) })
	certstest.Write(t, f.path("cert.pem"), expired.Cert)
	certstest.Write(t, f.path("cert.key"), expired.Key)
	const unresolved = ": the name of a broker does not resolve: "
	tls := fmt.Sprintf("  tls {\n    cert = %q\n    key = %q\n  }\n", f.path("cert.pem"), f.path("cert.key"))
	absent := "  tls {\n    ca = \"/none/ca.pem\"\n  }\n"
	tap := unixSource(f.path("run/tap.sock"))
	for name, tt := range map[string]struct {
		src            string
		errs, warnings []string
	}{
		"a sink":                         {tap + kafkaSink("localhost,127.0.0.1:9093", ""), nil, nil},
		"a sink, the second broker":      {tap + kafkaSink("127.0.0.1,broker.invalid", "  tls {}\n"), nil, []string{`sink "topic"` + unresolved}},
		"a sink with a spool":            {tap + kafkaSink("127.0.0.1", spoolIn(f.path("out"), "    max_bytes = \"1024GiB\"\n")), nil, []string{`sink "topic": only `}},
		"a certificate of a sink":        {tap + kafkaSink("127.0.0.1", tls), nil, []string{`sink "topic": its client certificate expired on `}},
		"TLS files of a sink absent":     {tap + kafkaSink("127.0.0.1", absent), []string{`sink "topic": TLS ca: open /none/ca.pem`}, nil},
		"a source":                       {kafkaSource("127.0.0.1", "") + stdout, nil, nil},
		"a source, without address":      {kafkaSource("broker.invalid", "  tls {}\n") + stdout, nil, []string{`source "topic"` + unresolved}},
		"a certificate of a source":      {kafkaSource("127.0.0.1", tls) + stdout, nil, []string{`source "topic": its client certificate expired on `}},
		"TLS files of a source absent":   {kafkaSource("127.0.0.1", absent) + stdout, []string{`source "topic": TLS ca: open /none/ca.pem`}, nil},
		"a source, and nothing after it": {kafkaSource("127.0.0.1", ""), []string{"the configuration has no sink"}, nil},
	} {
		text := tt.src + quiet
		if strings.Contains(text, tap) {
			text += decided
		}
		warnings, err := Run(t.Context(), parse(t, text), Options{Later: &Later{}})
		var errs []string
		if err != nil {
			errs = strings.Split(err.Error(), "\n")
		}
		if problems := problems(t, warnings); !eachContains(errs, tt.errs) || !eachContains(problems, tt.warnings) {
			t.Errorf("%s: errors %q, want %q\nwarnings %q, want %q", name, errs, tt.errs, problems, tt.warnings)
		}
		for _, w := range warnings {
			if strings.Contains(w.Problem, "broker.invalid") {
				t.Errorf("%s: a warning names a host: %s", name, w.Problem)
			}
		}
	}
}

// TestAProxyLooksTheServerUp: this machine need not know its name.
func TestAProxyLooksTheServerUp(t *testing.T) {
	target := forward.Target{Scheme: forward.WSS, Address: "receiver.invalid/session/s"}
	t.Setenv("HTTPS_PROXY", "")
	t.Setenv("https_proxy", "")
	if err := lookup(t.Context(), target); err == nil {
		t.Error("receiver.invalid resolves")
	}
	t.Setenv("HTTPS_PROXY", "http://user:password@192.0.2.1:3128")
	if err := lookup(t.Context(), target); err != nil {
		t.Errorf("with a proxy: %v", err)
	}
}

// TestSocketsOfSinksAreNotConnectedTo: the receiver would count the connection.
func TestSocketsOfSinksAreNotConnectedTo(t *testing.T) {
	f := newFolder(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.path("run/out.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Run(t.Context(), parse(t, unixSource(f.path("run/tap.sock"))+dnstapSink("unix://"+f.path("run/out.sock"), "")+decided+quiet), Options{Later: &Later{}}); err != nil {
		t.Fatal(err)
	}
	l.SetDeadline(time.Now().Add(-time.Second)) // accept only what waits
	if conn, err := l.Accept(); err == nil {
		conn.Close()
		t.Error("a connection waits")
	}
}
