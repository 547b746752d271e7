package lab

import (
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// Question is a client's question to a resolver.
type Question struct {
	Name     string
	Type     uint16
	Class    uint16 // 0 means IN
	From     string // the client's address
	TCP      bool
	DNSSEC   bool         // set DO
	Subnet   netip.Prefix // the EDNS client subnet option, if valid
	NoAnswer bool         // no server answers it: it is asked once
}

// message returns the question as dig sends it: RD, AD and EDNS with a cookie.
func (q Question) message() *dns.Msg {
	m := new(dns.Msg).SetQuestion(q.Name, q.Type)
	if q.Class != 0 {
		m.Question[0].Qclass = q.Class
	}
	m.AuthenticatedData = true
	m.SetEdns0(1232, q.DNSSEC)
	opt := m.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
	if q.Subnet.IsValid() {
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{
			Code: dns.EDNS0SUBNET, Family: 1,
			SourceNetmask: uint8(q.Subnet.Bits()), Address: q.Subnet.Addr().AsSlice(),
		})
	}
	return m
}

// Questions returns the questions of one site's clients: every kind of answer in the world,
// names that must not leave the site, and servers that do not answer.
func Questions() []Question {
	var all []Question
	ask := func(name string, types ...uint16) {
		for _, t := range types {
			all = append(all, Question{Name: name, Type: t, From: Client1})
		}
	}
	for _, t := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeMX, dns.TypeTXT, dns.TypeNS, dns.TypeSOA, dns.TypeCAA, dns.TypeHTTPS} {
		ask("shop.com.", t)
		ask("ShOp.CoM.", t)
	}
	ask("www.shop.com.", dns.TypeA, dns.TypeAAAA)
	ask("chain.shop.com.", dns.TypeA)
	ask("mail.shop.com.", dns.TypeA)
	ask("_sip._tcp.shop.com.", dns.TypeSRV)
	ask("nonexist.shop.com.", dns.TypeA)
	ask("shop.com.", dns.TypeDNAME)
	for i := 1; i <= 5; i++ {
		ask(fmt.Sprintf("host%d.wild.shop.com.", i), dns.TypeA)
		ask(fmt.Sprintf("nx%d.shop.com.", i), dns.TypeAAAA)
	}
	ask("big.com.", dns.TypeTXT)
	all = append(all, Question{Name: "www.univ.org.", Type: dns.TypeA, From: Client1, TCP: true})
	ask("www.univ.org.", dns.TypeAAAA)
	ask("mx.univ.org.", dns.TypeMX)
	ask("dc1.univ.org.", dns.TypeA)
	ask("case.univ.org.", dns.TypeTXT)
	all = append(all,
		Question{Name: "www.univ.org.", Type: dns.TypeA, From: Client1, Subnet: netip.MustParsePrefix("203.0.113.0/24")},
		Question{Name: "edge.cdn.net.", Type: dns.TypeA, From: Client1, Subnet: netip.MustParsePrefix("10.9.8.0/24")})
	ask("edge.cdn.net.", dns.TypeAAAA)
	all = append(all, Question{Name: "dead.com.", Type: dns.TypeA, From: Client1, NoAnswer: true})
	ask("x.lame.com.", dns.TypeA)
	ask("evil.com.", dns.TypeMX)
	ask("www.evil.com.", dns.TypeA)
	ask("www.nosuch.com.", dns.TypeA)
	ask("nosuchtld.", dns.TypeA)
	ask("intranet.shop.com.", dns.TypeA)
	ask("portal.corp.example.", dns.TypeA)
	ask("_ldap._tcp.dc._msdcs.corp.example.", dns.TypeSRV)
	ask("80.113.0.203.in-addr.arpa.", dns.TypePTR)
	ask("25.113.0.203.in-addr.arpa.", dns.TypePTR)
	ask("3.2.1.10.in-addr.arpa.", dns.TypePTR)
	ask("4.3.2.1.zen.shop.com.", dns.TypeA)
	ask("printer.local.", dns.TypeA)
	ask("x.home.arpa.", dns.TypeA)
	return append(all,
		Question{Name: "mail.shop.com.", Type: dns.TypeAAAA, From: Client2},
		Question{Name: "dead.com.", Type: dns.TypeAAAA, From: Client2, NoAnswer: true},
		Question{Name: "host9.wild.shop.com.", Type: dns.TypeA, From: Client2},
		Question{Name: "www.univ.org.", Type: dns.TypeA, From: Client2, DNSSEC: true},
		Question{Name: "version.bind.", Type: dns.TypeTXT, Class: dns.ClassCHAOS, From: Client2})
}
