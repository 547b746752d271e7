package transform

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"gotest.tools/v3/golden"
)

// TestCapturesGiveTheirGoldenRecords compares the records and the account of captures of real
// resolvers under the default policy with golden files.
func TestCapturesGiveTheirGoldenRecords(t *testing.T) {
	for _, name := range captures {
		t.Run(name, func(t *testing.T) {
			records, _, counts := runCapture(t, name)
			got := account(name, records, &counts)
			again, _, _ := runCapture(t, name)
			if d := cmp.Diff(records, again); d != "" {
				t.Errorf("another run gives other records:\n%s", d)
			}
			golden.Assert(t, got, filepath.Join("captures", name+".golden"))
		})
	}
}

// runCapture returns a line for each record, each frame's reason, and the account.
func runCapture(t *testing.T, name string) (records, reasons []string, counts Counts) {
	l := newLane(t, testPolicy(t))
	for _, m := range loadCapture(t, name) {
		reason := ""
		if r := l.takeMessage(m); r != Kept {
			reason = r.String()
		}
		reasons = append(reasons, reason)
	}
	l.Finish()
	for _, r := range l.records {
		records = append(records, line(t, &r))
	}
	return records, reasons, l.Counts()
}

func line(t *testing.T, r *Record) string {
	var m dns.Msg
	if err := m.Unpack(r.Response); err != nil {
		t.Errorf("a record does not parse: %v", err)
		return ""
	}
	name, _, err := dns.UnpackDomainName(r.Name, 0)
	if err != nil || name != m.Question[0].Name || r.Type != m.Question[0].Qtype || int(r.Rcode) != m.Rcode {
		t.Errorf("record of %q, type %d, rcode %d holds %v", name, r.Type, r.Rcode, &m)
	}
	return fmt.Sprintf("%v %s %s %s %d/%d/%d", r.Server.Addr(), name, dns.Type(r.Type), dns.RcodeToString[m.Rcode],
		len(m.Answer), len(m.Ns), len(m.Extra))
}

// account returns the golden file of a capture: the explanations, the records, the account.
func account(name string, records []string, c *Counts) string {
	var b bytes.Buffer
	for _, why := range strings.Split(strings.TrimSpace(explanations[name]), "\n") {
		fmt.Fprintf(&b, "# %s\n", strings.TrimSpace(why))
	}
	for _, r := range records {
		fmt.Fprintln(&b, r)
	}
	fmt.Fprintf(&b, "\nread %d\nrecords %d\npaired %d\nheld %d\n", c.Read, c.Records, c.Paired, c.Held)
	for _, r := range Reasons() {
		if n := c.Dropped[r]; n > 0 {
			fmt.Fprintf(&b, "%v %d\n", r, n)
		}
	}
	return b.String()
}

// TestCapturesAgreeWithNaiveJudgement decodes each frame with the libraries, and judges it by
// a simple implementation of the rules.
func TestCapturesAgreeWithNaiveJudgement(t *testing.T) {
	for _, name := range captures {
		t.Run(name, func(t *testing.T) {
			n := newNaive()
			for _, f := range loadFrames(t, name) {
				n.take(f)
			}
			if n.late > 0 {
				t.Fatalf("%d queries expire: naive does not know that", n.late)
			}
			records, reasons, counts := runCapture(t, name)
			if d := cmp.Diff(n.records, records); d != "" {
				t.Errorf("records (-naive +got):\n%s", d)
			}
			if d := cmp.Diff(n.reasons, reasons); d != "" {
				t.Errorf("reasons by frame (-naive +got):\n%s", d)
			}
			n.finish()
			unfinished := 0
			for _, r := range n.reasons {
				if r == "unfinished" {
					unfinished++
				}
			}
			if counts.Dropped[Unfinished] != uint64(unfinished) {
				t.Errorf("%d unfinished, want %d", counts.Dropped[Unfinished], unfinished)
			}
		})
	}
}

// explanations list the questions that led to each reason. Queries are unfinished because no
// capture lasts a minute longer, so that they could expire.
var explanations = map[string]string{
	"unbound": `
		not_outward: 62 CLIENT_QUERY, 60 CLIENT_RESPONSE.
		local_server: 12 of 10.0.0.53, the server of corp.example (8) and of 10.in-addr.arpa (4).
		truncated: 1, big.com TXT over UDP; the retry over TCP is a record.
		special_name: 6: local, printer.local, home.arpa, x.home.arpa and 10.in-addr.arpa of public servers, and
		nosuchtld, a single label that is NXDOMAIN.
		unfinished: 17 queries to 203.0.113.99, which is dead: dead.com (10) and ns1.dead.com (7).`,
	"unbound-noout": `
		As unbound, with query addresses 0.0.0.0 and :: throughout; another run, so other servers were asked.
		not_outward: 62 CLIENT_QUERY, 60 CLIENT_RESPONSE.
		local_server: 12 of 10.0.0.53, the server of corp.example (8) and of 10.in-addr.arpa (4).
		truncated: 1, big.com TXT over UDP; the retry over TCP is a record.
		special_name: 6: local, printer.local, home.arpa, x.home.arpa and 10.in-addr.arpa of public servers, and
		nosuchtld, a single label that is NXDOMAIN.
		unfinished: 17 queries to 203.0.113.99, which is dead: dead.com (10) and ns1.dead.com (7).`,
	"unbound-2": `
		malformed: 10, ptr.garbage.com (pointers in a loop) and www.garbage.com (cut within a record), 5 each.
		not_lookup: 6 without a question, REFUSED (5) and FORMERR (1); each closed the only query pending with its ID.
		truncated: 6 over UDP: huge, manya and txt.big.com, h2.tconly.com, www.tconly.com (2).
		mismatched: 5 about www.bank.com where www.wrongq.com was asked, which stays pending.
		special_name: 11: local, host.local, 6 below 10.in-addr.arpa; NXDOMAIN of the root for bind, version.bind, no-such-tld.
		Names below corp.example are records, as its server is on a rewritten, public address.
		unfinished: 83: no answer from 203.0.113.66, dead (28) and halfdead.com (8), nor from .67, closed.com (19); late answers,
		which are not logged, to www.late.com (9) and www.slow.com (4); short.garbage.com (10), whose answer is not logged either;
		and www.wrongq.com (5).`,
	"unbound-3": `
		As unbound-2, over TCP to the collector; another run.
		malformed: 10, ptr.garbage.com (pointers in a loop) and www.garbage.com (cut within a record), 5 each.
		not_lookup: 6 without a question, REFUSED (5) and FORMERR (1); each closed the only query pending with its ID.
		truncated: 8 over UDP: huge, manya and txt.big.com, h2.tconly.com, www.tconly.com (4).
		mismatched: 5 about www.bank.com where www.wrongq.com was asked, which stays pending.
		special_name: 11: local, host.local, 6 below 10.in-addr.arpa; NXDOMAIN of the root for bind, version.bind, no-such-tld.
		unfinished: 83: dead.com (28), halfdead.com (8), closed.com (19), www.late.com (9), www.slow.com (4),
		short.garbage.com (10), www.wrongq.com (5).`,
	"bind": `
		not_outward: 61 CLIENT_QUERY, 62 CLIENT_RESPONSE, 1 AUTH_QUERY.
		local_server: 9 of 10.0.0.53, the server of corp.example (6) and of 10.in-addr.arpa (3).
		truncated: 1, big.com TXT over UDP; the retry over TCP is a record.
		special_name: 6: local, printer.local, home.arpa, x.home.arpa and 10.in-addr.arpa of public servers, and
		nosuchtld, a single label that is NXDOMAIN.
		unfinished: 17 queries to 203.0.113.99, which is dead: dead.com (11) and ns1.dead.com (6).`,
	"bind-2": `
		forwarded: 4 below fwd.test, with RD=1; they would be special_name too.
		not_lookup: 6 without a question, REFUSED (5) and FORMERR (1); each closed the only query pending with its ID.
		truncated: 5 over UDP: huge, manya and txt.big.com, h2 and www.tconly.com.
		mismatched: 1 about www.bank.com where www.wrongq.com was asked, which stays pending until its own answer, a record.
		special_name: 13: local, host.local, localhost, 5 below 10.in-addr.arpa, 2 below 168.192.in-addr.arpa; NXDOMAIN of the
		root for bind, version.bind, no-such-tld.
		unfinished: 45: dead (24) and halfdead.com (2), closed.com (2), www.late.com (6), www.slow.com (2), and of garbage.com
		short (6), www (2) and ptr (1), whose answers BIND does not log when they do not parse.`,
	"bind-fwd": `
		not_outward: 61 CLIENT_QUERY, 62 CLIENT_RESPONSE, 1 AUTH_QUERY.
		forwarded: 51, all that the resolver at 192.0.2.55 answered, with RD=1.
		unfinished: 8 to the same, dead.com A and AAAA (4 each).`,
	"pdns": `
		local_server: 6 of 10.0.0.53, the server of corp.example (3) and of 10.in-addr.arpa (3).
		truncated: 1, big.com TXT over UDP; the retry over TCP is a record.
		special_name: 5: local, home.arpa, x.home.arpa and 10.in-addr.arpa of public servers, and nosuchtld, a single label
		that is NXDOMAIN.
		unfinished: 2 to 203.0.113.99, which is dead: dead.com A and AAAA.`,
	"pdns-2": `
		malformed: 2, ptr.garbage.com (pointers in a loop) and www.garbage.com (cut within a record).
		forwarded: 4 below fwd.test, with RD=1; they would be special_name too.
		not_lookup: 2 without a question, REFUSED and FORMERR; each closed the only query pending with its ID.
		truncated: 5 over UDP: huge, manya and txt.big.com, h2 and www.tconly.com.
		special_name: 10: local, 5 below 10.in-addr.arpa, 2 below 168.192.in-addr.arpa; NXDOMAIN of the root for bind, no-such-tld.
		unfinished: 8: a.dead.com, b., www. and halfdead.com, www.closed.com, www.late.com, short.garbage.com, and a query for
		intranet.corp.example, whose ID and flags were taken for an address when addresses were rewritten: the answer is
		a record without its query.`,
	"kresd": `
		not_outward: all, 62 CLIENT_QUERY and 62 CLIENT_RESPONSE: Knot Resolver reports nothing else.`,
}
