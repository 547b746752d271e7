package startcheck

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	decided = `
scrub {
  resolvers      = ["192.0.2.53"]
  local_names    = []
  local_networks = []
}
`
	quiet  = "admin {\n  listen = \"\"\n}\n"
	stdout = "sink \"nmsg\" \"out\" {\n  to = \"stdout:\"\n}\n"
)

func unixSource(path string) string {
	return fmt.Sprintf("source \"dnstap\" \"a\" {\n  listen = \"unix://%s\"\n}\n", path)
}

func tcpSource(address, inside string) string {
	return fmt.Sprintf("source \"dnstap\" \"a\" {\n  listen = \"tcp://%s\"\n%s}\n", address, inside)
}

func fileSink(dir string) string {
	return fmt.Sprintf("sink \"nmsg\" \"files\" {\n  to = \"file://%s/%%Y%%m%%dT%%H%%M%%S.nmsg\"\n}\n", dir)
}

func parse(t *testing.T, src string) *conf.File {
	t.Helper()
	f, diags := conf.Parse("test.hcl", []byte(src))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return f
}

// A folder with what the configurations of the tests refer to.
type folder struct{ dir string }

func newFolder(t *testing.T) folder {
	t.Helper()
	dir, err := os.MkdirTemp("", "start") // a short path, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := folder{dir}
	for _, name := range []string{"run", "out"} {
		if err := os.Mkdir(f.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// names returns every file in the folder, with its mode.
func (f folder) names(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(f.dir, func(path string, d os.DirEntry, err error) error {
		all = append(all, path+" "+d.Type().String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// listen listens until the test ends, and returns the address.
func listen(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// stale leaves a socket file on which no process listens.
func stale(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestErrorsAndWarnings(t *testing.T) {
	f := newFolder(t)
	tap, used, gone := f.path("run/tap.sock"), f.path("run/used.sock"), f.path("run/gone.sock")
	listen(t, "unix", used)
	stale(t, gone)
	taken := listen(t, "tcp", "127.0.0.1:0")
	if err := os.WriteFile(f.path("run/file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	zone := f.path("run/root.zone")
	if err := os.WriteFile(zone, []byte(". 60 IN SOA a. b. 2026112300 1 1 1 1\ncom. 60 IN NS ns.com.\nns.com. 60 IN A 192.0.2.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	rrsets := func(state, zone string) string {
		return unixSource(tap) + fmt.Sprintf("aggregate \"all\" {\n  state = %q\n  root_zone = %q\n  max_bytes = \"4MiB\"\n}\nsink \"json\" \"cof\" {\n  to = \"stdout:\"\n  format = \"cof\"\n}\n", state, zone)
	}
	later := Options{Later: &Later{}}
	for name, tt := range map[string]struct {
		src      string
		o        Options
		errs     []string // parts of the error, of which each is one line
		warnings []string // parts of the problems
	}{
		"nothing wrong": {unixSource(tap) + fileSink(f.path("out")), later, nil, nil},
		"empty":         {"", later, []string{"no source", "no sink"}, nil},
		"no interface": {"source \"pcap\" \"p\" {\n  resolvers = [\"192.0.2.53\"]\n}\n" + stdout, later,
			[]string{`source "pcap" "p" has no interface to capture on`}, nil},
		"no folder of the socket": {unixSource(f.path("none/x.sock")) + stdout, later,
			[]string{`source "a": listening on unix://` + f.path("none/x.sock") + ": there is no directory " + f.path("none") + "; create it"}, nil},
		"a file instead of the socket": {unixSource(f.path("run/file")) + stdout, later, []string{"the path is not a socket"}, nil},
		"a file instead of the folder": {unixSource(f.path("run/file/x.sock")) + stdout, later, []string{"there is no directory"}, nil},
		"RRsets":                       {rrsets(f.path("out/rr%.state"), zone), later, nil, nil},
		"no folder of the state file": {rrsets(f.path("none/rrsets.state"), ""), later,
			[]string{`aggregate "all": creating a file in ` + f.path("none")}, nil},
		"no root zone file": {rrsets("", f.path("run/none")), later,
			[]string{`aggregate "all": root_zone: open ` + f.path("run/none") + ": no such file"}, nil},
		"not a root zone file": {rrsets("", f.path("run/file")), later,
			[]string{`aggregate "all": root_zone: ` + f.path("run/file") + ": root zone file: no SOA record of the root"}, nil},
		"only RRsets, and no sink":   {unixSource(tap) + "aggregate \"all\" {}\n", later, []string{"no sink"}, []string{"no sink gets its RRsets"}},
		"a socket of an earlier run": {unixSource(gone) + stdout, later, nil, nil},
		"an owner that does not exist": {strings.Replace(unixSource(tap), "}", "  owner = \"no-such-user\"\n}", 1) + stdout, later,
			[]string{`source "a": listening on unix://` + tap + `: the socket's owner: there is no user "no-such-user"`}, nil},
		"a socket in use":                          {unixSource(used) + stdout, later, nil, []string{`source "a": another process listens there`}},
		"a socket in use, at the start":            {unixSource(used) + stdout, Options{}, nil, nil}, // listening will fail
		"a socket in use, of the running sensor":   {unixSource(used) + stdout, Options{Later: &Later{Running: true}}, nil, nil},
		"a socket that systemd makes":              {unixSource(f.path("none/x.sock")) + stdout, Options{Later: &Later{Units: service.Units{Sockets: []string{f.path("none/x.sock")}}}}, nil, nil},
		"a socket in use, made by systemd":         {unixSource(used) + stdout, Options{Later: &Later{Units: service.Units{Sockets: []string{used}}}}, nil, nil},
		"a socket of this process, without folder": {unixSource(f.path("none/x.sock")) + stdout, Options{Listens: func(network, address string) bool { return network == "unix" && address == f.path("none/x.sock") }}, nil, nil},
		"TCP in use":       {tcpSource(taken, "") + stdout, later, nil, []string{`source "a": another process listens there`}},
		"no such address":  {tcpSource("192.0.2.1:6000", "  max_frame = 512\n") + stdout, later, []string{`source "a": listening on tcp://192.0.2.1:6000: `}, []string{"any host"}},
		"TLS files absent": {tcpSource("127.0.0.1:6000", "  tls {\n    cert = \"/none/c.pem\"\n    key = \"/none/k.pem\"\n  }\n") + stdout, later, []string{`source "a": TLS cert: open /none/c.pem`}, nil},
		"TLS files absent, at a reload": {tcpSource("127.0.0.1:6000", "  tls {\n    cert = \"/none/c.pem\"\n    key = \"/none/k.pem\"\n  }\n") + stdout,
			Options{Listens: func(string, string) bool { return true }}, []string{`source "a": TLS cert: open /none/c.pem`}, nil},
		"no such interface": {"source \"pcap\" \"p\" {\n  interface = \"none0\"\n  resolvers = [\"192.0.2.53\"]\n}\n" + stdout, later, []string{`source "p": `}, nil},
		"no folder of the files": {unixSource(tap) + fileSink(f.path("none")), later,
			[]string{`sink "files": creating a file in ` + f.path("none") + ": no such file or directory (directories are not created: make "}, nil},
		"a folder that systemd makes": {unixSource(tap) + fileSink(f.path("none")), Options{Later: &Later{Units: service.Units{Folders: []string{f.path("none")}}}}, nil, nil},
		"a folder that systemd made, inside the service": {unixSource(tap) + fileSink(f.path("none")),
			Options{Later: &Later{Inside: true, Units: service.Units{Folders: []string{f.path("none")}}}}, []string{"no such file or directory"}, nil},
		"a file instead of the folder of the files": {unixSource(tap) + fileSink(f.path("run/file")), later, []string{"not a directory"}, nil},
		"a folder that the unit makes read-only": {unixSource(tap) + fileSink(f.path("out")), Options{Later: &Later{Units: service.Units{ReadOnly: true, Folders: []string{"/var/lib/x"}}}}, nil,
			[]string{`sink "files": the service may not write to ` + f.path("out") + ": its unit has ProtectSystem=strict"}},
		"a folder below one that the service may write to": {unixSource(tap) + fileSink(f.path("out")), Options{Later: &Later{Units: service.Units{ReadOnly: true, Writable: []string{"-" + f.dir}}}}, nil, nil},
		"little room": {unixSource(tap) + strings.Replace(fileSink(f.path("out")), "}", "  rotate_size = \"1024GiB\"\n}", 1), later, nil, []string{`sink "files": only `}},
		"a receiver without an address": {unixSource(tap) + "sink \"nmsg\" \"away\" {\n  to = \"udp://receiver.invalid:8430\"\n}\n", later, nil,
			[]string{`sink "away": the name of its receiver does not resolve: `}},
		"a receiver by address": {unixSource(tap) + "sink \"nmsg\" \"away\" {\n  to = \"udp://192.0.2.9:8430\"\n}\n", later, nil, nil},
		"admin address in use":  {unixSource(tap) + stdout + fmt.Sprintf("admin {\n  listen = %q\n}\n", taken), later, nil, []string{"admin.listen: another process listens there"}},
		"admin address of ours": {unixSource(tap) + stdout + fmt.Sprintf("admin {\n  listen = %q\n}\n", taken), Options{Listens: func(_, address string) bool { return address == taken }}, nil, nil},
		"no such admin address": {unixSource(tap) + stdout + "admin {\n  listen = \"192.0.2.1:9353\"\n  allow_remote = true\n}\n", later, []string{"admin: "}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.names(t)
			src := tt.src + decided
			if !strings.Contains(src, "admin {") {
				src += quiet
			}
			warnings, err := Run(t.Context(), parse(t, src), tt.o)
			var errs []string
			if err != nil {
				errs = strings.Split(err.Error(), "\n")
			}
			problems := problems(t, warnings)
			if !eachContains(errs, tt.errs) || !eachContains(problems, tt.warnings) {
				t.Errorf("errors %q, want %q\nwarnings %q, want %q", errs, tt.errs, problems, tt.warnings)
			}
			if diff := cmp.Diff(before, f.names(t)); diff != "" {
				t.Errorf("files (-before +after):\n%s", diff)
			}
		})
	}
}

// problems returns the problems of warnings, without those about resolvers that may be
// installed on this machine.
func problems(t *testing.T, warnings []conf.Warning) (all []string) {
	t.Helper()
	for _, w := range warnings {
		if w.Advice == "" {
			t.Errorf("no advice about %s", w.Problem)
		}
		if !strings.Contains(w.Problem, "cannot connect") {
			all = append(all, w.Problem)
		}
	}
	return all
}

// eachContains reports whether each text contains the part at its position.
func eachContains(texts, parts []string) bool {
	return slices.EqualFunc(texts, parts, strings.Contains)
}

// TestProbesConnectToNothing: a connection would start a service that waits for one, and a
// sensor would count it.
func TestProbesConnectToNothing(t *testing.T) {
	f := newFolder(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: f.path("run/tap.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Run(t.Context(), parse(t, unixSource(f.path("run/tap.sock"))+stdout+decided+quiet), Options{Later: &Later{}}); err != nil {
		t.Fatal(err)
	}
	l.SetDeadline(time.Now().Add(-time.Second)) // accept only what waits
	if conn, err := l.Accept(); err == nil {
		conn.Close()
		t.Error("a connection waits")
	}
}

// TestFilesThatTheServiceCannotRead: check may run as another user than the service.
func TestFilesThatTheServiceCannotRead(t *testing.T) {
	f := newFolder(t)
	group, err := user.LookupGroupId(fmt.Sprint(os.Getegid()))
	if err != nil {
		t.Fatal(err)
	}
	config, names := f.path("sensor.hcl"), f.path("names")
	units := service.Units{User: "no-such-user-yet"}
	src := unixSource(f.path("run/tap.sock")) + fileSink(f.path("out")) + quiet +
		fmt.Sprintf("sink \"nmsg\" \"sie\" {\n  to = \"wss://192.0.2.9/session/s\"\n  channel = 202\n  api_key = file(%q)\n}\n", f.path("key")) +
		fmt.Sprintf("scrub {\n  resolvers = [\"192.0.2.53\"]\n  local_networks = []\n  local_names_file = %q\n}\n", names)
	for name, tt := range map[string]struct {
		modes map[string]os.FileMode // other than 0644 and 0755
		later Later
		want  []string
	}{
		"the folder of the files is not writable": {nil, Later{Units: units}, []string{`sink "files": the service runs as user no-such-user-yet, which may not write to ` + f.path("out")}},
		"all are accessible":                      {map[string]os.FileMode{"out": 0o777}, Later{Units: units}, nil},
		"the configuration is private":            {map[string]os.FileMode{"out": 0o777, "sensor.hcl": 0o600}, Later{Units: units}, []string{"the configuration: the service runs as user no-such-user-yet, which may not read " + config}},
		"a key is private":                        {map[string]os.FileMode{"out": 0o777, "key": 0o600}, Later{Units: units}, []string{"file(): the service runs as user no-such-user-yet, which may not read " + f.path("key")}},
		"the names are private":                   {map[string]os.FileMode{"out": 0o777, "names": 0o640}, Later{Units: units}, []string{"local_names_file: "}},
		"inside the service":                      {map[string]os.FileMode{"names": 0o640}, Later{Units: units, Inside: true}, nil},
		"no unit":                                 {map[string]os.FileMode{"names": 0o640}, Later{}, nil},
		"a service of root":                       {map[string]os.FileMode{"names": 0o640}, Later{Units: service.Units{User: "root"}}, nil},
		"a group of the service":                  {map[string]os.FileMode{"names": 0o640, "out": 0o775}, Later{Units: service.Units{User: "no-such-user-yet", Groups: []string{group.Name}}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for path, text := range map[string]string{config: src, names: "corp.example\n", f.path("key"): "source-7\n"} {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for path, mode := range map[string]os.FileMode{"out": 0o755, "names": 0o644, "key": 0o644, "sensor.hcl": 0o644} {
				if set, ok := tt.modes[path]; ok {
					mode = set
				}
				if err := os.Chmod(f.path(path), mode); err != nil {
					t.Fatal(err)
				}
			}
			tt.later.Path = config
			warnings, err := Run(t.Context(), parse(t, src), Options{Later: &tt.later})
			problems := problems(t, warnings)
			if err != nil || !eachContains(problems, tt.want) {
				t.Errorf("%v, warnings %q, want %q", err, problems, tt.want)
			}
		})
	}
}

// TestResolversOfAnotherHost: without promiscuous, an address that no interface has is
// probably a mistake.
func TestResolversOfAnotherHost(t *testing.T) {
	c := check{}
	c.resolvers(`source "p"`, parse(t, "source \"pcap\" \"p\" {\n  resolvers = [\"127.0.0.1\", \"192.0.2.53\", \"127.0.0.0/8\", \"2001:db8::/32\"]\n}\n").Packets[0].Resolvers)
	if len(c.warnings) != 1 || c.warnings[0].Problem != `source "p": no interface of this machine has an address of resolvers (elements: 2, 4)` {
		t.Errorf("got %q", c.warnings)
	}
	c = check{}
	c.resolvers(`source "p"`, parse(t, "source \"pcap\" \"p\" {\n  resolvers = [\"127.0.0.1\"]\n}\n").Packets[0].Resolvers)
	if len(c.warnings) > 0 {
		t.Errorf("got %q", c.warnings)
	}
}

// TestMissingRightsOfAnotherUserAreAWarning: run will be started as the user of the service.
func TestMissingRightsOfAnotherUserAreAWarning(t *testing.T) {
	denied := fmt.Errorf("creating a file: %w", os.ErrPermission)
	service := service.Units{User: "dnstap-pdns"}
	for name, tt := range map[string]struct {
		later *Later
		uid   int
		err   error
		warns bool
	}{
		"of a user, with a service":    {&Later{Units: service}, 1000, denied, true},
		"another error":                {&Later{Units: service}, 1000, os.ErrNotExist, false},
		"of root":                      {&Later{Units: service}, 0, denied, false},
		"inside the service":           {&Later{Units: service, Inside: true}, 1000, denied, false},
		"of a user, without a service": {&Later{}, 1000, denied, false},
		"of the sensor itself":         {nil, 1000, denied, false},
	} {
		c := check{o: Options{Later: tt.later}, uid: tt.uid}
		c.fail(tt.err)
		if (len(c.warnings) == 1) != tt.warns || (len(c.errs) == 1) == tt.warns {
			t.Errorf("%s: errors %v, warnings %v", name, c.errs, c.warnings)
		}
	}
}

// TestSocketOfAnotherMode: mode has no effect on a socket that another process made.
func TestSocketOfAnotherMode(t *testing.T) {
	f := newFolder(t)
	path := f.path("run/tap.sock")
	listen(t, "unix", path)
	src := unixSource(path) + stdout + decided + quiet
	for mode, want := range map[os.FileMode][]string{0o660: nil, 0o666: {`source "a": every user of this machine may write to the socket (mode 0666)`}} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for name, o := range map[string]Options{
			"inherited":  {Listens: func(_, address string) bool { return address == path }},
			"of systemd": {Later: &Later{Units: service.Units{Sockets: []string{path}}}},
		} {
			warnings, err := Run(t.Context(), parse(t, src), o)
			if got := problems(t, warnings); err != nil || !eachContains(got, want) {
				t.Errorf("%s, %v: %v, %q, want %q", name, mode, err, got, want)
			}
		}
	}
}

// TestLookupsEnd: a context that has ended ends them at once.
func TestLookupsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := check{}
	c.names(ctx, peers(&parse(t, "sink \"nmsg\" \"away\" {\n  to = \"udp://receiver.example:8430\"\n}\n").Config))
	if len(c.warnings) != 1 || strings.Contains(c.warnings[0].Problem, "receiver.example") {
		t.Errorf("got %q, want a warning without the name", c.warnings)
	}
}
