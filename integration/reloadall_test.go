package integration

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// A feeder sends a capture repeatedly over one connection.
type feeder struct {
	sent uint64       // frames; valid after stop
	stop func() error // sends STOP and waits for FINISH
}

// feed starts sending frames over nc.
func feed(t *testing.T, nc net.Conn, frames []*dnstap.Dnstap) *feeder {
	t.Helper()
	w, err := framestream.NewWriter(nc, &framestream.WriterOptions{
		ContentTypes: [][]byte{[]byte(contentType)}, Bidirectional: true, Timeout: waitTime,
	})
	if err != nil {
		t.Fatal(err)
	}
	f, stopping, ended := &feeder{}, make(chan struct{}), make(chan error, 1)
	go func() { ended <- f.send(w, frames, stopping) }()
	f.stop = sync.OnceValue(func() error {
		defer nc.Close()
		close(stopping)
		return <-ended
	})
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *feeder) send(w *framestream.Writer, frames []*dnstap.Dnstap, stopping <-chan struct{}) error {
	for i := 0; ; i = (i + 1) % len(frames) {
		select {
		case <-stopping:
			return w.Close()
		case <-time.After(time.Millisecond):
		}
		raw, err := proto.Marshal(frames[i])
		if err != nil {
			return err
		}
		if _, err := w.WriteFrame(raw); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		f.sent++
	}
}

// plainAddr is the address of a TCP source without TLS; that of the TLS source is tapAddr.
var plainAddr = netip.MustParseAddrPort("127.0.0.1:6001")

// TestReloadUnderLoadOfEveryKind sends from every kind of source to every kind of sink during
// reloads by SIGHUP and by a change of local_names_file, valid and invalid. Connections are
// kept, each source reads all messages, and each sink has every record once.
func TestReloadUnderLoadOfEveryKind(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	secret := newSecrets(t, w.Namespace)
	receiver := listen(t, w.Namespace)
	const mtu = 1280
	config := unixSource + secret.source(false) + fmt.Sprintf(`
source "dnstap" "plain" {
  listen = "tcp://%s"
}
source "pcap" "packets" {
  interface = "lo"
  resolvers = [%q, %q]
}
sink "nmsg" "out" {
  to = "stdout:"
}
`, plainAddr, lab.Resolver4, lab.Resolver6) + fileSink("first", "dnsqr") + udpSink("udp", "dnsqr", receiver.at, mtu) +
		strings.Replace(exactTimes, "local_names ", "local_names_file = \"names\"\n  local_names ", 1)
	config = strings.Replace(config, `source "dnstap" "tap" {
  listen = "tcp://`, `source "dnstap" "tls" {
  listen = "tcp://`, 1)

	s := newSensor(t, w.Namespace)
	names := filepath.Join(s.dir, "names")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(names, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("internal.example\n")
	s.configure(t, config)
	stdout := filepath.Join(s.dir, "stdout.nmsg")
	s.Process = w.Namespace.Start(t, "sensor", exec.Command("sh", "-c", `exec "$0" run -c "$1" >"$2"`, sensorBinary, s.config, stdout))
	s.awaitLog(t, "started", 1)

	frames := captured(t, "testdata/unbound.fstrm")
	feeders := map[string]*feeder{}
	for name, dial := range map[string]func() (net.Conn, error){
		"tap":   func() (net.Conn, error) { return net.Dial("unix", s.tapPath()) },
		"plain": func() (net.Conn, error) { return net.Dial("tcp", plainAddr.String()) },
		"tls": func() (net.Conn, error) {
			return tls.Dial("tcp", tapAddr.String(), &tls.Config{InsecureSkipVerify: true}) // other tests check the certificate
		},
	} {
		var nc net.Conn
		var err error
		w.Namespace.Enter(t, func() { nc, err = dial() })
		if err != nil {
			t.Fatal(err)
		}
		feeders[name] = feed(t, nc, frames)
	}
	unbound := w.Unbound(t, lab.Options{})
	f := startFlow(t, w, unbound, flowPause)

	for range 5 {
		f.await(t, 30)
		s.reload(t, config+fileSink("second", "dnstap"), "reloaded")
		f.await(t, 30)
		s.reload(t, config, "reloaded")
	}
	s.reload(t, config+"sink {", "reload failed; the configuration in force stays")
	put("internal.example\nother.example\n")
	s.awaitLog(t, "local_names_file was read again", 1)
	put("no name\n")
	s.awaitLog(t, "local_names_file has changed and cannot be used; the names in force stay", 1)
	f.await(t, 30)
	f.stop(t)
	unbound.Stop(t)
	for name, f := range feeders {
		if err := f.stop(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	closing := s.stop(t)

	for name, f := range feeders {
		if got := closing.sources[name].Read; got != f.sent || got < uint64(len(frames)) {
			t.Errorf("source %s: read %d messages of %d", name, got, f.sent)
		}
	}
	if n := len(s.logged(t, connected)); n != len(feeders) {
		t.Errorf("%d connections in all, want %d", n, len(feeders))
	}
	first, udp := s.written(t, "first"), readOutput(t, receiver.finish(t, mtu))
	raw, err := os.ReadFile(stdout)
	if err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]output{"first": first, "udp": udp, "out": readOutput(t, raw)} {
		if got := closing.sinks[name]; got.Delivered != closing.Records || uint64(len(o.records)) != closing.Records {
			t.Errorf("sink %s: %d delivered, %d received, of %d records", name, got.Delivered, len(o.records), closing.Records)
		}
		if d := cmp.Diff(payloads(first.records), payloads(o.records)); d != "" {
			t.Errorf("%s differs (-file +%s):\n%s", name, name, d)
		}
	}
	f.check(t, everyName, ofFlow(first))
}

// ofFlow returns the records of a flow's questions, without those of feeders.
func ofFlow(o output) output {
	asked := regexp.MustCompile(`^h[0-9]+[.]wild[.]shop[.]com[.]$`)
	var own []nmsgcheck.Record
	for _, r := range o.records {
		if asked.MatchString(r.Name) {
			own = append(own, r)
		}
	}
	o.records = own
	return o
}
