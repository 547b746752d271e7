package explain

import (
	"net/netip"
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
	e.resolvers = append(e.resolvers, c.Resolvers...)
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
		if len(e.resolvers) > 0 && v.Message != nil {
			e.strikeResolvers(v.Message.Wire)
		}
	}
}

// told strikes out an address.
func (e *entries) told(a netip.Addr) {
	e.resolvers = without(e.resolvers, func(r netip.Addr) bool { return r.Unmap() == a })
}

func (e *entries) strikeNetworks(p netip.Prefix) {
	e.networks = without(e.networks, func(n netip.Prefix) bool { return n.Overlaps(p) })
}

func (e *entries) strikeResolvers(wire []byte) {
	var text canary.Text
	text.Set(wire, wire) // what cannot be read is searched as it stands
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
	var m dns.Msg
	if m.Unpack(v.Message.Wire) != nil {
		return
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			e.strikeText(rr.String())
		}
	}
}

// strikeName strikes out what a name is below.
func (e *entries) strikeName(name string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if p, ok := reverseName(name); ok && len(e.networks) > 0 {
		e.strikeNetworks(p)
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
