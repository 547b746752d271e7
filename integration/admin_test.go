package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// adminAddr is the default address of a sensor's HTTP server.
const adminAddr = "127.0.0.1:9353"

// get requests a path of the running sensor and returns the body.
func (s *sensor) get(t *testing.T, path string) []byte {
	t.Helper()
	status, body := s.request(t, path)
	if status != http.StatusOK {
		t.Fatalf("%s: %d\n%s", path, status, body)
	}
	return body
}

// request requests a path of the running sensor and returns the status and the body.
func (s *sensor) request(t *testing.T, path string) (status int, body []byte) {
	t.Helper()
	status, body, err := request(t, s.namespace, adminAddr, path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return status, body
}

// request requests a path from a server in the namespace.
func request(t *testing.T, n *lab.Namespace, address, path string) (status int, body []byte, err error) {
	t.Helper()
	var conn net.Conn
	n.Enter(t, func() { conn, err = net.Dial("tcp", address) })
	if err != nil {
		return 0, nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(waitTime))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// liveLedger is the content of /ledger.
type liveLedger struct {
	Total   account
	Sources []struct {
		Name, Kind string
		account
	}
	Sinks []struct {
		Name string
		delivery
	}
}

func (b *liveLedger) source(name string) account {
	for _, s := range b.Sources {
		if s.Name == name {
			return s.account
		}
	}
	return account{}
}

func (b *liveLedger) sink(name string) delivery {
	for _, s := range b.Sinks {
		if s.Name == name {
			return s.delivery
		}
	}
	return delivery{}
}

// readLedger returns /ledger after checking its sums.
func (s *sensor) readLedger(t *testing.T) *liveLedger {
	t.Helper()
	b := new(liveLedger)
	if err := json.Unmarshal(s.get(t, "/ledger"), b); err != nil {
		t.Fatal(err)
	}
	var read uint64
	for _, src := range b.Sources {
		src.checkSum(t, "/ledger: source "+src.Name)
		read += src.Read
	}
	b.Total.checkSum(t, "/ledger: all")
	if read != b.Total.Read {
		t.Errorf("/ledger: sources read %d, all read %d", read, b.Total.Read)
	}
	for _, sink := range b.Sinks {
		sink.checkSum(t, "/ledger: sink "+sink.Name)
	}
	return b
}

var metricLine = regexp.MustCompile(`(?m)^dnstap_pdns_(\w+)\{([^}]*)\} (\S+)$`)

// checkMetrics checks the sums in one scrape.
func (s *sensor) checkMetrics(t *testing.T) {
	t.Helper()
	sources, sinks := map[string]*account{}, map[string]*delivery{}
	for _, m := range metricLine.FindAllStringSubmatch(string(s.get(t, "/metrics")), -1) {
		labels := map[string]string{}
		for pair := range strings.SplitSeq(m[2], ",") {
			key, value, _ := strings.Cut(pair, "=")
			labels[key] = strings.Trim(value, `"`)
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		if name := labels["source"]; name != "" {
			if sources[name] == nil {
				sources[name] = &account{Dropped: map[string]uint64{}}
			}
			sources[name].take(m[1], labels["reason"], uint64(v))
		}
		if name := labels["sink"]; name != "" {
			if sinks[name] == nil {
				sinks[name] = &delivery{Lost: map[string]uint64{}}
			}
			sinks[name].take(m[1], labels["loss"], uint64(v))
		}
	}
	if len(sources) == 0 || len(sinks) == 0 {
		t.Error("/metrics has no source or no sink")
	}
	for name, a := range sources {
		a.checkSum(t, "/metrics: source "+name)
	}
	for name, d := range sinks {
		d.checkSum(t, "/metrics: sink "+name)
	}
}

func (a *account) take(metric, reason string, n uint64) {
	switch metric {
	case "messages_read_total":
		a.Read = n
	case "records_total":
		a.Records = n
	case "queries_paired_total":
		a.Paired = n
	case "queries_held":
		a.Held = n
	case "messages_dropped_total":
		a.Dropped[reason] = n
	}
}

func (d *delivery) take(metric, loss string, n uint64) {
	switch metric {
	case "sink_records_offered_total":
		d.Offered = n
	case "sink_records_resumed_total":
		d.Resumed = n
	case "sink_records_delivered_total":
		d.Delivered = n
	case "sink_records_written":
		d.Written = n
	case "sink_records_queued":
		d.Queued = n
	case "sink_records_spooled":
		d.Spooled = n
	case "sink_records_filtered_total":
		d.Filtered = n
	case "sink_records_lost_total":
		d.Lost[loss] = n
	}
}

// watchSums checks the sums in /ledger and /metrics for that long, and returns the last
// ledger.
func (s *sensor) watchSums(t *testing.T, d time.Duration) *liveLedger {
	t.Helper()
	last, looks := s.readLedger(t), 0
	for end := time.Now().Add(d); time.Now().Before(end) || looks < 10; looks++ {
		s.checkMetrics(t)
		next := s.readLedger(t)
		if next.Total.Read < last.Total.Read {
			t.Errorf("messages read went from %d down to %d", last.Total.Read, next.Total.Read)
		}
		last = next
	}
	return last
}

// TestLedgerAndMetricsAddUpAtAnyTime checks the sums while resolvers are queried, a sink
// fails, sources and sinks are added and removed, and after a kill; also for packets.
func TestLedgerAndMetricsAddUpAtAnyTime(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	const noRoute = "\nsink \"nmsg\" \"away\" {\n  to = \"udp://100.99.99.99:9\"\n  queue = \"1MiB\"\n}\n"
	packets := fmt.Sprintf("\nsource \"pcap\" \"span\" {\n  interface = \"lo\"\n  resolvers = [%q, %q]\n}\n", lab.Resolver4, lab.Resolver6)
	valid := unixSource + exactTimes + fileSink("first", "dnsqr") + "admin {}\n"
	one := valid + noRoute
	two := one + packets + fileSink("second", "dnsobs")
	s := startSensor(t, w.Namespace, one)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())})
	s.awaitLog(t, connected, 1)
	f := startFlow(t, w, unbound, 0)

	s.watchSums(t, lab.SendDelay)
	for range 3 {
		s.reload(t, two, "reloaded")
		s.watchSums(t, flushTime)
		s.reload(t, one, "reloaded")
		s.watchSums(t, 0)
	}
	b := s.watchSums(t, lab.SendDelay)
	await(t, "the sink that fails to have a full queue", func() bool {
		b = s.watchSums(t, 0)
		return b.sink("away").Lost["queue_full"] > 0
	})
	for _, name := range []string{"tap", "span"} {
		if a := b.source(name); a.Records == 0 || a.Paired == 0 {
			t.Errorf("source %s has %+v, want records and pairs", name, a)
		}
	}
	if first, away := b.sink("first"), b.sink("away"); first.Written == 0 || away.Queued == 0 {
		t.Errorf("first has %+v, want written records; away, which fails, has %+v, want queued records", first, away)
	}
	s.checkStatus(t, `warning: sink "away": failing since `)

	s.Kill()
	s.run(t, valid+packets)
	s.awaitLog(t, connected, 1)
	b = s.watchSums(t, lab.SendDelay)
	f.stop(t)
	unbound.Stop(t)
	if a := b.source("tap"); a.Records == 0 {
		t.Errorf("after a restart: %+v, want records", a)
	}
	await(t, "status to report that no resolver is connected", func() bool {
		return strings.Contains(s.status(t), `warning: source "tap": no resolver is connected`)
	})
	if closing := s.stop(t); closing.Read < b.Total.Read || closing.sources["span"].Records < b.source("span").Records {
		t.Errorf("the closing ledger has %+v, less than an earlier /ledger: %+v", closing, b.Total)
	}
}

// status returns the output of the status command.
func (s *sensor) status(t *testing.T) string {
	t.Helper()
	p := s.namespace.Start(t, "status", exec.Command(sensorBinary, "status"))
	if err := p.Wait(waitTime); err != nil {
		t.Fatalf("status: %v\n%s", err, p.Log(t))
	}
	return p.Log(t)
}

func (s *sensor) checkStatus(t *testing.T, want string) {
	t.Helper()
	if text := s.status(t); !strings.Contains(text, want) || !strings.Contains(text, "\nevery message and record is accounted for\n") {
		t.Errorf("status printed\n%s\nwant %q, and that every message and record is accounted for", text, want)
	}
}
