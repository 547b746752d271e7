package transform

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// judgeUse judges what a query name is used for: to query a list about addresses or names, or
// for something outside the public Internet.
func (s *searcher) judgeUse(x *subject) Reason {
	p := s.policy
	u := p.uses.of(x.name)
	switch {
	case u.zone != "" || !p.keepLookups && p.isListLookup(x):
		return s.forbid(x, ListLookup, u.zone)
	case u.special || p.specialNames && isSpecialReverse(x.name):
		return s.forbid(x, SpecialUse, "")
	case p.specialNames && p.hasNoTLD(x):
		return s.forbid(x, NoTLD, "")
	}
	return Kept
}

// forbid sets the finding to the query name, and returns the rule's reason.
func (s *searcher) forbid(x *subject, r Rule, zone string) Reason {
	from, to := x.nameInMessage()
	s.finding = Finding{Rule: r, Entry: Entry{Name: zone}, From: from, To: to}
	return r.ForbidsAs()
}

// A nameSet holds names, and finds those that are equal to or below one of them.
type nameSet struct {
	wire   map[string]use                // by lowercase wire form with the root
	firsts [dnswire.MaxName + 1]octetSet // by length in wire form: the octets that first labels begin with
}

// A use is what a name of a nameSet is used for.
type use struct {
	zone    string // of a list; its name in presentation form
	special bool
}

// newUses returns the names that judgeUse knows: special names, zones of lists, and the zone
// of telephone numbers (RFC 6116).
func newUses(c *Config) (*nameSet, error) {
	uses := newNameSet()
	if c.SpecialNames {
		for _, name := range specialNames {
			if err := uses.add(name, true); err != nil {
				return nil, err
			}
		}
	}
	if c.KeepLookups {
		return uses, nil
	}
	for _, zone := range slices.Concat(c.LookupZones, []string{"e164.arpa"}) {
		name, err := ParseLocalName(zone)
		if err != nil {
			return nil, fmt.Errorf("lookup zone: %w", err)
		}
		if err := uses.add(name, false); err != nil {
			return nil, err
		}
	}
	return uses, nil
}

func newNameSet() *nameSet { return &nameSet{wire: map[string]use{}} }

// add adds a name in presentation form.
func (s *nameSet) add(name string, special bool) error {
	wire, err := packName(name)
	if err != nil {
		return err
	}
	dnswire.Lower(wire)
	u := s.wire[string(wire)]
	if special {
		u.special = true
	} else {
		u.zone = name
	}
	s.wire[string(wire)] = u
	s.firsts[len(wire)].add(wire[1])
	return nil
}

// of returns the use of an uncompressed name in lowercase wire form: special if it is equal
// to or below a special name, zone if it is below a zone, the longest if there are several.
func (s *nameSet) of(name []byte) (u use) {
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		if !s.firsts[len(name)-off].has(name[off+1]) {
			continue
		}
		entry := s.wire[string(name[off:])]
		u.special = u.special || entry.special
		if u.zone == "" && off > 0 {
			u.zone = entry.zone
		}
	}
	return u
}

// isListLookup reports whether a query name has the form of names in lists about addresses or
// mailboxes. Lists are not learned from answers: otherwise the operator of a zone could hide
// it by answering like a list.
func (p *Policy) isListLookup(x *subject) bool {
	var l labels
	switch first := x.name[0]; {
	case first > 0 && first <= 3 && isHex(x.name[1]):
		l.split(x.name)
		return addressLabels(x.name, &l) > 0 && !answersWithHost(x.response, true)
	case len(x.name) > mailboxHash && bytes.IndexByte(x.name, mailboxHash) >= 0:
		l.split(x.name)
		return isKeyOfMailbox(x.name, &l) && !answersWithHost(x.response, false)
	}
	return false
}

// addressLabels returns the number of labels at the beginning of a name that are an address
// in reverse order in a zone of two or more labels (RFC 5782 section 2); 0 if there are none.
func addressLabels(name []byte, l *labels) int {
	const zone = 2 // labels
	octets, nibbles := 0, 0
	for octets < 4 && octets < l.n {
		label := l.label(name, octets)
		if _, ok := octetLabel(label); !ok || label[0] > 1 && label[1] == '0' {
			break
		}
		octets++
	}
	for nibbles < nibblesInAddress && nibbles < l.n {
		label := l.label(name, nibbles)
		if _, ok := nibble(label[1]); !ok || label[0] != 1 {
			break
		}
		nibbles++
	}
	switch {
	case l.n == 0 || isARPA(l.label(name, l.n-1)):
		return 0
	case octets == 4 && l.n-octets >= zone:
		return octets
	case nibbles == nibblesInAddress && l.n-nibbles >= zone:
		return nibbles
	}
	return 0
}

// mailboxHash is the number of hexadecimal digits in the hash of a mailbox.
const mailboxHash = 56

// isKeyOfMailbox reports whether a name is that of the key of a mail address, with the hash
// of its local part (RFC 7929 section 3, RFC 8162 section 3).
func isKeyOfMailbox(name []byte, l *labels) bool {
	for i := 1; i < l.n; i++ {
		switch string(l.label(name, i)[1:]) {
		case "_openpgpkey", "_smimecert":
			label := l.label(name, i-1)[1:]
			if len(label) == mailboxHash && allHex(label) {
				return true
			}
		}
	}
	return false
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// answersWithHost reports whether the answer section has an address, as for names of hosts.
// With aliases, CNAME and DNAME count too, and addresses in 127/8 do not: lists answer with
// these.
func answersWithHost(w *dnswire.Walker, aliases bool) bool {
	if w == nil {
		return false
	}
	for _, r := range w.Records {
		if r.Section != dnswire.Answer {
			continue
		}
		switch r.Type {
		case dns.TypeAAAA:
			return true
		case dns.TypeA:
			if !aliases || !loopback.Contains(netip.AddrFrom4([4]byte(w.Msg[r.Rdata:r.End]))) {
				return true
			}
		case dns.TypeCNAME, dns.TypeDNAME:
			if aliases {
				return true
			}
		}
	}
	return false
}

// specialNames are names that must not or should not be queried on the public Internet:
// special-use names (RFC 6761 and its registry), and names that private networks use. Reverse
// zones are in specialNetworks.
var specialNames = [...]string{
	"local", "localhost", "test", "invalid", "onion", "alt", "internal",
	"home.arpa", "resolver.arpa", "service.arpa", "ipv4only.arpa",
	"corp", "home", "lan", "mail", "localdomain",
}

// specialNetworks have reverse zones without meaning on the Internet (RFC 6303, RFC 6890).
// Documentation prefixes are not included.
var specialNetworks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("fc00::/7"),
	netip.MustParsePrefix("fe80::/10"),
}

func endsInARPA(name []byte) bool {
	return len(name) > 6 && string(name[len(name)-6:]) == "\x04arpa\x00"
}

// isSpecialReverse reports whether a name in lowercase wire form is the reverse name of
// an address that has no meaning on the Internet.
func isSpecialReverse(name []byte) bool {
	if !endsInARPA(name) {
		return false
	}
	var l labels
	l.split(name)
	var hosts [maxLabels]byte
	r, _, ok := l.reverseAt(name, l.n-1, hosts[:])
	if !ok {
		return false
	}
	for _, network := range specialNetworks {
		if network.Bits() <= r.prefix.Bits() && network.Contains(r.prefix.Addr()) {
			return true
		}
	}
	return false
}

// hasNoTLD reports whether a query name without an answer is not under an existing top-level
// domain: it is a single label, or the root was asked, or a resolver that recurses sends the
// root's SOA. From other servers that SOA proves nothing.
func (p *Policy) hasNoTLD(x *subject) bool {
	if x.response == nil {
		return isSingleLabel(x.name) || p.isFromRoot(x)
	}
	switch rcode := x.response.Flags & dnswire.MaskRcode; rcode {
	case dns.RcodeNameError, dns.RcodeRefused, dns.RcodeServerFailure:
		return isSingleLabel(x.name) || p.isFromRoot(x) ||
			rcode == dns.RcodeNameError && (x.rd || x.forwarded) && hasRootSOA(x.response)
	}
	return false
}

// hasRootSOA reports whether the authority section holds the SOA record of the root.
func hasRootSOA(w *dnswire.Walker) bool {
	for _, r := range w.Records {
		if r.Section == dnswire.Authority && r.Type == dns.TypeSOA && w.IsRoot(int(r.Owner)) {
			return true
		}
	}
	return false
}

func (p *Policy) isFromRoot(x *subject) bool {
	return p.rootServers.has(x.server) || isRoot(x.zone) && !x.rd
}

func isSingleLabel(name []byte) bool { return name[0] != 0 && len(name) == int(name[0])+2 }

func isRoot(name []byte) bool { return len(name) == 1 }

// RootServers returns the addresses of the root's thirteen servers, two of each:
// IANA's root hints, https://www.internic.net/domain/named.root of 2024.
func RootServers() []netip.Addr {
	var all []netip.Addr
	for _, server := range [...][2]string{
		{"198.41.0.4", "2001:503:ba3e::2:30"},   // a
		{"170.247.170.2", "2801:1b8:10::b"},     // b, since November 2023
		{"192.33.4.12", "2001:500:2::c"},        // c
		{"199.7.91.13", "2001:500:2d::d"},       // d
		{"192.203.230.10", "2001:500:a8::e"},    // e
		{"192.5.5.241", "2001:500:2f::f"},       // f
		{"192.112.36.4", "2001:500:12::d0d"},    // g
		{"198.97.190.53", "2001:500:1::53"},     // h
		{"192.36.148.17", "2001:7fe::53"},       // i
		{"192.58.128.30", "2001:503:c27::2:30"}, // j
		{"193.0.14.129", "2001:7fd::1"},         // k
		{"199.7.83.42", "2001:500:9f::42"},      // l
		{"202.12.27.33", "2001:dc3::35"},        // m
	} {
		all = append(all, netip.MustParseAddr(server[0]), netip.MustParseAddr(server[1]))
	}
	return all
}

// DefaultLookupZones returns the zones of well-known lists, in lower case without the
// final dot. A name below one of them queries the list about an address, a name, a
// mail address or a file. A comment names the source; a line without one has the source of
// the line before it. Closed lists are included, because queries of servers that still use
// them reveal the same. Zones that also contain the operator's own hosts are left out:
// spamhaus.org contains www.spamhaus.org.
func DefaultLookupZones() []string {
	return []string{
		// Spamhaus: docs.spamhaus.com, "Available Zones"
		"zen.spamhaus.org",
		"sbl.spamhaus.org",
		"sbl-xbl.spamhaus.org",
		"xbl.spamhaus.org",
		"pbl.spamhaus.org",
		"dbl.spamhaus.org",
		"swl.spamhaus.org", // www.spamhaus.org/whitelist
		"dwl.spamhaus.org",
		"dq.spamhaus.net", // Data Query Service: KEY.zen.dq.spamhaus.net
		"cbl.abuseat.org", // www.abuseat.org; part of XBL

		// Addresses of mail servers and other hosts.
		"mail.abusix.zone",        // docs.abusix.com, KEY.combined.mail.abusix.zone
		"spam.dnsbl.anonmails.de", // anonmails.de/dnsbl.php
		"ips.backscatterer.org",   // www.backscatterer.org
		"b.barracudacentral.org",  // www.barracudacentral.org/rbl/how-to-use
		"bb.barracudacentral.org",
		"bl.blocklist.de",               // www.blocklist.de/en/rbldns.html
		"dnsbl.dronebl.org",             // dronebl.org/docs
		"rbl.efnetrbl.org",              // rbl.efnetrbl.org
		"truncate.gbudb.net",            // www.gbudb.com/truncate
		"hostkarma.junkemailfilter.com", // wiki.junkemailfilter.com/index.php/Spam_DNS_Lists
		"dnsbl.httpbl.org",              // www.projecthoneypot.org/httpbl_api.php
		"spamrbl.imp.ch",                // antispam.imp.ch
		"wormrbl.imp.ch",
		"rbl.interserver.net", // rbl.interserver.net
		"rblspamassassin.interserver.net",
		"sip.invaluement.com", // www.invaluement.com
		"sip24.invaluement.com",
		"bl.mailspike.net", // mailspike.org/usage.html
		"rep.mailspike.net",
		"wl.mailspike.net",
		"z.mailspike.net",
		"q.mail-abuse.com", // Trend Micro, Email Reputation Services
		"r.mail-abuse.com",
		"bl.nordspam.com",  // www.nordspam.com/usage
		"psbl.surriel.com", // psbl.org
		"bl.0spam.org",     // 0spam.org
		"rbl.0spam.org",
		"all.rbl.jp", // www.rbl.jp
		"short.rbl.jp",
		"virus.rbl.jp",
		"all.s5h.net",          // www.usenix.org.uk/content/rbl.html
		"query.senderbase.org", // Cisco, www.senderbase.org
		"sa.senderbase.org",
		"score.senderscore.com",   // Validity, senderscore.org; SpamAssassin 20_dnsbl_tests.cf
		"bl.spamcop.net",          // www.spamcop.net/bl.shtml
		"bl.spameatingmonkey.net", // spameatingmonkey.com/services
		"netbl.spameatingmonkey.net",
		"backscatter.spameatingmonkey.net",
		"bl.ipv6.spameatingmonkey.net",
		"all.spamrats.com", // www.spamrats.com/about.php
		"auth.spamrats.com",
		"dyna.spamrats.com",
		"noptr.spamrats.com",
		"spam.spamrats.com",
		"dnsbl.spfbl.net",        // spfbl.net/en/dnsbl
		"dnsrbl.swinog.ch",       // antispam.imp.ch
		"dnsbl-1.uceprotect.net", // www.uceprotect.net
		"dnsbl-2.uceprotect.net",
		"dnsbl-3.uceprotect.net",
		"ubl.unsubscore.com", // Lashback, blacklist.lashback.com
		"dnsbl.zapbl.net",    // zapbl.net

		// Closed.
		"dnsbl.ahbl.org",      // 2015
		"ix.dnsbl.manitu.net", // NiXSpam, January 2025: heise.de/-10248714
		"dnsbl.njabl.org",     // 2013
		"dnsbl.sorbs.net",     // June 2024; its sublists are below it
		"db.wpbl.info",        // 2024

		// Senders that are vouched for: SpamAssassin 20_dnsbl_tests.cf and 25_dnswl.cf.
		"query.bondedsender.org",
		"sa-trusted.bondedsender.org",
		"list.dnswl.org",
		"dwl.dnswl.org",
		"sa-accredit.habeas.com",
		"iadb.isipp.com",

		// Names in mail.
		"rhsbl.ahbl.org",             // closed 2015
		"rbluri.interserver.net",     // rbl.interserver.net
		"uri.invaluement.com",        // www.invaluement.com
		"dbl.nordspam.com",           // www.nordspam.com/usage
		"url.rbl.jp",                 // www.rbl.jp
		"uribl.rspamd.com",           // Rspamd, conf/modules.d/rbl.conf
		"rhsbl.sorbs.net",            // closed June 2024
		"fresh.spameatingmonkey.net", // spameatingmonkey.com/services
		"fresh10.spameatingmonkey.net",
		"fresh15.spameatingmonkey.net",
		"uribl.spameatingmonkey.net",
		"urired.spameatingmonkey.net",
		"multi.surbl.org", // surbl.org/lists
		"uribl.swinog.ch", // antispam.imp.ch
		"black.uribl.com", // uribl.com/about.shtml
		"grey.uribl.com",
		"multi.uribl.com",
		"red.uribl.com",
		"rhsbl.zapbl.net", // zapbl.net

		// Mail addresses, as their hash or as they are.
		"ebl.msbl.org",        // msbl.org/ebl.html
		"email-bl.rambler.ru", // Rspamd, conf/modules.d/rbl.conf

		// Where an address is: its network, its country, Tor.
		"origin.asn.cymru.com", // Team Cymru, IP to ASN mapping
		"origin6.asn.cymru.com",
		"peer.asn.cymru.com",
		"bogons.cymru.com", // Team Cymru, bogon reference
		"v4.fullbogons.cymru.com",
		"v6.fullbogons.cymru.com",
		"tor.dan.me.uk", // www.dan.me.uk/dnsbl
		"torexit.dan.me.uk",
		"zz.countries.nerd.dk",  // countries.nerd.dk/more.html
		"asn.routeviews.org",    // SpamAssassin 25_asn.cf
		"aspath.routeviews.org", // www.routeviews.org
		"asn.rspamd.com",        // Rspamd, conf/modules.d/asn.conf
		"asn6.rspamd.com",
		"dnsel.torproject.org",    // blog.torproject.org/changes-tor-exit-list-service
		"exitlist.torproject.org", // www.torproject.org/projects/tordnsel.html

		// Files, as their hash: virus scanners.
		"hash.cymru.com",  // Team Cymru, hash.cymru.com/docs_dns
		"avqs.mcafee.com", // Trellix KB53782, GTI File Reputation
		"avts.mcafee.com",
		"sophosxl.net", // Sophos, isc.sans.edu/diary/24844
	}
}
