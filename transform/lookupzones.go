package transform

// DefaultLookupZones returns the zones of well-known lists, in lower case without the
// final dot. A name below one of them queries the list about an address, a name, a
// mail address or a file. A comment names the source; a line without one has that of
// the line before it. Closed lists are included, because servers that still query them
// reveal as much. Zones that also hold the operator's own hosts are left out:
// spamhaus.org holds www.spamhaus.org.
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
