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

// mayImport is DESIGN.md's house: what each package may import of the module.
// Everything points down, sources and sinks do not know each other, and none
// imports conf. Another room must be given its place here first.
var mayImport = map[string][]string{
	"transform":    {"transform/dnswire", "transform/dnswire/wiretest"},
	"forward/nmsg": {"transform"},

	"forward/udp":         {"forward", "forward/nmsg", "forward/forwardtest"},
	"forward/file":        {"transform", "forward", "forward/nmsg", "forward/forwardtest"}, // nmsg for recovery
	"forward/stdout":      {"transform", "forward", "forward/forwardtest"},
	"forward/forwardtest": {"transform", "forward", "forward/nmsg"}, // for tests of transports

	"transform/dnstext":     {"transform/dnswire"},
	"forward/nmsg/nmsgjson": {"forward/nmsg", "forward/nmsg/nmsgtest", "transform/dnstext"},
	"forward/nmsg/nmsgtest": {"forward/nmsg"}, // for tests

	"forward":   {"transform", "forward/nmsg"},
	"collector": {"transform", "collector/certs", "collector/sockfile"},
	"conf": {"transform", "forward", "forward/nmsg", "forward/udp", "forward/file", "forward/stdout",
		"collector", "collector/certs", "fallback/pcap"},

	"collector/certs":           nil,
	"collector/certs/certstest": {"collector/certs"},
	"collector/sockfile":        nil,

	"transform/dnswire":          {"transform/dnswire/wiretest"},
	"transform/dnswire/wiretest": nil, // it shares no code with what it tests

	"fallback/pcap/stream": {"transform", "transform/dnswire"},
	"fallback/pcap/ring":   {"transform"},
	"fallback/pcap/packet": {"transform", "fallback/pcap/stream"},

	"fallback/pcap/capfile": {"transform"},
	"fallback/pcap":         {"transform", "fallback/pcap/capfile", "fallback/pcap/packet", "fallback/pcap/ring"},

	"cmd/dnstap-pdns/internal/present": {"forward/nmsg", "forward/nmsg/nmsgjson", "forward/nmsg/nmsgtest", "transform/dnstext"},
	"cmd/dnstap-pdns/internal/sensor": {"transform", "forward", "forward/nmsg", "collector", "collector/certs", "collector/sockfile", "conf",
		"fallback/pcap"},
	"cmd/dnstap-pdns/internal/admin": {"transform", "forward", "collector", "conf", "fallback/pcap", "fallback/pcap/packet",
		"fallback/pcap/ring", "cmd/dnstap-pdns/internal/sensor"},
	"cmd/dnstap-pdns/internal/admin/page": {"transform", "forward", "conf", "cmd/dnstap-pdns/internal/admin",
		"cmd/dnstap-pdns/internal/admin/samples", "cmd/dnstap-pdns/internal/leaving"},
	"cmd/dnstap-pdns/internal/admin/samples": {"transform", "forward/nmsg", "cmd/dnstap-pdns/internal/leaving", "cmd/dnstap-pdns/internal/present"},
	"cmd/dnstap-pdns/internal/leaving":       {"forward"},
	"cmd/dnstap-pdns/internal/service":       nil,
	"cmd/dnstap-pdns/internal/house":         nil,
	"cmd/dnstap-pdns/internal/canary":        nil, // a second opinion on scrubbing: it shares no code with what it checks
	"cmd/dnstap-pdns/internal/census":        nil,

	"cmd/dnstap-pdns/internal/explain": {"transform", "forward/nmsg", "cmd/dnstap-pdns/internal/canary", "cmd/dnstap-pdns/internal/census",
		"cmd/dnstap-pdns/internal/present"},
	"cmd/dnstap-pdns/internal/selftest": {"transform", "forward", "forward/nmsg", "cmd/dnstap-pdns/internal/leaving"},

	"cmd/dnstap-pdns/internal/uncompress": nil,
	"cmd/dnstap-pdns": {"transform", "forward", "forward/nmsg", "forward/udp", "forward/file", "collector", "conf",
		"fallback/pcap", "fallback/pcap/packet", "fallback/pcap/ring", // for what they count
		"cmd/dnstap-pdns/internal/admin", "cmd/dnstap-pdns/internal/admin/page", "cmd/dnstap-pdns/internal/canary",
		"cmd/dnstap-pdns/internal/explain", "cmd/dnstap-pdns/internal/leaving", "cmd/dnstap-pdns/internal/present",
		"cmd/dnstap-pdns/internal/selftest", "cmd/dnstap-pdns/internal/sensor",
		"cmd/dnstap-pdns/internal/service", "cmd/dnstap-pdns/internal/uncompress"},

	// What checks the sensor from outside shares no code with it.
	"integration/nmsgcheck": nil,
	"integration/lab":       nil,
	"integration": {"integration/lab", "integration/nmsgcheck",
		"collector", "collector/sockfile", // whose word on a socket's access is held to the kernel's, as root
		"fallback/pcap/ring"}, // which needs root and interfaces
	"integration/bench": nil,

	"integration/compose":        {"integration/lab", "integration/nmsgcheck"},
	"integration/compose/client": nil,
}

// testsMayImport is what the tests of a package may import in addition.
var testsMayImport = map[string][]string{
	"cmd/dnstap-pdns/internal/admin": {"collector/certs"},

	"collector":       {"collector/certs/certstest"},
	"collector/certs": {"collector/certs/certstest"},
}

// TestEverythingPointsDown holds tests to the same: one that reaches for what is
// above tests something else.
func TestEverythingPointsDown(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		allowed, placed := mayImport[s.folder()]
		used[s.folder()] = true
		if !placed {
			t.Errorf("%s: the package %s has no place in mayImport", s.path, s.folder())
			continue
		}
		for _, spec := range s.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			room, ours := strings.CutPrefix(imported, module+"/")
			itself := s.isTest() && room == s.folder() // of package x_test
			forTests := s.isTest() && slices.Contains(testsMayImport[s.folder()], room)
			if ours && !itself && !forTests && !slices.Contains(allowed, room) {
				t.Errorf("%s imports %s; %s may import %v", s.at(spec), room, s.folder(), allowed)
			}
		}
	}
	for room := range maps.Keys(mayImport) {
		if !used[room] {
			t.Errorf("mayImport has %s, which is no package", room)
		}
	}
}

// TestTheGraphHasNoWayUp follows mayImport: whoever edits it keeps DESIGN.md's
// words.
func TestTheGraphHasNoWayUp(t *testing.T) {
	for room, never := range map[string][]string{
		"transform":    {"collector", "forward", "forward/nmsg", "conf"},
		"forward/nmsg": {"collector", "forward", "conf"},

		"forward/nmsg/nmsgjson": {"collector", "forward", "conf"},

		"forward":   {"collector", "conf", "forward/udp", "forward/file", "forward/stdout"},
		"collector": {"forward", "forward/nmsg", "conf", "fallback/pcap"},

		"forward/udp":    {"collector", "conf", "forward/file", "forward/stdout"},
		"forward/file":   {"collector", "conf", "forward/udp", "forward/stdout"},
		"forward/stdout": {"collector", "conf", "forward/udp", "forward/file"},

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
		follow(room)
		for _, n := range never {
			if reached[n] {
				t.Errorf("%s reaches %s", room, n)
			}
		}
	}
}

// TestOnlyTestsUseGopacket: the sensor reads packets and capture files with its own code;
// gopacket is the oracle of its tests, and writes the files of integration/bench.
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
			case s.folder() != "integration/bench":
				t.Errorf("%s imports %s: use fallback/pcap/capfile, which reads capture files without it", s.at(spec), imported)
			}
		}
	}
	if tests == 0 {
		t.Error("no test uses gopacket: remove this test")
	}
}

// A limit is what a package knows nothing of.
type limit struct {
	packages []string            // that it must not import; "x/..." is all below x
	except   map[string]string   // imports that it may have all the same, by the only file that may
	uses     map[string][]string // of a package, all that it may use
	clock    bool                // it may handle times, but not ask for one
}

var (
	sockets = []string{"net", "net/http/...", "net/http", "syscall", "golang.org/x/sys/...", "golang.org/x/net/..."}
	files   = []string{"os", "os/...", "io/fs", "io/ioutil", "path/filepath", "embed"}
	people  = []string{"flag", "log", "log/...", "context"}

	limits = map[string]limit{
		"transform": {
			packages: slices.Concat(sockets, files, people, []string{"sync", "sync/...", "runtime", "runtime/..."}),
			except: map[string]string{
				"sync/atomic":                   "pending.go",               // the budget of all lanes together
				"golang.org/x/net/idna":         "localnames.go",            // names only
				"golang.org/x/net/publicsuffix": "domains.go localnames.go", // a table
			},
			uses: map[string][]string{"time": {"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}},
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

func TestTheInnermostKnowNoSocketFileClockOrGoroutine(t *testing.T) {
	checked := 0
	for _, r := range rooms(t) {
		l, limited := limits[r.name()]
		if !limited {
			continue
		}
		checked++
		l.checkImports(t, r)
		r.inspect(func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s: %s knows no goroutine and no channel", r.at(n), r.name())
			case *ast.Ident:
				l.checkUse(t, r, n)
			}
			return true
		})
	}
	if checked != len(limits) {
		t.Errorf("%d of %d packages found", checked, len(limits))
	}
}

func (l limit) checkImports(t *testing.T, r room) {
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

// clocks are the functions of package time that ask for the time or wait for it.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func (l limit) checkUse(t *testing.T, r room, id *ast.Ident) {
	o := r.TypesInfo.Uses[id]
	if o == nil || o.Pkg() == nil || o.Parent() != o.Pkg().Scope() {
		return // a method, a field, or local
	}
	if allowed, ok := l.uses[o.Pkg().Path()]; ok && !slices.Contains(allowed, o.Name()) {
		t.Errorf("%s: of package %s, %s may use %v", r.at(id), o.Pkg().Path(), r.name(), allowed)
	}
	if _, isFunc := o.(*types.Func); isFunc && l.clock && o.Pkg().Path() == "time" && slices.Contains(clocks, o.Name()) {
		t.Errorf("%s: %s is told the time, it does not ask", r.at(id), r.name())
	}
}
