package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// Check compares a response, in lowercase, with the zones of that server. Rcode, AA, the
// answer section and the authority section of referrals and negative answers must be equal.
// Other records must only be in the server's zones. OPT records are ignored.
func (z *Zones) Check(server netip.Addr, response *dns.Msg) error {
	if len(response.Question) != 1 {
		return fmt.Errorf("%d questions", len(response.Question))
	}
	q := response.Question[0]
	want := z.Lookup(server, q.Name, q.Qtype)
	var wrong []error
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }

	if response.Rcode != want.Rcode {
		note("rcode %s, the zones have %s", dns.RcodeToString[response.Rcode], dns.RcodeToString[want.Rcode])
	}
	if authoritative := want.Kind != Referral && want.Kind != Refused; response.Authoritative != authoritative {
		note("AA is %t for a %s", response.Authoritative, want.Kind)
	}
	if d := cmp.Diff(texts(want.Answer), texts(response.Answer)); d != "" {
		note("answer (-zones +got):\n%s", d)
	}
	if want.Authority != nil {
		if d := cmp.Diff(texts(want.Authority), texts(response.Ns)); d != "" {
			note("authority (-zones +got):\n%s", d)
		}
	} else {
		z.checkHeld(server, response.Ns, note)
	}
	z.checkHeld(server, response.Extra, note)
	if len(wrong) > 0 {
		return fmt.Errorf("%s %s from %s: %w", q.Name, dns.TypeToString[q.Qtype], server, errors.Join(wrong...))
	}
	return nil
}

func (z *Zones) checkHeld(server netip.Addr, added []dns.RR, note func(string, ...any)) {
	for _, rr := range added {
		if rr.Header().Rrtype != dns.TypeOPT && !z.HasRecord(server, rr) {
			note("contains a record that no zone of that server has: %s", rr)
		}
	}
}

func texts(rrs []dns.RR) []string {
	all := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		all = append(all, rr.String())
	}
	slices.Sort(all)
	return all
}
