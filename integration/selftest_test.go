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
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/miekg/dns"
)

// selftestTime is the contract: within it there is a verdict.
const selftestTime = 30 * time.Second

// A trial is a selftest and what it must come to.
type trial struct {
	args []string
	exit int
	says []string // in this order
}

const (
	otherResolver = "192.0.2.55" // which is connected to no sensor

	nameLeft   = "sink \"first\": the name left\n"
	decoyStays = "decoy: seen, and dropped as special_name (special_use): "
)

// passes is what a selftest says of a sensor that is well.
var passes = trial{says: []string{": NXDOMAIN\n", " (the decoy): NXDOMAIN\n", nameLeft, decoyStays, "\nproven: "}}

// A running selftest is one that was begun beside a sensor.
type running struct {
	trial
	*lab.Process
	began time.Time
}

func (c trial) begin(t *testing.T, s *sensor) running {
	t.Helper()
	args := append([]string{"selftest", "-c", s.config, "--resolver", lab.ResolverListens}, c.args...)
	return running{c, s.namespace.Start(t, "selftest", exec.Command(sensorBinary, args...)), time.Now()}
}

// check waits for the verdict, and holds it to exit status and words.
func (r running) check(t *testing.T) {
	t.Helper()
	code := 0
	var exit *exec.ExitError
	if err := r.Wait(time.Until(r.began.Add(selftestTime + slack))); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	said := r.Log(t)
	if code != r.exit {
		t.Errorf("exit status %d, want %d; it said\n%s", code, r.exit, said)
	}
	rest := said
	for _, want := range r.says {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("it does not say %q, or not in this order:\n%s", want, said)
		}
		rest = after
	}
}

var askedFor = regexp.MustCompile(`asked for (\S+\.)(?: \(the decoy\))?: `)

// checkProof holds what a selftest claims to what the sensor has written.
func checkProof(t *testing.T, s *sensor, said string) {
	t.Helper()
	asked := askedFor.FindAllStringSubmatch(said, -1)
	if len(asked) != 2 {
		t.Fatalf("it does not say what it asked for:\n%s", said)
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

// adminAt is the block of a sensor that shares its namespace with others.
func adminAt(port int) string { return fmt.Sprintf("admin {\n  listen = \"127.0.0.1:%d\"\n}\n", port) }

// zipped is a sink that compresses.
func zipped(sink string) string { return strings.Replace(sink, "to ", "zlib = true\n  to ", 1) }

// TestSelftestTellsTheStageAtWhichItStopped runs one resolver, whose dnstap goes to a
// crowd of sensors: most of them are broken, each in its own way.
func TestSelftestTellsTheStageAtWhichItStopped(t *testing.T) {
	t.Parallel()
	const first = "\nsink \"nmsg\" \"first\" {\n  to = "
	var well = jsonLog + fileSink("first", "dnsqr")
	never := "the sensor has never seen the name"
	w := lab.NewWorld(t)
	tee := tee{path: filepath.Join(w.Dir, "tee.sock")}
	span := fmt.Sprintf("source \"pcap\" \"span\" {\n  interface = \"lo\"\n  resolvers = [%q, %q]\n}\n", lab.Resolver4, lab.Resolver6)
	type broken struct {
		name string
		trial
		*sensor
	}
	var cases []broken
	for i, c := range []struct {
		name   string
		config string
		apart  bool // no resolver is connected
		trial
	}{
		{name: "nothing", config: well, trial: passes},
		{name: "nothing, of three sinks", config: well + fileSink("second", "dnsobs") + zipped(fileSink("third", "dnstap")),
			trial: trial{says: []string{nameLeft, "sink \"second\": the name left\n", "sink \"third\": the name left\n", decoyStays, "proven"}}},
		{name: "nothing, from packets", config: span + well, apart: true, trial: passes},
		{name: "nothing, with a decoy of one's own", config: site + "outward {\n  local_servers = true\n}\n" + fileSink("first", "dnsqr"),
			trial: trial{[]string{"--decoy", "corp.example"}, 0, []string{nameLeft, "decoy: seen, and dropped as local_name (local_name_in_name)", "proven"}}},

		{name: "resolver off", config: well, trial: trial{[]string{"--resolver", "127.0.0.1:5399"}, 1, []string{
			"127.0.0.1:5399 was asked for ", ": no answer: nobody listens there\n",
			"the resolver does not answer: nobody listens there\n  Name with --resolver ", never, "decoy: never seen", "selftest: not proven"}}},
		{name: "resolver not connected", config: well, apart: true, trial: trial{nil, 1, []string{
			": NXDOMAIN\n", never + ": no resolver is connected to it, and it captures no packets\n  See that a resolver is set up to send here",
			"decoy: never seen", "not proven"}}},
		{name: "another resolver asked", config: well, trial: trial{[]string{"--resolver", otherResolver}, 1, []string{
			": NXDOMAIN\n", never + ", though something is connected\n  See that it is the resolver at " + otherResolver + ":53 that is connected", "not proven"}}},
		{name: "local_names", config: strings.Replace(well, "log {", "scrub {\n  local_names = [\"com\"]\n}\nlog {", 1), trial: trial{nil, 1, []string{
			"by the policy in force no record of the name can leave: holds a local name", "the name was seen, and dropped as local_name (local_name_in_name): ",
			"choose a --zone outside.\n", decoyStays, "not proven"}}},
		{name: "rcodes", config: well + "outward {\n  rcodes = [\"NOERROR\"]\n}\n", trial: trial{nil, 1, []string{
			"the name was seen, and dropped as rcode: ", "\n  Name the response code in outward.rcodes",
			"decoy: seen, and dropped before its name was looked at, as rcode: ", "not proven"}}},
		{name: "local server", config: well, trial: trial{[]string{"--zone", "corp.example"}, 1, []string{
			"the name was seen, and dropped as local_server: ", "\n  The answer came from a private or local address: choose a --zone", decoyStays, "not proven"}}},
		{name: "zone without servers", config: well, trial: trial{[]string{"--zone", "dead.com"}, 1, []string{
			": no answer: no answer in 9s\n", "the name's query was seen, and no response to it\n", decoyStays, "not proven"}}},
		{name: "no such folder", config: jsonLog + first + "\"file://DIR/none/x.nmsg\"\n  rotate = \"0s\"\n}\n", trial: trial{nil, 1, []string{
			"sink \"first\": the record waits, and it fails: ", "no such file or directory", "\n  Mend what it writes to.\n", decoyStays, "warning: sink \"first\": it fails since ", "not proven"}}},
		{name: "nobody listens", config: jsonLog + first + "\"udp://127.0.0.1:9\"\n}\n", trial: trial{nil, 1, []string{
			"sink \"first\": the name left, and it fails: nobody listens where the datagrams go", "\n  Mend what it writes to: what left may not have arrived.\n", decoyStays, "not proven"}}},
		{name: "flush", config: jsonLog + first + "\"udp://127.0.0.1:9430\"\n  flush = \"10m\"\n}\n", trial: trial{nil, 1, []string{
			"sink \"first\": the record waits, in an open batch or in the queue\n  Its flush is 10m0s: ", decoyStays, "not proven"}}},
		{name: "rate", config: jsonLog + first + "\"udp://127.0.0.1:9430\"\n  rate = 1\n  mtu = 512\n}\n", trial: trial{nil, 1, []string{
			"sink \"first\": the record waits, in an open batch or in the queue\n  Its rate is 1 datagrams a second: ", decoyStays, "not proven"}}},
		{name: "one sink of two", config: well + "\nsink \"nmsg\" \"away\" {\n  to = \"file://DIR/none/x.nmsg\"\n  rotate = \"0s\"\n}\n", trial: trial{nil, 1, []string{
			nameLeft, "sink \"away\": the record waits, and it fails: ", decoyStays, "not proven"}}},
		{name: "decoy of the resolver's own", config: well, trial: trial{[]string{"--decoy", "test"}, 1, []string{
			nameLeft, "decoy: never seen, so it is not proven that it would have stayed\n  The resolver may answer below test by itself", "not proven"}}},
		{name: "decoy that would leave", config: well, trial: trial{[]string{"--decoy", "shop.com"}, 2, []string{
			"refuses (422 Unprocessable Entity): the policy in force would let the decoy leave"}}},
		{name: "nothing to prove", config: well + "scrub {\n  special_names = false\n}\n", trial: trial{nil, 2, []string{
			"scrub.special_names is false and scrub.local_names empty"}}},
	} {
		config := c.config + adminAt(9400+i)
		if !strings.Contains(config, "source ") {
			config = unixSource + config
		}
		s := startSensor(t, w.Namespace, config)
		if !c.apart {
			tee.sensors = append(tee.sensors, s.tapPath())
		}
		cases = append(cases, broken{c.name, c.trial, s})
	}
	w.ListenUDP(t, udpAddr)
	w.Upstream(t)
	unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(tee.start(t)), Unidirectional: true})
	for n := range 2 { // so that somebody has been refused, and more waits than leaves in a minute at a rate of 1
		w.Ask(t, unbound, flood(n))
		forAWhile(lab.HoldsBack / 2)
	}
	all := make([]running, len(cases))
	for i, c := range cases {
		all[i] = c.begin(t, c.sensor)
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) { all[i].check(t) })
	}
	for i, c := range cases { // one that stops takes the others' dnstap with it
		if c.exit == 0 {
			checkProof(t, c.sensor, all[i].Log(t))
		}
	}
}

// udpAddr is where somebody takes datagrams, and reads none.
var udpAddr = netip.MustParseAddrPort("127.0.0.1:9430")

// flood is questions that make more than a record each.
func flood(n int) (all []lab.Question) {
	for i := range 40 {
		all = append(all, lab.Question{Name: fmt.Sprintf("flood%d-%d.wild.shop.com.", n, i), Type: dns.TypeA, From: lab.Client1})
	}
	return all
}

// A tee gives what one resolver says over dnstap, and goes on to say without an answer,
// to several sensors.
type tee struct {
	path    string
	sensors []string // their sockets
}

// start listens until the test ends, and returns where.
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
			return // a sensor has gone: its test is over
		}
		defer out.Close()
		all = append(all, out)
	}
	io.Copy(io.MultiWriter(all...), in) // until the resolver, or a sensor, has gone
}

// TestSelftestOfEachResolver is with resolvers that say it in their own way, or do not.
func TestSelftestOfEachResolver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start   startResolver
		options lab.Options
		forward bool
		trial
	}{
		"BIND":     {start: (*lab.World).BIND, trial: passes},
		"PowerDNS": {start: (*lab.World).PowerDNS, trial: passes},
		"Unbound, of clients only": {start: (*lab.World).Unbound, options: lab.Options{ClientsOnly: true}, trial: trial{nil, 1, []string{
			"the sensor has never seen the name: what is connected tells of clients only, and of nothing outward\n  Of the resolver: set dnstap-log-resolver-query-messages: yes",
			"decoy: never seen", "not proven"}}},
		"Unbound, forwarding": {start: (*lab.World).Unbound, forward: true, trial: trial{nil, 1, []string{
			"the name was seen, and dropped as forwarded: ", "\n  This resolver asks another one, and that one is where the sensor belongs",
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

// TestSelftestWithoutSensor is where nobody can be asked.
func TestSelftestWithoutSensor(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	s := newSensor(t, n)
	s.configure(t, unixSource+fileSink("first", "dnsqr")+"admin {}\n")
	trial{nil, 1, []string{"no sensor answers at " + adminAddr + ": start it, or name what its admin.listen says"}}.begin(t, s).check(t)
	alone := unixSource + fileSink("first", "dnsqr") + jsonLog
	s.run(t, alone+"admin {}\n")
	c := trial{nil, 1, []string{"the sensor at " + adminAddr + " came to no verdict: it was stopped, or its admin.listen changed"}}.begin(t, s)
	forAWhile(2 * time.Second)
	s.reload(t, alone+fileSink("second", "dnsobs")+"admin {}\n", "reloaded") // which does not end it
	s.stop(t)
	c.check(t)
	s.run(t, alone)
	trial{nil, 2, []string{"by its configuration (admin.listen) the sensor answers nowhere"}}.begin(t, s).check(t)
}
