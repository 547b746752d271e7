package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// SpanOptions configure a span port.
type SpanOptions struct {
	TwoInterfaces bool          // two interfaces, one for each direction
	MTU           int           // of the link between resolver and world, in bytes; 0: 1500
	Delay         time.Duration // of the copies
}

// SpanPort is the mirror port of a switch between a resolver and the world, in a namespace
// of its own. The resolver whose Options name it is in a third namespace, at the other end
// of a link. Clients are in the world, so their queries are mirrored too.
//
// As on a wire, UDP and TCP checksums are complete, segments are not coalesced, and a query
// arrives before its response.
type SpanPort struct {
	*Namespace
	Interfaces []string // span0; with Tap, span0 has the packets from the resolver and span1 those to it

	resolver *Namespace
}

// Names of interfaces.
const (
	link       = "line" // in the world and in the resolver's namespace
	mirror     = "copy" // in the world, numbered: sends the copies
	lateMirror = "late" // in a namespace of its own: receives the copies that are to be delayed
	span       = "span" // in the span port's namespace, numbered: receives the copies
)

// SpanPort moves the addresses of the resolver under test to a namespace at the other end of
// a mirrored link.
func (w *World) SpanPort(t testing.TB, o SpanOptions) *SpanPort {
	t.Helper()
	RequirePrograms(t, "tc", "ethtool")
	if o.MTU == 0 {
		o.MTU = 1500
	}
	p := &SpanPort{Namespace: NewNamespace(t), resolver: NewNamespace(t)}
	w.addLink(t, p.resolver, o.MTU)
	copies := 1
	if o.TwoInterfaces {
		copies = 2
	}
	for i := range copies {
		from, to := fmt.Sprint(mirror, i), fmt.Sprint(span, i)
		p.Interfaces = append(p.Interfaces, to)
		if o.Delay == 0 {
			w.Connect(t, from, p.Namespace, to, o.MTU)
			continue
		}
		late := NewNamespace(t)
		w.Connect(t, from, late, lateMirror, o.MTU)
		late.Connect(t, to, p.Namespace, to, o.MTU)
		late.delay(t, lateMirror, to, o.Delay)
	}
	w.mirror(t, "ingress", fmt.Sprint(mirror, 0))
	w.mirror(t, "egress", fmt.Sprint(mirror, copies-1))
	keepOrder(t, w.Namespace, p.resolver)
	return p
}

// Cut takes the mirrored link down, after which no packet arrives at the span port. Delayed copies
// may still arrive.
func (p *SpanPort) Cut(t testing.TB) {
	t.Helper()
	p.resolver.configure(t, fmt.Sprintf("link set dev %s down\n", link))
}

// addLink moves the resolver's addresses from the world to the far end of a new link.
func (w *World) addLink(t testing.TB, far *Namespace, mtu int) {
	t.Helper()
	w.Connect(t, link, far, link, mtu)
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

// ends replaces the names of the link and of its and the resolver's addresses.
var ends = strings.NewReplacer("LINE", link,
	"NEAR4", "169.254.0.1", "FAR4", "169.254.0.2", "NEAR6", "fe80::1", "FAR6", "fe80::2",
	"RESOLVER4", Resolver4, "RESOLVER6", Resolver6, "LISTENS", ResolverListens)

// Connect makes a link between an interface of n and one of another namespace. It carries no
// automatic traffic, packets enter it with complete checksums, and mtu is its limit.
func (n *Namespace) Connect(t testing.TB, here string, other *Namespace, there string, mtu int) {
	t.Helper()
	const passing = "passing" // the temporary name of the other end
	n.configure(t, fmt.Sprintf(`
link add name %s type veth peer name %s
link set dev %s netns %d
link set dev %s addrgenmode none mtu %d up
`, here, passing, passing, other.threadID(t), here, mtu))
	other.configure(t, fmt.Sprintf("link set dev %s name %s addrgenmode none mtu %d up\n", passing, there, mtu))
	n.call(t, "", "ethtool", "-K", here, "tx", "off")
	other.call(t, "", "ethtool", "-K", there, "tx", "off")
}

// mirror copies each packet of one direction of the link, as seen from the world, to an
// interface.
func (w *World) mirror(t testing.TB, direction, to string) {
	t.Helper()
	w.Mirror(t, link, direction, to)
}

// Mirror mirrors each packet that an interface receives ("ingress") or sends ("egress") to
// another interface.
func (n *Namespace) Mirror(t testing.TB, from, direction, to string) {
	t.Helper()
	RequirePrograms(t, "tc")
	// u32 is used because some kernels lack matchall. The command adds the queueing discipline
	// if it does not exist.
	n.call(t, fmt.Sprintf(`
qdisc replace dev %s clsact
filter add dev %s %s protocol all u32 match u32 0 0 action mirred egress mirror dev %s
`, from, from, direction, to), "tc", "-batch", "-")
}

// threadID identifies the namespace to the kernel: the ID of its thread.
func (n *Namespace) threadID(t testing.TB) int {
	t.Helper()
	var id int
	if err := n.do(func() error { id = unix.Gettid(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}
