package house

import (
	"go/ast"
	"go/types"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport lists the packages of the module that each package may import (docs/architecture.md).
// Imports point downwards, sources and sinks do not import each other, and neither imports
// conf. A new package must be added here first.
var mayImport = map[string][]string{
	"transform":    {"transform/dnswire", "transform/dnswire/wiretest"},
	"forward/nmsg": {"transform", "transform/rrset"},
	"forward/cof":  {"transform/dnstext", "transform/rrset", "forward/nmsg/nmsgtest"},

	"forward/udp":         {"forward", "forward/nmsg", "forward/forwardtest"},
	"forward/file":        {"forward/ondisk", "transform", "forward", "forward/forwardtest"},
	"forward/ondisk":      nil,
	"forward/stdout":      {"transform", "forward", "forward/forwardtest"},
	"forward/wss":         {"forward", "forward/forwardtest", "conf/certs", "conf/secret"},
	"forward/kafka":       {"forward", "forward/nmsg", "forward/forwardtest", "conf/brokers", "conf/certs", "conf/secret"},
	"forward/wss/wsstest": nil,                                                                                  // checks forward/wss: shares no code with it
	"forward/spool":       {"forward/ondisk", "forward", "forward/nmsg", "forward/file", "forward/forwardtest"}, // file for the times of syncs
	"forward/forwardtest": {"transform", "forward", "forward/nmsg"},                                             // for tests of transports

	"forward/fstrm": {"transform", "forward", "forward/nmsg", "forward/forwardtest", "conf/certs"},
	"forward/jsonl": {"transform", "transform/rrset", "forward", "forward/nmsg", "forward/nmsg/nmsgjson", "forward/cof", "forward/forwardtest"},

	"forward/aggregate": {"forward/ondisk", "transform", "transform/rrset", "forward", "forward/nmsg", "forward/cof", "forward/jsonl", "forward/forwardtest"}, // formats and forwardtest for tests

	"transform/dnstext":     {"transform/dnswire"},
	"transform/rrset":       {"transform", "transform/dnswire", "transform/dnswire/wiretest"},
	"forward/nmsg/nmsgjson": {"forward/nmsg", "forward/nmsg/nmsgtest", "transform/dnstext"},
	"forward/nmsg/nmsgtest": {"forward/nmsg"}, // for tests

	"forward":         {"transform", "transform/rrset", "forward/nmsg"},
	"collector/kafka": {"transform", "transform/rrset", "forward/nmsg", "conf/brokers"}, // NMSG is its input
	"collector":       {"transform", "conf/certs", "collector/sockfile"},
	"conf": {"transform", "transform/rrset", "forward", "forward/nmsg", "forward/fstrm", "forward/jsonl", "forward/cof",
		"forward/aggregate", "forward/udp", "forward/file", "forward/stdout", "forward/wss", "forward/spool",
		"collector", "collector/kafka", "conf/brokers", "conf/certs", "conf/secret", "fallback/pcap", "forward/kafka"},

	"conf/brokers":         {"conf/certs", "conf/secret"},
	"conf/certs":           nil,
	"conf/secret":          nil,
	"conf/certs/certstest": {"conf/certs"},
	"collector/sockfile":   nil,

	"transform/dnswire":          {"transform/dnswire/wiretest"},
	"transform/dnswire/wiretest": nil, // shares no code with the package that it tests

	"fallback/pcap/stream": {"transform", "transform/dnswire"},
	"fallback/pcap/ring":   {"transform"},
	"fallback/pcap/packet": {"transform", "fallback/pcap/stream"},

	"fallback/pcap/capfile": {"transform"},
	"fallback/pcap":         {"transform", "fallback/pcap/capfile", "fallback/pcap/packet", "fallback/pcap/ring"},

	"cmd/dnstap-pdns/internal/present": {"forward/nmsg", "forward/nmsg/nmsgjson", "forward/nmsg/nmsgtest", "transform/dnstext"},
	"cmd/dnstap-pdns/internal/sensor": {"transform", "transform/rrset", "forward", "forward/nmsg", "collector", "collector/kafka", "conf/certs",
		"collector/sockfile", "conf", "fallback/pcap"},
	"cmd/dnstap-pdns/internal/admin": {"transform", "transform/rrset", "forward", "collector", "collector/kafka", "conf", "fallback/pcap", "fallback/pcap/packet",
		"fallback/pcap/ring", "cmd/dnstap-pdns/internal/sensor", "cmd/dnstap-pdns/internal/shortage"},
	"cmd/dnstap-pdns/internal/admin/page": {"transform", "forward", "conf", "cmd/dnstap-pdns/internal/admin",
		"cmd/dnstap-pdns/internal/admin/samples", "cmd/dnstap-pdns/internal/observers"},
	"cmd/dnstap-pdns/internal/admin/samples": {"transform", "forward", "forward/nmsg", "forward/fstrm", "forward/jsonl", "cmd/dnstap-pdns/internal/observers", "cmd/dnstap-pdns/internal/present"},
	"cmd/dnstap-pdns/internal/observers":     {"forward"},
	"cmd/dnstap-pdns/internal/startcheck": {"conf", "conf/brokers", "conf/certs", "collector", "collector/sockfile", "fallback/pcap", "forward",
		"forward/aggregate", "forward/file", "forward/fstrm", "forward/kafka", "forward/wss", "forward/spool", "transform/rrset", "cmd/dnstap-pdns/internal/service"},
	"cmd/dnstap-pdns/internal/service": nil,
	"cmd/dnstap-pdns/internal/house":   nil,
	"cmd/dnstap-pdns/internal/canary":  nil, // checks scrubbing independently: shares no code with it
	"cmd/dnstap-pdns/internal/census":  nil,

	"cmd/dnstap-pdns/internal/explain": {"transform", "forward/nmsg", "fallback/pcap/packet", "cmd/dnstap-pdns/internal/canary",
		"cmd/dnstap-pdns/internal/census", "cmd/dnstap-pdns/internal/present", "cmd/dnstap-pdns/internal/shortage"},
	"cmd/dnstap-pdns/internal/shortage": {"transform", "collector", "fallback/pcap/packet"},
	"cmd/dnstap-pdns/internal/selftest": {"transform", "forward", "forward/nmsg", "forward/fstrm", "forward/jsonl", "cmd/dnstap-pdns/internal/observers"},

	"cmd/dnstap-pdns/internal/setup": {"transform", "collector", "conf"},

	"cmd/dnstap-pdns/internal/statement":  {"transform", "conf"},
	"cmd/dnstap-pdns/internal/uncompress": nil,
	"cmd/dnstap-pdns": {"transform", "forward", "forward/nmsg", "forward/fstrm", "forward/jsonl", "forward/aggregate", "forward/udp", "forward/file",
		"collector", "conf", "fallback/pcap", "fallback/pcap/packet", "fallback/pcap/ring", // for their counters
		"cmd/dnstap-pdns/internal/admin", "cmd/dnstap-pdns/internal/admin/page", "cmd/dnstap-pdns/internal/canary",
		"cmd/dnstap-pdns/internal/census", "transform/rrset", // what a gate would hold back
		"cmd/dnstap-pdns/internal/explain", "cmd/dnstap-pdns/internal/observers", "cmd/dnstap-pdns/internal/present",
		"cmd/dnstap-pdns/internal/selftest", "cmd/dnstap-pdns/internal/sensor",
		"cmd/dnstap-pdns/internal/service", "cmd/dnstap-pdns/internal/setup", "cmd/dnstap-pdns/internal/shortage",
		"cmd/dnstap-pdns/internal/startcheck", "cmd/dnstap-pdns/internal/statement", "cmd/dnstap-pdns/internal/uncompress"},

	// These packages check the sensor from outside and share no code with it.
	"integration/nmsgcheck": nil,
	"integration/lab":       nil,
	"integration": {"integration/lab", "integration/nmsgcheck",
		"collector", "collector/sockfile", // their predictions of socket access are compared with the kernel
		"fallback/pcap/ring"}, // its tests need root and interfaces
	"integration/bench":     {"integration/plot", "integration/workload"},
	"integration/plot":      nil,
	"integration/workload":  nil,
	"integration/sieserver": nil,

	"integration/kafkabroker": nil,

	"integration/compose":        {"integration/lab", "integration/nmsgcheck"},
	"integration/compose/client": nil,
	"integration/packages":       nil,
	"integration/systemd":        {"integration/lab", "integration/nmsgcheck"},
}

// testsMayImport lists what the tests of a package may import in addition.
var testsMayImport = map[string][]string{
	"cmd/dnstap-pdns":                     {"collector/kafka"}, // its rows, for the documentation
	"cmd/dnstap-pdns/internal/admin":      {"conf/certs"},
	"cmd/dnstap-pdns/internal/admin/page": {"collector/kafka"},

	"cmd/dnstap-pdns/internal/sensor":     {"integration/workload", "transform/dnswire"},
	"cmd/dnstap-pdns/internal/startcheck": {"conf/certs/certstest"},

	"forward/file":   {"forward/nmsg", "forward/fstrm", "forward/jsonl"}, // the formats of its files
	"forward/fstrm":  {"conf/certs/certstest"},
	"forward/spool":  {"forward/wss"},
	"forward/nmsg":   {"forward/cof", "forward/nmsg/nmsgjson", "forward/nmsg/nmsgtest"}, // formats of what was read
	"forward/stdout": {"forward/nmsg"},
	"forward/wss":    {"conf/certs/certstest", "forward/wss/wsstest"},
	"forward/kafka":  {"conf/certs/certstest", "forward/spool", "transform/rrset"},

	"conf/brokers": {"conf/certs/certstest"},

	"transform":       {"integration/workload"},
	"transform/rrset": {"integration/plot"},

	"collector":  {"conf/certs/certstest"},
	"conf/certs": {"conf/certs/certstest"},
}

// TestImportsFollowTheDesign checks the imports of packages and of their tests against
// mayImport.
func TestImportsFollowTheDesign(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		allowed, listed := mayImport[s.folder()]
		used[s.folder()] = true
		if !listed {
			t.Errorf("%s: package %s is missing in mayImport: add it there and in docs/architecture.md", s.path, s.folder())
			continue
		}
		for _, spec := range s.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			pkg, ours := strings.CutPrefix(imported, module+"/")
			itself := s.isTest() && pkg == s.folder() // of package x_test
			forTests := s.isTest() && slices.Contains(testsMayImport[s.folder()], pkg)
			if ours && !itself && !forTests && !slices.Contains(allowed, pkg) {
				t.Errorf("%s imports %s; %s may import %v", s.at(spec), pkg, s.folder(), allowed)
			}
		}
	}
	for pkg := range maps.Keys(mayImport) {
		if !used[pkg] {
			t.Errorf("mayImport has %s, but there is no such package: remove it", pkg)
		}
	}
}

// TestMayImportHasNoUpwardPath checks mayImport itself: no package of the left column
// reaches, directly or indirectly, a package of the right column.
func TestMayImportHasNoUpwardPath(t *testing.T) {
	for pkg, never := range map[string][]string{
		"transform":    {"collector", "forward", "forward/nmsg", "conf", "transform/rrset"},
		"forward/nmsg": {"collector", "forward", "conf"},

		"forward/nmsg/nmsgjson": {"collector", "forward", "conf"},

		"forward":   {"collector", "conf", "forward/udp", "forward/file", "forward/stdout", "forward/fstrm", "forward/jsonl"},
		"collector": {"forward", "forward/nmsg", "conf", "fallback/pcap"},

		"forward/udp":    {"collector", "conf", "forward/file", "forward/stdout"},
		"forward/file":   {"collector", "conf", "forward/udp", "forward/stdout"},
		"forward/stdout": {"collector", "conf", "forward/udp", "forward/file"},
		"forward/wss":    {"collector", "conf", "forward/udp", "forward/file", "forward/stdout"},
		"forward/fstrm":  {"collector", "conf", "forward/udp", "forward/file", "forward/stdout", "forward/jsonl"},
		"forward/jsonl":  {"collector", "conf", "forward/udp", "forward/file", "forward/stdout", "forward/fstrm"},
		"forward/spool":  {"collector", "conf", "forward/udp", "forward/stdout"},

		"fallback/pcap/stream": {"collector", "forward", "forward/nmsg", "conf"},
		"fallback/pcap/ring":   {"collector", "forward", "forward/nmsg", "conf"},
		"fallback/pcap/packet": {"collector", "forward", "forward/nmsg", "conf"},
		"fallback/pcap":        {"collector", "forward", "forward/nmsg", "conf"},

		"fallback/pcap/capfile": {"collector", "forward", "forward/nmsg", "conf", "fallback/pcap/packet"},
	} {
		reached := map[string]bool{}
		var follow func(string)
		follow = func(at string) {
			for _, next := range mayImport[at] {
				reached[next] = true
				follow(next)
			}
		}
		follow(pkg)
		for _, n := range never {
			if reached[n] {
				t.Errorf("mayImport lets %s reach %s", pkg, n)
			}
		}
	}
}

// TestOnlyTestsUseGopacket checks that the sensor reads packets and capture files with its
// own code. Tests compare it with gopacket; benchmarks write their files with it.
func TestOnlyTestsUseGopacket(t *testing.T) {
	tests := 0
	for _, s := range sources(t) {
		for _, spec := range s.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case !strings.HasPrefix(imported, "github.com/gopacket/"):
			case s.isTest():
				tests++
			case s.folder() != "integration/bench" && s.folder() != "integration/workload":
				t.Errorf("%s imports %s: use fallback/pcap/capfile, which reads capture files without it", s.at(spec), imported)
			}
		}
	}
	if tests == 0 {
		t.Error("no test uses gopacket: remove this test")
	}
}

// A limit lists what a package must not depend on.
type limit struct {
	packages []string            // must not be imported; "x/..." is every package below x
	except   map[string]string   // imports that are allowed nevertheless, with the files that may have them
	uses     map[string][]string // by package, the only identifiers that may be used
	clock    bool                // may use time values, but must not read or wait for the clock
}

var (
	sockets = []string{"net", "net/http/...", "net/http", "syscall", "golang.org/x/sys/...", "golang.org/x/net/..."}
	files   = []string{"os", "os/...", "io/fs", "io/ioutil", "path/filepath", "embed"}
	people  = []string{"flag", "log", "log/...", "context"}

	limits = map[string]limit{
		"transform": {
			packages: slices.Concat(sockets, files, people, []string{"sync", "sync/...", "runtime", "runtime/..."}),
			except: map[string]string{
				"sync/atomic":                   "budget.go",                // the memory limit that all lanes share
				"golang.org/x/net/idna":         "localnames.go",            // names only
				"golang.org/x/net/publicsuffix": "domains.go localnames.go", // a table
			},
			uses: map[string][]string{"time": {"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}},
		},
		"transform/rrset": {
			packages: slices.Concat(sockets, files, people, []string{"sync", "sync/...", "runtime", "runtime/..."}),
			uses:     map[string][]string{"time": {"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}},
		},
		"transform/dnswire": { // the standard library only
			packages: slices.Concat(sockets, files, people, []string{"sync", "sync/...", "runtime", "runtime/...", "time",
				"github.com/...", "golang.org/..."}),
		},
		"forward/nmsg": {
			packages: slices.Concat(sockets, files, people),
			clock:    true,
		},
		"forward/nmsg/nmsgjson": {
			packages: slices.Concat(sockets, files, people),
			clock:    true,
		},
		"forward/cof": {
			packages: slices.Concat(sockets, files, people),
			clock:    true,
		},
		"transform/dnstext": {
			packages: slices.Concat(sockets, files, people),
			clock:    true,
		},
		"cmd/dnstap-pdns/internal/census": {
			packages: slices.Concat(sockets, files, people),
			except:   map[string]string{"golang.org/x/net/publicsuffix": "name.go"}, // a table
			clock:    true,
		},
	}
)

func TestCoreUsesNoSocketFileClockOrGoroutine(t *testing.T) {
	checked := 0
	for _, r := range checkedPackages(t) {
		l, limited := limits[r.name()]
		if !limited {
			continue
		}
		checked++
		l.checkImports(t, r)
		r.inspect(func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s: %s must not use goroutines or channels", r.at(n), r.name())
			case *ast.Ident:
				l.checkUse(t, r, n)
			}
			return true
		})
	}
	if checked != len(limits) {
		t.Errorf("%d of %d packages in limits exist", checked, len(limits))
	}
}

func (l limit) checkImports(t *testing.T, r checkedPackage) {
	for _, f := range r.Syntax {
		for _, spec := range f.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			file := path.Base(r.Fset.Position(f.Pos()).Filename)
			if slices.Contains(strings.Fields(l.except[imported]), file) {
				continue
			}
			for _, p := range l.packages {
				below, all := strings.CutSuffix(p, "...")
				if imported == p || all && strings.HasPrefix(imported, below) {
					t.Errorf("%s: %s must not import %s", r.at(spec), r.name(), imported)
				}
			}
		}
	}
}

// clocks lists the functions of package time that read the clock or wait for it.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func (l limit) checkUse(t *testing.T, r checkedPackage, id *ast.Ident) {
	o := r.TypesInfo.Uses[id]
	if o == nil || o.Pkg() == nil || o.Parent() != o.Pkg().Scope() {
		return // a method, a field, or local
	}
	if allowed, ok := l.uses[o.Pkg().Path()]; ok && !slices.Contains(allowed, o.Name()) {
		t.Errorf("%s: %s may use only %v of package %s", r.at(id), r.name(), allowed, o.Pkg().Path())
	}
	if _, isFunc := o.(*types.Func); isFunc && l.clock && o.Pkg().Path() == "time" && slices.Contains(clocks, o.Name()) {
		t.Errorf("%s: %s must not read the clock: pass the time to it", r.at(id), r.name())
	}
}
