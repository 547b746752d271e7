package page

import (
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A rule is one of scrubbing's, and what it did.
type rule struct {
	Name    string
	Meaning string
	N       uint64
	Never   string // what it may mean that it did nothing; empty: it did something
}

// rulesOf returns the rules that change what leaves, and those that forbid a record.
func rulesOf(l *admin.Ledger) (changing, forbidding []rule) {
	for _, r := range transform.Rules() {
		shown := rule{Name: r.String(), Meaning: r.Meaning(), N: l.Total.Scrubbed[r.String()]}
		if shown.N == 0 {
			shown.Never = never(l, r)
		}
		if r.Forbids() == transform.Kept {
			changing = append(changing, shown)
		} else {
			forbidding = append(forbidding, shown)
		}
	}
	return changing, forbidding
}

// never is what it may mean that a rule did nothing.
func never(l *admin.Ledger, r transform.Rule) string {
	switch {
	case l.Total.Read == 0:
		return "nothing has been read yet"
	case l.Total.Records == 0 && r.Forbids() == transform.Kept:
		return "no record has been made yet"
	}
	switch r {
	case transform.LocalNameInName, transform.LocalNameInRdata:
		return "no such name has been seen, or scrub.local_names does not say it"
	case transform.LocalNetwork:
		return "no such name has been seen, or scrub.local_networks does not say the network"
	case transform.ResolverInAddress, transform.ResolverInName, transform.ResolverInRdata:
		if !knowsResolver(l) {
			return "it cannot match: neither messages nor scrub.resolvers tell an address of the resolver"
		}
		return "no answer has held an address of the resolver that messages or scrub.resolvers tell"
	case transform.SpecialUse, transform.NoTLD:
		return "no such name has been seen, or scrub.special_names is false"
	case transform.ResolverZeroed, transform.IDZeroed:
		return `messages tell none, or scrub.resolver_address is "keep"`
	case transform.TimeTruncated:
		return "all times were whole already"
	}
	return "no record has needed it"
}

func knowsResolver(l *admin.Ledger) bool {
	for i := range l.Sources {
		if l.Sources[i].ResolverKnown {
			return true
		}
	}
	return l.ResolversConfigured
}
