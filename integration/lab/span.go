package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// SpanOptions say what a span port is like.
type SpanOptions struct {
	Tap   bool          // two interfaces, one for each direction
	MTU   int           // of the line between resolver and world, in bytes; 0: 1500
	Delay time.Duration // by which copies are late
}

// SpanPort is where a switch shows what passes between a resolver and the world, in
// a namespace that has nothing else. The resolver that Options name it to is in a
// third namespace, at the other end of a line; clients are in the world, so that
// their questions pass too.
//
// UDP and TCP checksums are finished, no segments are put together, and a query comes
// before its response, as on a wire.
type SpanPort struct {
	*Namespace
	Interfaces []string // span0; of a tap, span0 has what the resolver sends, and span1 what it is sent

	resolver *Namespace
}

// Interfaces, by the namespace that they are in.
const (
	line       = "line" // in the world, and the resolver's
	mirror     = "copy" // in the world, numbered: where copies leave it
	lateMirror = "late" // in a namespace of its own: where they wait
	span       = "span" // in the span port's, numbered: where they arrive
)

// SpanPort moves the place of the resolver under test out of the world, behind a
// line that is mirrored.
func (w *World) SpanPort(t testing.TB, o SpanOptions) *SpanPort {
	t.Helper()
	Need(t, "tc", "ethtool")
	if o.MTU == 0 {
		o.MTU = 1500
	}
	p := &SpanPort{Namespace: NewNamespace(t), resolver: NewNamespace(t)}
	w.drawLine(t, p.resolver, o.MTU)
	copies := 1
	if o.Tap {
		copies = 2
	}
	for i := range copies {
		from, to := fmt.Sprint(mirror, i), fmt.Sprint(span, i)
		p.Interfaces = append(p.Interfaces, to)
		if o.Delay == 0 {
			w.connect(t, from, p.Namespace, to, o.MTU)
			continue
		}
		late := NewNamespace(t)
		w.connect(t, from, late, lateMirror, o.MTU)
		late.connect(t, to, p.Namespace, to, o.MTU)
		late.delay(t, lateMirror, to, o.Delay)
	}
	w.mirror(t, "ingress", fmt.Sprint(mirror, 0))
	w.mirror(t, "egress", fmt.Sprint(mirror, copies-1))
	keepOrder(t, w.Namespace, p.resolver)
	return p
}

// drawLine takes the resolver's addresses out of the world and puts them at the far
// end of a line.
func (w *World) drawLine(t testing.TB, far *Namespace, mtu int) {
	t.Helper()
	w.connect(t, line, far, line, mtu)
	w.configure(t, ends.Replace(`
addr add NEAR4/30 dev LINE
addr add NEAR6/64 dev LINE nodad
addr del RESOLVER4/32 dev lo
addr del RESOLVER6/128 dev lo
addr del LISTENS/32 dev lo
route add RESOLVER4/32 via FAR4 dev LINE
route add RESOLVER6/128 via FAR6 dev LINE
route add LISTENS/32 via FAR4 dev LINE
`))
	far.configure(t, ends.Replace(`
addr add FAR4/30 dev LINE
addr add FAR6/64 dev LINE nodad
addr add RESOLVER4/32 dev lo
addr add RESOLVER6/128 dev lo nodad
addr add LISTENS/32 dev lo
route add default via NEAR4 dev LINE src RESOLVER4
route add ::/0 via NEAR6 dev LINE src RESOLVER6
`))
}

// ends are the addresses of the line's ends and of the resolver.
var ends = strings.NewReplacer("LINE", line,
	"NEAR4", "169.254.0.1", "FAR4", "169.254.0.2", "NEAR6", "fe80::1", "FAR6", "fe80::2",
	"RESOLVER4", Resolver4, "RESOLVER6", Resolver6, "LISTENS", ResolverListens)

// connect draws a line between an interface here and one in another namespace.
// Nothing travels on it by itself, checksums are finished before it, and what is
// longer than mtu is cut by whoever sends it.
func (n *Namespace) connect(t testing.TB, here string, other *Namespace, there string, mtu int) {
	t.Helper()
	const passing = "passing" // the far end's name until it is there
	n.configure(t, fmt.Sprintf(`
link add name %s type veth peer name %s
link set dev %s netns %d
link set dev %s addrgenmode none mtu %d up
`, here, passing, passing, other.threadID(t), here, mtu))
	other.configure(t, fmt.Sprintf("link set dev %s name %s addrgenmode none mtu %d up\n", passing, there, mtu))
	n.call(t, "", "ethtool", "-K", here, "tx", "off")
	other.call(t, "", "ethtool", "-K", there, "tx", "off")
}

// mirror has each packet that takes the line in that direction, seen from the world,
// copied out of an interface.
func (w *World) mirror(t testing.TB, direction, to string) {
	t.Helper()
	w.Copy(t, line, direction, to)
}

// Copy has each packet that comes in ("ingress") or leaves ("egress") by an interface
// copied out of another.
func (n *Namespace) Copy(t testing.TB, from, direction, to string) {
	t.Helper()
	Need(t, "tc")
	// u32, as not every kernel has matchall. The first time adds the queueing
	// discipline, the second finds it there.
	n.call(t, fmt.Sprintf(`
qdisc replace dev %s clsact
filter add dev %s %s protocol all u32 match u32 0 0 action mirred egress mirror dev %s
`, from, from, direction, to), "tc", "-batch", "-")
}

// threadID is by what the kernel finds the namespace.
func (n *Namespace) threadID(t testing.TB) int {
	t.Helper()
	var id int
	if err := n.do(func() error { id = unix.Gettid(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}
