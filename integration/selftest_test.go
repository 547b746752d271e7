package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/miekg/dns"
)

// selftestTime is the documented limit until a selftest gives its verdict.
const selftestTime = 30 * time.Second

// A selftestCase is a run of selftest with its expected outcome.
type selftestCase struct {
	args []string
	exit int
	says []string // texts of its output, in this order
}

const (
	otherResolver = "192.0.2.55" // is connected to no sensor

	nameLeft     = "sink \"first\": the name left\n"
	decoyDropped = "decoy: seen, and dropped as special_name (special_use): "
)

// passes is the outcome of a selftest of a sensor without problems.
var passes = selftestCase{says: []string{": NXDOMAIN\n", " (the decoy): NXDOMAIN\n", nameLeft, decoyDropped, "\nproven: "}}

// runningSelftest is a selftest that was started.
type runningSelftest struct {
	selftestCase
	*lab.Process
	began time.Time
}

func (c selftestCase) begin(t *testing.T, s *sensor) runningSelftest {
	t.Helper()
	args := append([]string{"selftest", "-c", s.config, "--resolver", lab.ResolverListens}, c.args...)
	return runningSelftest{c, s.namespace.Start(t, "selftest", exec.Command(sensorBinary, args...)), time.Now()}
}

// check waits for the verdict and checks exit code and output.
func (r runningSelftest) check(t *testing.T) {
	t.Helper()
	code := 0
	var exit *exec.ExitError
	if err := r.Wait(time.Until(r.began.Add(selftestTime + slack))); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	output := r.Log(t)
	if code != r.exit {
		t.Errorf("exit code %d, want %d; output:\n%s", code, r.exit, output)
	}
	rest := output
	for _, want := range r.says {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("the output does not contain %q, or not in this order:\n%s", want, output)
		}
		rest = after
	}
}

var askedFor = regexp.MustCompile(`asked for (\S+\.)(?: \(the decoy\))?: `)

// checkProof compares the names in a selftest's output with the records of the sensor.
func checkProof(t *testing.T, s *sensor, output string) {
	t.Helper()
	asked := askedFor.FindAllStringSubmatch(output, -1)
	if len(asked) != 2 {
		t.Fatalf("the output does not contain two questions:\n%s", output)
	}
	s.stop(t)
	left := map[string]bool{}
	for _, r := range s.written(t, "first").records {
		left[r.Name] = true
	}
	if name, decoy := asked[0][1], asked[1][1]; !left[name] || left[decoy] {
		t.Errorf("%s left: %t, %s left: %t", name, left[name], decoy, left[decoy])
	}
}

// adminAt is an admin block for a sensor that shares its namespace with others.
func adminAt(port int) string { return fmt.Sprintf("admin {\n  listen = \"127.0.0.1:%d\"\n}\n", port) }

// compressed returns a sink with compression.
func compressed(sink string) string { return strings.Replace(sink, "to ", "zlib = true\n  to ", 1) }

// TestSelftestReportsTheFailingStage runs one resolver that sends its dnstap to many sensors,
// most of which are misconfigured, each in another way.
func TestSelftestReportsTheFailingStage(t *testing.T) {
	t.Parallel()
	const first = "\nsink \"nmsg\" \"first\" {\n  to = "
	const rrsets = "\naggregate \"rrsets\" {}\nsink \"json\" \"cof\" {\n  to = \"file://DIR/cof.json\"\n  format = \"cof\"\n  rotate = \"0s\"\n}\n"
	var valid = jsonLog + fileSink("first", "dnsqr")
	never := "the sensor has never seen the name"
	w := lab.NewWorld(t)
	tee := tee{path: filepath.Join(w.Dir, "tee.sock")}
	span := fmt.Sprintf("source \"pcap\" \"span\" {\n  interface = \"lo\"\n  resolvers = [%q, %q]\n}\n", lab.Resolver4, lab.Resolver6)
	type broken struct {
		name string
		selftestCase
		*sensor
	}
	var cases []broken
	for i, c := range []struct {
		name        string
		config      string
		unconnected bool // whether no resolver is connected
		selftestCase
	}{
		{name: "no problem", config: valid, selftestCase: passes},
		{name: "no problem, of three sinks", config: valid + fileSink("second", "dnsobs") + compressed(fileSink("third", "dnstap")),
			selftestCase: selftestCase{says: []string{nameLeft, "sink \"second\": the name left\n", "sink \"third\": the name left\n", decoyDropped, "proven"}}},
		{name: "no problem, other formats and filters", config: valid + dnstapSink("frames", "file://DIR/frames.fstrm") +
			"\nsink \"json\" \"lines\" {\n  to = \"file://DIR/lines.json\"\n  rotate = \"0s\"\n}\n" +
			strings.Replace(fileSink("second", "dnsqr"), "to ", "policy {\n types = [\"MX\"]\n }\n to ", 1),
			selftestCase: selftestCase{says: []string{nameLeft, "sink \"frames\": the name left\n", "sink \"lines\": the name left\n",
				"sink \"second\": filtered by types, its query type is none of the sink's types\n", decoyDropped, "\nproven: the name left through every sink that takes it"}}},
		{name: "no problem, and RRsets", config: valid + rrsets, selftestCase: selftestCase{says: []string{"sink \"rrsets\": the record is held in the window", nameLeft,
			"sink \"cof\": its RRsets are held in the window of \"rrsets\"", decoyDropped, "\nproven: no sink that takes the name lost it"}}},
		{name: "only RRsets", config: jsonLog + rrsets, selftestCase: selftestCase{says: []string{"sink \"rrsets\": the record is held in the window",
			"sink \"cof\": its RRsets are held in the window of \"rrsets\"", decoyDropped, "\nproven: no sink that takes the name lost it"}}},
		{name: "no problem, from packets", config: span + valid, unconnected: true, selftestCase: passes},
		{name: "no problem, other decoy", config: site + "outward {\n  local_servers = true\n}\n" + fileSink("first", "dnsqr"),
			selftestCase: selftestCase{[]string{"--decoy", "corp.example"}, 0, []string{nameLeft, "decoy: seen, and dropped as local_name (local_name_in_name)", "proven"}}},

		{name: "resolver off", config: valid, selftestCase: selftestCase{[]string{"--resolver", "127.0.0.1:5399"}, 1, []string{
			"127.0.0.1:5399 was asked for ", ": no answer: no process listens there\n",
			"the resolver does not answer: no process listens there\n  Name with --resolver ", never, "decoy: never seen", "selftest: not proven"}}},
		{name: "resolver not connected", config: valid, unconnected: true, selftestCase: selftestCase{nil, 1, []string{
			": NXDOMAIN\n", never + ": no resolver is connected to it, and it captures no packets\n  Check that a resolver is configured to send here",
			"decoy: never seen", "not proven"}}},
		{name: "another resolver asked", config: valid, selftestCase: selftestCase{[]string{"--resolver", otherResolver}, 1, []string{
			": NXDOMAIN\n", never + ", though something is connected\n  Check that the connected resolver is the one at " + otherResolver + ":53, and not one", "not proven"}}},
		{name: "local_names", config: strings.Replace(valid, "log {", "scrub {\n  local_names = [\"com\"]\n}\nlog {", 1), selftestCase: selftestCase{nil, 1, []string{
			"by the policy in force no record of the name can leave: contains a local name", "the name was seen, and dropped as local_name (local_name_in_name): ",
			"choose a --zone outside.\n", decoyDropped, "not proven"}}},
		{name: "rcodes", config: valid + "outward {\n  rcodes = [\"NOERROR\"]\n}\n", selftestCase: selftestCase{nil, 1, []string{
			"the name was seen, and dropped as rcode: ", "\n  Name the response code in outward.rcodes",
			"decoy: seen, and dropped before its name was looked at, as rcode: ", "not proven"}}},
		{name: "local server", config: valid, selftestCase: selftestCase{[]string{"--zone", "corp.example"}, 1, []string{
			"the name was seen, and dropped as local_server: ", "\n  The answer came from a private or local address: choose a --zone", decoyDropped, "not proven"}}},
		{name: "zone without servers", config: valid, selftestCase: selftestCase{[]string{"--zone", "dead.com"}, 1, []string{
			": no answer: no answer in 9s\n", "the name's query was seen, and no response to it\n", decoyDropped, "not proven"}}},
		{name: "no such folder", config: jsonLog + first + "\"file://DIR/third/x.nmsg\"\n  rotate = \"0s\"\n}\n", selftestCase: selftestCase{nil, 1, []string{
			"sink \"first\": the record waits, and it fails: ", "no such file or directory", "\n  Fix the target of the sink.\n", decoyDropped, "warning: sink \"first\": failing since ", "not proven"}}},
		{name: "no process listens", config: jsonLog + first + "\"udp://127.0.0.1:9\"\n}\n", selftestCase: selftestCase{nil, 1, []string{
			"sink \"first\": the ", ", and it fails: no process listens at the target", "\n  Fix the target of the sink", decoyDropped, "not proven"}}},
		{name: "flush", config: jsonLog + first + "\"udp://127.0.0.1:9430\"\n  flush = \"10m\"\n}\n", selftestCase: selftestCase{nil, 1, []string{
			"sink \"first\": the record waits, in an open batch, in the queue, or for the peer's acknowledgement\n  Its flush is 10m0s: ", decoyDropped, "not proven"}}},
		{name: "rate", config: jsonLog + first + "\"udp://127.0.0.1:9430\"\n  rate = 1\n  mtu = 512\n}\n", selftestCase: selftestCase{nil, 1, []string{
			"sink \"first\": the record waits, in an open batch, in the queue, or for the peer's acknowledgement\n  Its rate is 1 datagrams a second: ", decoyDropped, "not proven"}}},
		{name: "one sink of two", config: valid + "\nsink \"nmsg\" \"away\" {\n  to = \"file://DIR/third/x.nmsg\"\n  rotate = \"0s\"\n}\n", selftestCase: selftestCase{nil, 0, []string{
			nameLeft, "sink \"away\": the record waits, and it fails: ", "\n  Fix the target of the sink.\n", decoyDropped, "\nproven: no sink that takes the name lost it"}}},
		{name: "decoy of the resolver's own", config: valid, selftestCase: selftestCase{[]string{"--decoy", "test"}, 1, []string{
			nameLeft, "decoy: never seen, so it is not proven that it would have stayed\n  The resolver may answer below test by itself", "not proven"}}},
		{name: "decoy that would leave", config: valid, selftestCase: selftestCase{[]string{"--decoy", "shop.com"}, 2, []string{
			"refuses (422 Unprocessable Entity): the policy in force would let the decoy leave"}}},
		{name: "nothing to prove", config: valid + "scrub {\n  special_names = false\n}\n", selftestCase: selftestCase{nil, 2, []string{
			"scrub.special_names is false and scrub.local_names empty"}}},
	} {
		config := c.config + adminAt(9400+i)
		if !strings.Contains(config, "source ") {
			config = unixSource + config
		}
		s := startSensor(t, w.Namespace, config)
		if strings.Contains(config, "DIR/third/x.nmsg") { // a folder that disappears after the start
			if err := os.Remove(s.dir + "/third"); err != nil {
				t.Fatal(err)
			}
		}
		if !c.unconnected {
			tee.sensors = append(tee.sensors, s.tapPath())
		}
		cases = append(cases, broken{c.name, c.selftestCase, s})
	}
	w.ListenUDP(t, udpAddr)
	w.Upstream(t)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(tee.start(t)), Unidirectional: true})
	refused := cases[slices.IndexFunc(cases, func(c broken) bool { return c.name == "no process listens" })]
	// Until a datagram was refused, and more is queued than is sent in a minute at a rate of 1.
	for n := 0; n < 2 || len(refused.logged(t, pathClosed)) == 0; n++ {
		w.Ask(t, unbound, flood(n))
	}
	all := make([]runningSelftest, len(cases))
	for i, c := range cases {
		all[i] = c.begin(t, c.sensor)
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { all[i].check(t) })
	}
	for i, c := range cases { // stopping one sensor ends the dnstap of the others
		if log := all[i].Log(t); strings.Contains(log, "\nproven: the name left through every sink") {
			checkProof(t, c.sensor, log)
		}
	}
}

// udpAddr is the address of a UDP socket that is never read.
var udpAddr = netip.MustParseAddrPort("127.0.0.1:9430")

// flood returns questions, each of which yields more than one record.
func flood(n int) (all []lab.Question) {
	for i := range 40 {
		all = append(all, lab.Question{Name: fmt.Sprintf("flood%d-%d.wild.shop.com.", n, i), Type: dns.TypeA, From: lab.Client1})
	}
	return all
}

// A tee copies the dnstap of one resolver to several sensors. The resolver must be
// unidirectional, because no answer is sent to it.
type tee struct {
	path    string
	sensors []string // their sockets
}

// start listens until the test ends, and returns the socket's path.
func (c *tee) start(t *testing.T) (path string) {
	t.Helper()
	l, err := net.Listen("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(c.path, 0o777); err != nil {
		t.Fatal(err)
	}
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { in.Close() })
			copying.Go(func() { c.copy(in) })
		}
	})
	t.Cleanup(copying.Wait)
	t.Cleanup(func() { l.Close() })
	return c.path
}

func (c *tee) copy(in net.Conn) {
	var all []io.Writer
	for _, path := range c.sensors {
		out, err := net.Dial("unix", path)
		if err != nil {
			in.Close()
			return // a sensor has been stopped: its test is over
		}
		defer out.Close()
		all = append(all, out)
	}
	io.Copy(io.MultiWriter(all...), in) // until the resolver or a sensor disconnects
}

// TestSelftestOfEachResolver checks the verdict for other resolvers and configurations.
func TestSelftestOfEachResolver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start   startResolver
		options lab.Options
		forward bool
		selftestCase
	}{
		"BIND":     {start: (*lab.World).BIND, selftestCase: passes},
		"PowerDNS": {start: (*lab.World).PowerDNS, selftestCase: passes},
		"Unbound, of clients only": {start: (*lab.World).Unbound, options: lab.Options{ClientsOnly: true}, selftestCase: selftestCase{nil, 1, []string{
			"the sensor has never seen the name: the resolver sends only messages of its clients, and nothing outward\n  In the resolver: set dnstap-log-resolver-query-messages: yes",
			"decoy: never seen", "not proven"}}},
		"Unbound, forwarding": {start: (*lab.World).Unbound, forward: true, selftestCase: selftestCase{nil, 1, []string{
			"the name was seen, and dropped as forwarded: ", "\n  This resolver forwards to another one: install the sensor there",
			"decoy: seen, and dropped before its name was looked at, as forwarded: ", "not proven"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			s := startSensor(t, w.Namespace, unixSource+jsonLog+fileSink("first", "dnsqr")+"admin {}\n")
			c.options.Tap = lab.UnixTap(s.tapPath())
			if c.forward {
				c.options.Forward = w.Upstream(t)
			}
			c.start(w, t, c.options)
			s.awaitLog(t, connected, 1)
			c.begin(t, s).check(t)
		})
	}
}

// TestSelftestWithoutSensor checks the verdict if no sensor answers, or stops answering.
func TestSelftestWithoutSensor(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	n.AddAddresses(t, lab.ResolverListens)
	s := newSensor(t, n)
	s.configure(t, unixSource+fileSink("first", "dnsqr")+"admin {}\n")
	selftestCase{nil, 1, []string{"no sensor answers at " + adminAddr + ": start it, or name what its admin.listen says"}}.begin(t, s).check(t)
	alone := unixSource + fileSink("first", "dnsqr") + jsonLog
	s.run(t, alone+"admin {}\n")
	resolver := n.ListenUDP(t, netip.AddrPortFrom(netip.MustParseAddr(lab.ResolverListens), dnsPort))
	c := selftestCase{nil, 1, []string{"the sensor at " + adminAddr + " ended without a result: it was stopped, or its admin.listen changed"}}.begin(t, s)
	answerSelftest(t, resolver)
	s.reload(t, alone+fileSink("second", "dnsobs")+"admin {}\n", "reloaded") // does not end the selftest
	s.stop(t)
	c.check(t)
	s.run(t, alone)
	selftestCase{nil, 2, []string{"admin.listen is empty, so selftest cannot reach the sensor"}}.begin(t, s).check(t)
}

// answerSelftest answers both questions of a selftest, which it asks after the sensor has started
// to watch for them.
func answerSelftest(t *testing.T, resolver net.PacketConn) {
	t.Helper()
	for range 2 {
		b := make([]byte, 512)
		resolver.SetReadDeadline(time.Now().Add(waitTime))
		size, from, err := resolver.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		query := new(dns.Msg)
		if err := query.Unpack(b[:size]); err != nil {
			t.Fatal(err)
		}
		answer, err := new(dns.Msg).SetRcode(query, dns.RcodeNameError).Pack()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := resolver.WriteTo(answer, from); err != nil {
			t.Fatal(err)
		}
	}
}
