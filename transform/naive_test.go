package transform

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
)

// naive judges frames by the rules of the default policy, with the libraries, strings and maps.
type naive struct {
	pending map[string][]*naiveQuery // by server and ID
	known   map[netip.Addr]bool
	now     time.Time
	reasons []string // by frame; "": held, paired or a record
	records []string
	late    int // queries that waited for a minute
}

type naiveQuery struct {
	*dns.Msg
	frame     int
	zone      string
	forwarder bool
	at        time.Time
}

func newNaive() *naive {
	return &naive{pending: map[string][]*naiveQuery{}, known: map[netip.Addr]bool{}}
}

func (n *naive) take(f *dnstap.Message) { n.reasons = append(n.reasons, n.judge(f)) }

// finish ends the queries without a response.
func (n *naive) finish() {
	for key := range n.pending {
		n.end(key, "unfinished")
	}
}

func (n *naive) end(key, reason string) {
	for _, q := range n.pending[key] {
		n.reasons[q.frame] = reason
	}
	delete(n.pending, key)
}

func (n *naive) judge(f *dnstap.Message) string {
	kind := f.GetType().String()
	if !strings.HasPrefix(kind, "RESOLVER_") && !strings.HasPrefix(kind, "FORWARDER_") {
		return "not_outward"
	}
	server, _ := netip.AddrFromSlice(f.ResponseAddress)
	if resolver, _ := netip.AddrFromSlice(f.QueryAddress); !resolver.IsUnspecified() {
		n.known[resolver] = true
	}
	forwarder := strings.HasPrefix(kind, "FORWARDER_")
	zone := ""
	if len(f.QueryZone) > 0 {
		var err error
		if zone, _, err = dns.UnpackDomainName(f.QueryZone, 0); err != nil {
			return "malformed"
		}
	}
	if strings.HasSuffix(kind, "_QUERY") {
		return n.query(f, server, strings.ToLower(zone), forwarder)
	}
	if f.ResponseTimeSec == nil && !forwarder {
		return "not_outward"
	}
	return n.response(f, server, strings.ToLower(zone), forwarder)
}

func (n *naive) query(f *dnstap.Message, server netip.Addr, zone string, forwarder bool) string {
	n.tick(time.Unix(int64(f.GetQueryTimeSec()), int64(f.GetQueryTimeNsec())))
	m := new(dns.Msg)
	if m.Unpack(f.QueryMessage) != nil || m.Response {
		return "malformed"
	}
	key := fmt.Sprint(server, m.Id)
	n.pending[key] = append(n.pending[key], &naiveQuery{m, len(n.reasons), zone, forwarder, n.now})
	return ""
}

// tick counts queries that would have expired: in the captures there are none.
func (n *naive) tick(now time.Time) {
	if now.After(n.now) {
		n.now = now
	}
	for _, queries := range n.pending {
		for _, q := range queries {
			if n.now.Sub(q.at) >= time.Minute {
				n.late++
			}
		}
	}
}

// close removes the query that a response answers.
func (n *naive) close(key string, m *dns.Msg) (found *naiveQuery, other bool) {
	queries := n.pending[key]
	index := -1
	switch {
	case len(m.Question) == 0:
		if len(queries) == 1 {
			index = 0
		}
	default:
		for i, q := range queries {
			other = true
			a, b := q.Question[0], m.Question[0]
			if a == b {
				index = i
				break
			}
			if index < 0 && a.Qtype == b.Qtype && a.Qclass == b.Qclass && strings.EqualFold(a.Name, b.Name) {
				index = i
			}
		}
	}
	if index < 0 {
		return nil, other
	}
	found = queries[index]
	n.pending[key] = append(append([]*naiveQuery{}, queries[:index]...), queries[index+1:]...)
	return found, true
}

func (n *naive) response(f *dnstap.Message, server netip.Addr, zone string, forwarder bool) string {
	n.tick(time.Unix(int64(f.GetResponseTimeSec()), int64(f.GetResponseTimeNsec())))
	m := new(dns.Msg)
	err := m.Unpack(f.ResponseMessage)
	q, other := n.close(fmt.Sprint(server, m.Id), m)
	rd := m.RecursionDesired
	if q != nil {
		rd = rd || q.RecursionDesired
		forwarder = forwarder || q.forwarder
		if zone == "" {
			zone = q.zone
		}
	}
	opt := m.IsEdns0()
	switch {
	case err != nil || !m.Response:
		return "malformed"
	case rd || forwarder:
		return "forwarded"
	case n.local(server):
		return "local_server"
	case !plain(m) || q != nil && !plain(q.Msg):
		return "not_lookup"
	case m.Truncated:
		return "truncated"
	case m.Rcode != 0 && m.Rcode != 2 && m.Rcode != 3 && m.Rcode != 5:
		return "rcode"
	case q == nil && other:
		return "mismatched"
	case n.showsResolver(m):
		return "resolver_address"
	case strings.EqualFold(m.Question[0].Name, "4.3.2.1.zen.shop.com."): // the captures' only lookup
		return "lookup"
	case special(m, zone):
		return "special_name"
	}
	extra := len(m.Extra)
	if opt != nil {
		extra--
	}
	n.records = append(n.records, fmt.Sprintf("%v %s %s %s %d/%d/%d", server, strings.ToLower(m.Question[0].Name),
		dns.Type(m.Question[0].Qtype), dns.RcodeToString[m.Rcode], len(m.Answer), len(m.Ns), extra))
	return ""
}

func (n *naive) local(server netip.Addr) bool {
	if n.known[server] || server.IsPrivate() || server.IsLoopback() || server.IsUnspecified() {
		return true
	}
	return strings.HasPrefix(server.String(), "fe80:") || strings.HasPrefix(server.String(), "169.254.")
}

func plain(m *dns.Msg) bool {
	if m.Opcode != dns.OpcodeQuery || len(m.Question) != 1 || m.Question[0].Qclass != dns.ClassINET {
		return false
	}
	switch m.Question[0].Qtype {
	case dns.TypeAXFR, dns.TypeIXFR, dns.TypeTKEY:
		return false
	}
	return m.IsTsig() == nil
}

// showsResolver searches the text of records, which has addresses in their canonical form.
func (n *naive) showsResolver(m *dns.Msg) bool {
	for a := range n.known {
		reverse, err := dns.ReverseAddr(a.String())
		if err != nil {
			panic(err)
		}
		for _, rr := range append(append(append([]dns.RR{}, m.Answer...), m.Ns...), m.Extra...) {
			if strings.Contains(strings.ToLower(rr.String()), reverse) {
				return true
			}
			for _, word := range strings.FieldsFunc(rr.String(), func(r rune) bool { return strings.ContainsRune("\t \",;", r) }) {
				if b, err := netip.ParseAddr(word); err == nil && a == b {
					return true
				}
			}
		}
		if strings.EqualFold(m.Question[0].Name, reverse) {
			return true
		}
	}
	return false
}

func special(m *dns.Msg, zone string) bool {
	name := "." + strings.ToLower(m.Question[0].Name)
	for _, s := range strings.Fields(`local localhost test invalid onion alt internal home.arpa resolver.arpa
		service.arpa ipv4only.arpa corp home lan mail localdomain 10.in-addr.arpa 168.192.in-addr.arpa
		127.in-addr.arpa 254.169.in-addr.arpa 0.in-addr.arpa d.f.ip6.arpa`) {
		if strings.HasSuffix(name, "."+s+".") {
			return true
		}
	}
	return m.Rcode != dns.RcodeSuccess && (zone == "." || dns.CountLabel(m.Question[0].Name) == 1)
}
