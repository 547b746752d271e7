package statement

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// unusedRules returns the rules that a policy does not apply.
func unusedRules(c *transform.Config) map[transform.Rule]bool {
	unused := map[transform.Rule]bool{}
	without := func(off bool, rules ...transform.Rule) {
		for _, r := range rules {
			unused[r] = unused[r] || off
		}
	}
	without(c.KeepResolver, transform.ResolverZeroed, transform.IDZeroed,
		transform.ResolverInAddress, transform.ResolverInName, transform.ResolverInRdata)
	without(len(c.LocalNames) == 0, transform.LocalNameInName, transform.LocalNameInside, transform.LocalNameInRdata)
	without(c.KeepLocalNamesInside, transform.LocalNameInside)
	without(len(c.LocalNetworks) == 0, transform.LocalNetwork)
	without(c.KeepLookups, transform.ListLookup)
	without(!c.SpecialNames, transform.SpecialUse, transform.NoTLD)
	without(c.TimeResolution <= 1, transform.TimeTruncated)
	return unused
}

// unusedReasons returns the reasons for which a policy drops no message: those that it permits,
// and those of which it applies no rule.
func unusedReasons(c *transform.Config) map[transform.Reason]bool {
	unused := map[transform.Reason]bool{}
	for _, r := range transform.Rules() {
		unused[r.ForbidsAs()] = true
	}
	without := unusedRules(c)
	for _, r := range transform.Rules() {
		if !without[r] {
			unused[r.ForbidsAs()] = false
		}
	}
	unused[transform.Forwarded] = c.Forwarded
	unused[transform.LocalServer] = c.LocalServers
	unused[transform.Unanswered] = c.Unanswered
	return unused
}
