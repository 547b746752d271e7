package explain

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// entries are those of the configuration that nothing has matched so far.
type entries struct {
	names     map[string]string // as it is looked for: as it is written
	networks  []netip.Prefix
	resolvers []netip.Addr
}

func newEntries(c *transform.Config) entries {
	e := entries{names: map[string]string{}}
	for _, written := range c.LocalNames {
		name, err := transform.ParseLocalName(written)
		if err != nil {
			continue // no policy is made of it
		}
		e.names[name] = written
	}
	e.networks = append(e.networks, c.LocalNetworks...)
	for _, p := range c.Resolvers {
		if p.IsSingleIP() {
			e.resolvers = append(e.resolvers, p.Addr())
		}
	}
	return e
}

// see strikes out what a message matches.
func (e *entries) see(v *transform.Verdict) {
	if len(e.networks) > 0 && v.Server.IsValid() {
		e.strikeNetworks(netip.PrefixFrom(v.Server.Addr().Unmap(), v.Server.Addr().Unmap().BitLen()))
	}
	if len(e.resolvers) > 0 && v.Server.IsValid() {
		e.told(v.Server.Addr().Unmap())
	}
	switch v.Reason {
	case transform.LocalName:
		if len(e.names)+len(e.networks) > 0 {
			e.strike(v)
		}
	case transform.ResolverAddress:
		if len(e.resolvers) > 0 {
			e.strikeResolvers(v)
		}
	}
}

// told strikes out an address.
func (e *entries) told(a netip.Addr) {
	e.resolvers = without(e.resolvers, func(r netip.Addr) bool { return r.Unmap() == a })
}

func (e *entries) strikeNetworks(p netip.Prefix) {
	e.networks = without(e.networks, func(n netip.Prefix) bool { return n.Bits() <= p.Bits() && n.Contains(p.Addr()) })
}

func (e *entries) strikeResolvers(v *transform.Verdict) {
	octets := slices.Clone(v.Name)
	var wire []byte
	if v.Message != nil {
		wire = v.Message.Wire
		octets = append(append(octets, v.Message.Zone...), wire...)
	}
	var text canary.Text
	text.Set(octets, wire) // what cannot be read is searched as it stands
	var all []canary.Canary
	for _, r := range e.resolvers {
		all = append(all, canary.OfAddr(r))
	}
	found := map[netip.Addr]bool{}
	canary.NewSet(all).Search(&text, func(f canary.Finding) { found[all[f.Canary].Addr] = true })
	e.resolvers = without(e.resolvers, func(r netip.Addr) bool { return found[r.Unmap()] })
}

// strike strikes out the names and networks that a message with a local name holds.
func (e *entries) strike(v *transform.Verdict) {
	e.strikeName(presented(v.Name))
	if v.Message == nil {
		return
	}
	e.strikeName(presented(v.Message.Zone))
	e.strikeText(string(v.Message.Wire))
	e.strikeLabels(v.Message.Wire)
	var m dns.Msg
	if m.Unpack(v.Message.Wire) != nil {
		return
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			e.strikeText(rr.String())
			e.strikeText(canary.Joined(rr))
		}
	}
}

// strikeName strikes out what a name is below.
func (e *entries) strikeName(name string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if p, more, ok := reverseName(name); ok && len(e.networks) > 0 {
		e.strikeNetworks(p)
		if more { // which may tell of any part of it
			e.networks = without(e.networks, p.Overlaps)
		}
	}
	for rest := name; len(e.names) > 0; {
		delete(e.names, rest)
		var more bool
		if _, rest, more = strings.Cut(rest, "."); !more {
			return
		}
	}
}

// strikeText strikes out names as people write them, whatever follows.
func (e *entries) strikeText(text string) {
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), isNoNameCharacter) {
		word = word[:min(len(word), longestWord)]
		for end := range word {
			if word[end] == '.' {
				e.strikeName(word[:end])
			}
		}
		e.strikeName(word)
	}
}

// strikeLabels strikes out names in wire form, wherever they stand and whatever follows.
func (e *entries) strikeLabels(wire []byte) {
	for from := range wire {
		name := ""
		for at := from; at < len(wire) && len(name) <= longestWord; {
			end := at + 1 + int(wire[at])
			if end == at+1 || end > len(wire) {
				break
			}
			label := strings.ToLower(string(wire[at+1 : end]))
			if strings.ContainsFunc(label, isNoNameCharacter) {
				break
			}
			name += label
			e.strikeName(name)
			name += "."
			at = end
		}
	}
}

// longestWord is the longest name there is.
const longestWord = 255

func isNoNameCharacter(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
}

func without[T any](all []T, matches func(T) bool) []T {
	kept := all[:0]
	for _, v := range all {
		if !matches(v) {
			kept = append(kept, v)
		}
	}
	return kept
}
