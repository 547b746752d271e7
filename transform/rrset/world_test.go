package rrset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"
)

// A world is a tree of zones with servers that answer truthfully, and add forged RRsets.
type world struct {
	t       *rapid.T
	zones   []*worldZone // the root first, parents before children
	hosts   []string     // names
	address map[string]string
}

type worldZone struct {
	name    string
	parent  *worldZone
	servers []string // hosts in the parent's NS RRset
	own     []string // hosts in the zone's own NS RRset
	lame    string   // one of the servers, which does not know the zone; "" if all do
}

// forgedMark is in the rdata of every forged RRset.
const forgedMark = "forged"

func (w *world) chance(percent int, what string) bool {
	return rapid.IntRange(0, 99).Draw(w.t, what) < percent
}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, address: map[string]string{}}
	root := &worldZone{name: ".", servers: []string{"a.root-servers.net."}}
	root.own = root.servers
	w.zones = []*worldZone{root}
	w.hosts = []string{"a.root-servers.net."}
	w.address["a.root-servers.net."] = rootServer.String()
	for range rapid.IntRange(2, 12).Draw(t, "zones") {
		parent := rapid.SampledFrom(w.zones).Draw(t, "parent")
		label := rapid.SampledFrom([]string{"a", "b", "c", "nota", "com"}).Draw(t, "label")
		name := label + "." + strings.TrimPrefix(parent.name, ".")
		if strings.Count(name, ".") > 5 || w.zone(name) != nil {
			continue
		}
		z := &worldZone{name: name, parent: parent}
		for range rapid.IntRange(1, 3).Draw(t, "servers") {
			z.servers = append(z.servers, w.host(z))
		}
		z.own = append(slices.Clone(z.servers), w.host(z))
		if len(z.servers) > 1 && w.chance(20, "lame") {
			z.lame = z.servers[0]
		}
		w.zones = append(w.zones, z)
	}
	return w
}

// host returns a server for a zone: a new one in the zone, or one that serves other zones.
func (w *world) host(z *worldZone) string {
	if w.chance(30, "shared host") {
		if h := rapid.SampledFrom(w.hosts).Draw(w.t, "host"); h != "a.root-servers.net." || w.chance(10, "a root server") {
			return h
		}
	}
	h := fmt.Sprintf("ns%d.%s", len(w.hosts), z.name)
	w.hosts = append(w.hosts, h)
	w.address[h] = fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 12).Draw(w.t, "address"))
	return h
}

func (w *world) zone(name string) *worldZone {
	i := slices.IndexFunc(w.zones, func(z *worldZone) bool { return z.name == name })
	if i < 0 {
		return nil
	}
	return w.zones[i]
}

// deepest returns the deepest zone that contains a name, of those that accept accepts.
func (w *world) deepest(name string, accept func(*worldZone) bool) (found *worldZone) {
	for _, z := range w.zones {
		if dns.IsSubDomain(z.name, name) && accept(z) && (found == nil || len(z.name) > len(found.name)) {
			found = z
		}
	}
	return found
}

// isDelegated reports whether a zone is delegated to a server's address.
func (w *world) isDelegated(z *worldZone, server string) bool {
	return slices.ContainsFunc(z.own, func(h string) bool { return w.address[h] == server })
}

// serves reports whether a server knows a zone. A host that is lame shares no address with others
// that are not.
func (w *world) serves(z *worldZone, server string) bool {
	return slices.ContainsFunc(z.own, func(h string) bool { return h != z.lame && w.address[h] == server })
}

// hasAuthority reports whether a server may state anything about a name.
func (w *world) hasAuthority(server, name string) bool {
	return w.deepest(name, func(z *worldZone) bool { return w.isDelegated(z, server) }) != nil
}

// ask returns a server's response, without forgeries, and the zone that it refers to.
func (w *world) ask(server, name string, qtype uint16) (r reply, child *worldZone, lame bool) {
	r = reply{server: server, name: name, qtype: qtype}
	z := w.deepest(name, func(z *worldZone) bool {
		return w.serves(z, server) && (qtype != dns.TypeDS || z.name != name || z.parent == nil)
	})
	if z == nil {
		r.authority = ". 60 NS a.root-servers.net."
		return r, nil, true
	}
	for _, c := range w.zones {
		below := dns.IsSubDomain(c.name, name) && (qtype != dns.TypeDS || c.name != name)
		if c.parent == z && below && !w.serves(c, server) {
			r.authority, r.additional = w.nsOf(c.name, c.servers, z)
			if w.chance(50, "signed") {
				r.authority += fmt.Sprintf("%s 60 DS 1 8 2 00\n", c.name)
			}
			return r, c, false
		}
	}
	switch {
	case w.address[name] != "" && qtype == dns.TypeA:
		r.answer = fmt.Sprintf("%s 60 A %s", name, w.address[name])
	case qtype == dns.TypeDS && w.zone(name) != nil:
		r.answer = fmt.Sprintf("%s 60 DS 1 8 2 00", name)
	case strings.HasPrefix(name, "www."):
		r.answer = fmt.Sprintf("%s 60 A 198.51.100.80", name)
	case strings.HasPrefix(name, "alias."):
		r.answer = fmt.Sprintf("%s 60 CNAME www.%s", name, strings.TrimPrefix(z.name, "."))
	case strings.HasPrefix(name, "gone."):
		r.rcode = dns.RcodeNameError
		r.authority = fmt.Sprintf("%s 60 SOA ns. h. 1 2 3 4 5\n", z.name)
		return r, nil, false
	}
	r.authority, r.additional = w.nsOf(z.name, z.own, z)
	return r, nil, false
}

// nsOf returns an NS RRset, and the addresses of its hosts in the zone of the server.
func (w *world) nsOf(name string, hosts []string, in *worldZone) (ns, glue string) {
	for _, h := range hosts {
		ns += fmt.Sprintf("%s 60 NS %s\n", name, h)
		if dns.IsSubDomain(in.name, h) {
			glue += fmt.Sprintf("%s 60 A %s\n", h, w.address[h])
		}
	}
	return ns, glue
}

// forge returns forged records that the server has no authority to state, and their number.
func (w *world) forge(server string) (records string, n int) {
	for range rapid.IntRange(0, 3).Draw(w.t, "forged") {
		zone := rapid.SampledFrom(w.zones).Draw(w.t, "victim").name
		owner := rapid.SampledFrom(append([]string{zone, "x" + zone, "www." + strings.TrimPrefix(zone, ".")}, w.hosts...)).Draw(w.t, "owner")
		if zone == "." && owner == "x." || w.hasAuthority(server, owner) {
			continue
		}
		n++
		records += "\n" + owner + " 60 " + rapid.SampledFrom([]string{
			"NS ns." + forgedMark + ".", "NS " + w.hosts[len(w.hosts)-1], "CNAME " + forgedMark + ".", "DS 1 8 2 666f72676564", "TXT " + forgedMark, "A 192.0.2.66", "A " + server,
		}).Draw(w.t, "data")
	}
	return records, n
}

// A trial is a resolver in a world. Two sensors see its traffic: one with the zone that it states,
// and one without.
type trial struct {
	*world
	exact, packets *sensor

	resolver knowledge
	bad      map[string]bool // zone and host
	model    knowledge       // what packets show
	spoofed  int             // responses of servers without authority
	passed   int
	forged   int

	// blind means that packets cannot show what the resolver learned: a server to which two zones are
	// delegated answered for the upper one, because it does not know the lower one, which the resolver
	// has forgotten. The trial ends then.
	blind bool
}

// knowledge is which hosts serve a zone, and their addresses.
type knowledge struct {
	servers map[string][]string
	address map[string]string
}

func (w *world) newKnowledge() knowledge {
	return knowledge{map[string][]string{".": w.zones[0].servers}, map[string]string{w.hosts[0]: rootServer.String()}}
}

// deepest returns the deepest zone that contains a name, of those that accept accepts.
func (k *knowledge) deepest(name string, qtype uint16, accept func(servers []string) bool) (found string) {
	for zone, servers := range k.servers {
		below := dns.IsSubDomain(zone, name) && (qtype != dns.TypeDS || zone != name || zone == ".")
		if below && len(zone) > len(found) && accept(servers) {
			found = zone
		}
	}
	return found
}

// learn takes servers and addresses from records at or below a zone.
func (k *knowledge) learn(all []dns.RR, zone string) {
	for _, rr := range all {
		owner := rr.Header().Name
		if !dns.IsSubDomain(zone, owner) {
			continue
		}
		switch rr := rr.(type) {
		case *dns.NS:
			if owner != "." && !slices.Contains(k.servers[owner], rr.Ns) {
				k.servers[owner] = append(k.servers[owner], rr.Ns)
			}
		case *dns.A:
			k.address[owner] = rr.A.String()
		}
	}
}

// needs reports whether a host serves a zone other than the root.
func (k *knowledge) needs(host string) bool {
	for zone, servers := range k.servers {
		if zone != "." && slices.Contains(servers, host) {
			return true
		}
	}
	return false
}

// TestNoForgedRRsetPassesAndEveryTrueOneDoes lets a resolver look up names in a random world.
func TestNoForgedRRsetPassesAndEveryTrueOneDoes(t *testing.T) {
	passed, forged, trials, blind := 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		x := &trial{world: newWorld(rt), exact: newSensor(t), packets: newSensor(t), bad: map[string]bool{}}
		x.resolver, x.model = x.newKnowledge(), x.newKnowledge()
		clear(x.model.address) // the sensors know root servers by their addresses alone
		for range rapid.IntRange(1, 10).Draw(rt, "lookups") {
			zone := rapid.SampledFrom(x.zones).Draw(rt, "zone")
			prefix := rapid.SampledFrom([]string{"www.", "alias.", "gone.", ""}).Draw(rt, "prefix")
			qtype := rapid.SampledFrom([]uint16{dns.TypeA, dns.TypeA, dns.TypeDS, dns.TypeNS}).Draw(rt, "type")
			x.resolve(cmp.Or(prefix+strings.TrimPrefix(zone.name, "."), "."), qtype, 0)
			if x.blind {
				break
			}
			x.spoof()
			if zone.parent != nil && x.chance(20, "the resolver forgets") {
				delete(x.resolver.servers, zone.name)
			}
		}
		for _, s := range []*sensor{x.exact, x.packets} {
			if c := s.Counts(); c.By[Unverified]+c.By[HeldFull]+c.By[NotRoot]+c.By[Malformed]+c.By[Forwarded] > 0 {
				rt.Errorf("counts %+v", c)
			}
		}
		if c := x.packets.Counts(); c.Held != uint64(x.spoofed) {
			rt.Errorf("%d RRsets are held, want %d", c.Held, x.spoofed)
		}
		passed, forged, trials = passed+x.passed, forged+x.forged, trials+1
		if x.blind {
			blind++
		}
	})
	t.Logf("%d RRsets passed and %d were forged in %d trials; %d ended early", passed, forged, trials, blind)
	if passed < 5*trials || forged < trials/4 || blind > 1+trials/50 {
		t.Error("the test no longer checks anything")
	}
}

// resolve looks up a name from the deepest zone down that the resolver knows.
func (x *trial) resolve(name string, qtype uint16, depth int) {
	for !x.blind {
		zone := x.resolver.deepest(name, qtype, func([]string) bool { return true })
		host := x.server(zone, depth)
		if host == "" {
			return
		}
		r, child, lame := x.ask(x.resolver.address[host], name, qtype)
		x.observe(r, zone)
		x.resolver.learn(r.all(x.t), zone)
		switch {
		case lame, child != nil && len(child.name) <= len(zone):
			x.bad[zone+host] = true
		case child == nil:
			return
		}
	}
}

// server returns a host of a zone whose address the resolver knows, or looks up; "" if there is none.
func (x *trial) server(zone string, depth int) string {
	hosts := slices.DeleteFunc(slices.Clone(x.resolver.servers[zone]), func(h string) bool { return x.bad[zone+h] })
	if len(hosts) == 0 {
		return ""
	}
	host := rapid.SampledFrom(hosts).Draw(x.t, "server")
	if x.resolver.address[host] == "" && depth < 4 {
		x.resolve(host, dns.TypeA, depth+1)
	}
	if x.resolver.address[host] == "" {
		x.bad[zone+host] = true
		return x.server(zone, depth)
	}
	return host
}

// all returns the records of a reply.
func (r *reply) all(t *rapid.T) (all []dns.RR) {
	for _, section := range []string{r.answer, r.authority, r.additional} {
		for line := range strings.Lines(section) {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rr)
		}
	}
	return all
}

// inBailiwick returns which RRsets of a reply have to pass if its server serves a zone.
func (r *reply) inBailiwick(t *rapid.T, zone string) (want []string) {
	for _, section := range []string{r.answer, r.authority, r.additional} {
		one := reply{answer: section}
		var lines []string
		for _, rr := range one.all(t) {
			owner, typ := rr.Header().Name, rr.Header().Rrtype
			switch {
			case !dns.IsSubDomain(zone, owner), typ == dns.TypeDS && owner == zone && zone != ".",
				r.rcode == dns.RcodeNameError && typ != dns.TypeSOA:
				continue
			}
			if line := owner + " " + dns.TypeToString[typ] + " " + zone; !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
		want = append(want, lines...)
	}
	slices.Sort(want)
	return want
}

// observe shows a truthful reply to both sensors, with forged RRsets.
func (x *trial) observe(r reply, zone string) {
	served := x.model.deepest(r.name, r.qtype, func(servers []string) bool {
		return slices.ContainsFunc(servers, func(h string) bool { return x.model.address[h] == r.server })
	})
	if served == "" && r.server == rootServer.String() {
		served = "."
	}
	if served == "" {
		x.blind = true
		return
	}
	shown := r
	section := rapid.SampledFrom([]*string{&shown.answer, &shown.authority, &shown.additional}).Draw(x.t, "section")
	records, n := x.forge(r.server)
	*section += records
	x.forged += n
	for _, c := range []struct {
		sensor          *sensor
		zone, bailiwick string
	}{{x.exact, zone, zone}, {x.packets, "", served}} {
		shown.zone = c.zone
		got, want := c.sensor.take(shown), r.inBailiwick(x.t, c.bailiwick)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			x.t.Errorf("%+v: passed %q, want %q", shown, got, want)
		}
		x.passed += len(got)
	}
	x.model.learn(r.all(x.t), served)
	maps.DeleteFunc(x.model.address, func(host, _ string) bool { return !x.model.needs(host) })
}

// spoof shows a response of a server that has no authority.
func (x *trial) spoof() {
	server := fmt.Sprintf("192.0.2.%d", rapid.IntRange(1, 14).Draw(x.t, "spoofing server"))
	name := "www." + strings.TrimPrefix(rapid.SampledFrom(x.zones).Draw(x.t, "victim").name, ".")
	if x.hasAuthority(server, name) {
		return
	}
	if got := x.packets.take(reply{server: server, name: name, answer: name + " 60 TXT " + forgedMark}); len(got) > 0 {
		x.t.Errorf("a response of %s without authority passed: %q", server, got)
	}
	x.spoofed++
}
