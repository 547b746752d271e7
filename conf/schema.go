package conf

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// kind is the form of an attribute's value.
type kind uint8

const (
	textValue     kind = iota // a string
	listValue                 // a list of strings
	flagValue                 // true or false
	numberValue               // a whole number from lo to hi
	numbersValue              // a list of whole numbers from lo to hi
	sizeValue                 // bytes from lo to hi: a number or a string with a unit
	durationValue             // a string with a unit, from lo to hi nanoseconds
)

// attribute describes one attribute of a block.
type attribute struct {
	name    string
	kind    kind
	value   string // the default as an HCL expression; if it and derived are empty, the attribute is required
	derived string // the default in words; or that the attribute is required, if its reader reports its absence
	lo, hi  int64
	takes   string // valid values in words; empty: from kind, lo and hi
	meaning string
}

// blockSchema describes a kind of block.
type blockSchema struct {
	name       string
	typ        string // first label of a block with two labels: type and name
	named      bool   // a block with one label, its name
	attributes []attribute
	blocks     []blockSchema // in this one, each at most once, without labels
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30

	ms     = int64(time.Millisecond)
	second = int64(time.Second)
	minute = int64(time.Minute)
	hour   = int64(time.Hour)
)

// schema is the table of all blocks and attributes. Decoding, printing and the
// reference in the documentation are made from it.
var schema = []blockSchema{
	{name: "source", typ: "dnstap", attributes: []attribute{
		{name: "listen", kind: textValue, takes: "unix:///PATH or tcp://HOST:PORT",
			meaning: "where resolvers connect"},
		{name: "mode", kind: textValue, value: `"0660"`, takes: `the socket's permissions in octal, in quotes, like "0660"`,
			meaning: "permissions of the Unix socket; a resolver must be able to write to it"},
		{name: "owner", kind: textValue, value: `""`, takes: `a user's name or number in quotes, or "" for the sensor's own`,
			meaning: "owner of the Unix socket"},
		{name: "group", kind: textValue, value: `""`, takes: `a group's name or number in quotes, or "" for the sensor's own`,
			meaning: "group of the Unix socket"},
		{name: "max_connections", kind: numberValue, value: `64`, lo: 1, hi: 65536,
			meaning: "connections at once; then a new one is refused, or displaces one of a peer that has more"},
		{name: "max_frame", kind: sizeValue, value: `"256KiB"`, lo: 512, hi: 16 * mib,
			meaning: "longest frame that is read; longer ones are skipped and counted"},
		{name: "handshake_timeout", kind: durationValue, value: `"5s"`, lo: ms, hi: 10 * minute,
			meaning: "time limit for the handshake of a connection, TLS included"},
	}, blocks: []blockSchema{
		{name: "tls", attributes: []attribute{
			{name: "cert", kind: textValue, takes: "the path of a PEM file, relative to this file's folder, or a function that gives PEM text",
				meaning: "the certificate of a TCP source, with its chain; the three files are read again when they change"},
			{name: "key", kind: textValue, takes: "the path of a PEM file, relative to this file's folder, or a function that gives PEM text",
				meaning: "its private key, not encrypted"},
			{name: "client_ca", kind: textValue, value: `""`, takes: `the path of a PEM file, relative to this file's folder, or a function that gives PEM text; or "" to ask for no certificate`,
				meaning: "only resolvers with a certificate of one of these CAs may connect"},
		}},
		sourceIDs,
	}},
	{name: "source", typ: "pcap", attributes: []attribute{
		{name: "interfaces", kind: listValue, value: `[]`, takes: `names of network interfaces, like ["eth1", "eth2"], or ["any"] for all interfaces; run needs at least one`,
			meaning: "where packets are captured"},
		{name: "interface", kind: textValue, value: `""`, takes: `the name of a network interface, like "eth1"`,
			meaning: "short form of interfaces for a single one; set only one of the two"},
		{name: "resolvers", kind: listValue, derived: "required", takes: `addresses or prefixes, at least one, like ["192.0.2.53", "2001:db8:53::/64"]`,
			meaning: "their outward traffic is captured; answers that contain one of these addresses are dropped"},
		{name: "when", kind: textValue, value: `"always"`, takes: `"always" or "idle"`,
			meaning: "when packets are captured; idle: while no connected dnstap sender has sent an outward message for idle_after"},
		{name: "idle_after", kind: durationValue, value: `"60s"`, lo: second, hi: 24 * hour,
			meaning: `when = "idle": time without an outward message over dnstap before capture begins`},
		{name: "promiscuous", kind: flagValue, value: `false`,
			meaning: "also capture packets to other hardware addresses than this host's: for a span port"},
		{name: "decapsulate", kind: flagValue, value: `false`,
			meaning: "also read packets inside GRE, ERSPAN, VXLAN, GENEVE and IP in IP"},
		{name: "decapsulate_from", kind: listValue, derived: "required with decapsulate", takes: `addresses or prefixes, at least one, like ["198.51.100.2", "2001:db8:2::/64"]`,
			meaning: "decapsulate = true: source addresses of tunnels; tunnels from others are not opened"},
		{name: "decapsulate_to", kind: listValue, derived: "the capturing interfaces' addresses", takes: `addresses or prefixes, like ["198.51.100.9"]`,
			meaning: "decapsulate = true: destination addresses of tunnels; tunnels to others are not opened"},
		{name: "vxlan_ports", kind: numbersValue, value: `[4789, 8472]`, lo: 1, hi: math.MaxUint16, takes: "1 to 16 UDP ports, like [4789], except for those of DNS (53) and GENEVE (6081)",
			meaning: "decapsulate = true: UDP destination ports of VXLAN"},
		{name: "verify_checksum", kind: flagValue, value: `false`,
			meaning: "drop every UDP datagram with a wrong checksum, not only reassembled ones; on the resolver's own host, checksums of sent packets are not computed yet"},
		{name: "ring", kind: sizeValue, value: `"32MiB"`, lo: mib, hi: gib,
			meaning: "buffer for packets, for each interface and lane"},
		{name: "lanes", kind: numberValue, value: `1`, lo: 1, hi: 64,
			meaning: "parallel captures that share the packets, to use several cores"},
	}, blocks: []blockSchema{sourceIDs}},
	{name: "source", typ: "kafka", attributes: []attribute{
		{name: "brokers", kind: listValue, takes: `HOST:PORT or HOST, at least one, like ["kafka1.example.net:9092", "[2001:db8::1]:9092"]`,
			meaning: "brokers of the cluster, which name all others; without PORT: 9092"},
		{name: "topic", kind: textValue, takes: "the name of a topic, 1 to 249 of the characters a-z, A-Z, 0-9, dot, underscore and hyphen",
			meaning: "each of its messages is one NMSG container"},
		{name: "group", kind: textValue, takes: "text of at most 255 bytes",
			meaning: "consumer group: its members share the partitions of the topic"},
		{name: "commit", kind: durationValue, value: `"10m"`, lo: second, hi: hour,
			meaning: "time between two commits. For each one, aggregate blocks emit their windows, files are completed, and all sinks confirm; a member that is killed reads again what it has read since"},
	}, blocks: []blockSchema{clientTLS(""), saslBlock,
		{name: "sensor", attributes: inherited(sensorIDs, "0; each payload keeps its own")}}},
	{name: "pairing", attributes: []attribute{
		{name: "max_queries", kind: numberValue, value: `131072`, lo: 1, hi: 1 << 24,
			meaning: "pending queries, over all connections; if they are too many, those with many share what the others leave"},
		{name: "timeout", kind: durationValue, value: `"60s"`, lo: ms, hi: hour,
			meaning: "how long a query waits for its response"},
	}},
	{name: "outward", attributes: []attribute{
		{name: "forwarded", kind: flagValue, value: `false`,
			meaning: "also record messages to and from forwarders, and those with RD set"},
		{name: "unanswered", kind: flagValue, value: `false`,
			meaning: "also make records of unanswered queries"},
		{name: "local_servers", kind: flagValue, value: `false`,
			meaning: "also record responses of servers on local and private addresses"},
		{name: "rcodes", kind: listValue, value: `["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"]`, takes: "names of header rcodes, at least one: " + rcodeNames(),
			meaning: "rcodes of responses that make a record"},
	}},
	{name: "scrub", attributes: []attribute{
		{name: "resolver_address", kind: textValue, value: `"zero"`, takes: `"zero" or "keep"`,
			meaning: "zero or keep the resolver's address, its port and the DNS ID"},
		{name: "resolvers", kind: listValue, value: `[]`, takes: `addresses or prefixes, like ["192.0.2.53", "2001:db8:53::/64"]`,
			meaning: "the resolver's own addresses, in addition to those in messages; answers that contain one are dropped. An address in a prefix shorter than /24 (IPv6 /48) counts once a message has contained it"},
		{name: "local_names", kind: listValue, derived: "unset, with a warning; [] means that there are none", takes: `domain names, like ["corp.example"]`,
			meaning: "names that never leave, with all names below them"},
		{name: "local_names_file", kind: textValue, value: `""`, takes: `a file with one name on each line and # before comments, relative to this file's folder; or ""`,
			meaning: "more local_names, at least one; the file is read again when it changes"},
		{name: "local_names_inside", kind: textValue, value: `"drop"`, takes: `"drop" or "keep"`,
			meaning: "drop or keep records with a local name inside a foreign name, like corp.example.dnsbl.example.net"},
		{name: "local_networks", kind: listValue, derived: "unset, with a warning; [] means that there are none", takes: `prefixes or addresses, like ["198.51.100.0/24"]`,
			meaning: "servers in them are local, and their reverse names never leave"},
		{name: "lookups", kind: textValue, value: `"drop"`, takes: `"drop" or "keep"`,
			meaning: "drop or keep names that query a list about an address, a name or a mail address: they reveal who writes to whom"},
		{name: "lookup_zones", kind: listValue, derived: "the well-known lists", takes: `domain names of at least two labels, like ["dnsbl.example.net"]`,
			meaning: "zones below which every name is such a query; a list here replaces the well-known ones"},
		{name: "root_servers", kind: listValue, derived: "the root's 26 addresses", takes: `IP addresses, like ["192.0.2.1", "2001:db8::1"]`,
			meaning: "servers whose response that a top-level domain does not exist is trusted"},
		{name: "special_names", kind: flagValue, value: `true`,
			meaning: "drop special-use names, and names under no existing TLD"},
		{name: "time_resolution", kind: durationValue, value: `"1s"`, lo: 1, hi: 24 * hour,
			meaning: "times are truncated to multiples of this"},
	}},
	{name: "aggregate", named: true, attributes: slices.Concat([]attribute{
		{name: "window", kind: durationValue, value: `"10m"`, lo: second, hi: 7 * 24 * hour,
			meaning: "how long an RRset is counted from its first sight on, until it leaves with its count"},
		{name: "max_entries", kind: numberValue, value: `1000000`, lo: 1, hi: 1 << 28,
			meaning: "maximum of RRsets in the window; then the one that was seen first longest ago leaves early"},
		{name: "max_bytes", kind: sizeValue, value: `"512MiB"`, lo: rrset.MinBytes, hi: 31 * gib,
			meaning: "maximum of memory for these RRsets; then the one that was seen first longest ago leaves early"},
		{name: "insertions", kind: flagValue, value: `false`,
			meaning: "an RRset also leaves when it is seen for the first time in a window"},
		{name: "state", kind: textValue, value: `""`, takes: `the absolute path of a file, like "/var/lib/dnstap-pdns/rrsets.state", or "" for none`,
			meaning: "where RRsets in the window, and known delegations, wait while the sensor is stopped; without it the RRsets leave at the stop"},
		{name: "bailiwick_wait", kind: durationValue, value: `"10s"`, lo: ms, hi: 10 * minute,
			meaning: "packets: how long a response waits for the delegation that verifies it; then it is dropped and counted"},
		{name: "root_zone", kind: textValue, value: `""`, takes: `the path of a root zone file, relative to this file's folder, or "" for none`,
			meaning: "packets: delegations of top-level domains that are known from the start, as https://www.internic.net/domain/root.zone has them"},
	}, everySink), blocks: []blockSchema{releaseBlock, recordsPolicy}},
	{name: "sink", typ: "nmsg", attributes: slices.Concat([]attribute{
		{name: "to", kind: textValue, takes: "udp://HOST:PORT, file:///DIR/%Y%m%dT%H%M%S.nmsg, stdout:, wss://HOST/session/NAME, ws://HOST/session/NAME or kafka://BROKER[,BROKER]/TOPIC",
			meaning: "where records go; a file's name is a strftime pattern in UTC; wss and ws: submission to SIE, with PORT after HOST unless SRV records or the default give it; kafka: one container in each message, BROKER is HOST:PORT or HOST"},
		{name: "message", kind: textValue, value: `"dnsqr"`, takes: listOf(append(messageTypes(), DNSDedupe)...),
			meaning: "NMSG message type; dnsdedupe: RRsets of an aggregate block"},
		from,
		{name: "mtu", kind: sizeValue, derived: "UDP 8192 to loopback, else 1280; Kafka 256 KiB; others 1 MiB", lo: 512, hi: mib, takes: `512 to 1048576 bytes, over UDP at most 65507, to Kafka at most 262144, like 8192 or "8KiB"`,
			meaning: "maximum size of a container"},
	}, everySink, []attribute{
		{name: "zlib", kind: flagValue, value: `false`,
			meaning: "compress containers"},
		{name: "rate", kind: numberValue, value: `0`, hi: 1_000_000,
			meaning: "UDP: maximum of datagrams per second, fragments included; 0: no limit"},
		{name: "channel", kind: numberValue, derived: "required for wss and ws", lo: 1, hi: math.MaxUint32, takes: "a whole number from 1 to 4294967295, like 202",
			meaning: "wss and ws: number of the SIE channel; the collection assigns it"},
		{name: "api_key", kind: textValue, derived: "required for wss and ws", takes: `one call of a function: file("PATH"), credential("NAME") or env("NAME")`,
			meaning: "wss and ws: key of the contributor; the file of file() and credential() is read again at each connection"},
	}, fileAttributes), blocks: []blockSchema{clientTLS("wss and kafka: "), saslBlock, spoolBlock, keepBlock, narrowing}},
	{name: "sink", typ: "dnstap", attributes: slices.Concat([]attribute{
		{name: "to", kind: textValue, takes: "unix:///PATH, tcp://HOST:PORT, file:///DIR/%Y%m%dT%H%M%S.fstrm or stdout:",
			meaning: "where scrubbed records go as dnstap messages, in Frame Streams; a file's name is a strftime pattern in UTC"},
		{name: "identity", kind: textValue, value: `""`, takes: `text of at most 255 bytes, like "sensor-7", or "" for none`,
			meaning: "identity in each dnstap message"},
		{name: "version", kind: textValue, value: `""`, takes: `text of at most 255 bytes, or "" for none`,
			meaning: "version in each dnstap message"},
	}, everySink, fileAttributes), blocks: []blockSchema{clientTLS("tcp: "), keepBlock, narrowing}},
	{name: "sink", typ: "json", attributes: slices.Concat([]attribute{
		{name: "to", kind: textValue, takes: "file:///DIR/%Y%m%dT%H%M%S.json or stdout:",
			meaning: "where records go, one JSON object on each line; a file's name is a strftime pattern in UTC"},
		{name: "format", kind: textValue, value: `"nmsg"`, takes: `"nmsg", "cof" or "circl"`,
			meaning: "form of the objects; nmsg: records, as cat --json prints the message; cof and circl: RRsets of an aggregate block, in the passive DNS Common Output Format, or what CIRCL's importer reads of it"},
		{name: "message", kind: textValue, value: `"dnsqr"`, takes: listOf(messageTypes()...),
			meaning: "format = \"nmsg\": NMSG message type that the objects show"},
		from,
	}, everySink, fileAttributes), blocks: []blockSchema{keepBlock, narrowing}},
	{name: "sensor", attributes: sensorIDs},
	{name: "admin", attributes: []attribute{
		{name: "listen", kind: textValue, value: `"127.0.0.1:9353"`, takes: `HOST:PORT, a loopback address unless allow_remote is true, or "" for none`,
			meaning: "address of the HTTP server: the status page at /, /metrics, /ledger, /domains, /healthz, /readyz and /selftest"},
		{name: "allow_remote", kind: flagValue, value: `false`,
			meaning: "let listen be an address that other hosts can reach; clients are not authenticated"},
		{name: "host_names", kind: listValue, value: `[]`, takes: `host names, like ["sensor.example.net"]`,
			meaning: "names that clients may use as the host of a URL, in addition to addresses, localhost and the host of listen; other names are refused, because a web page could choose them (DNS rebinding)"},
		{name: "samples", kind: flagValue, value: `false`,
			meaning: "show the last 20 records that left on the status page; they contain query names, and anyone who can reach listen sees them"},
		{name: "pprof", kind: flagValue, value: `false`,
			meaning: "also answer /debug/pprof: profiles of the sensor's CPU time and memory"},
	}},
	{name: "log", attributes: []attribute{
		{name: "level", kind: textValue, value: `"info"`, takes: `"debug", "info", "warn" or "error"`,
			meaning: "minimum level of log lines"},
		{name: "format", kind: textValue, value: `"text"`, takes: `"text" or "json"`,
			meaning: "format of log lines"},
	}},
}

// schemaOf returns the schema of the first block of that name, which must exist.
func schemaOf(name string) *blockSchema {
	return &schema[slices.IndexFunc(schema, func(b blockSchema) bool { return b.name == name })]
}

func (b *blockSchema) opening() string {
	switch {
	case b.typ != "":
		return fmt.Sprintf("%s %q NAME", b.name, b.typ)
	case b.named:
		return b.name + " NAME"
	}
	return b.name
}

func (a *attribute) required() bool { return a.value == "" && a.derived == "" }

// validValues describes the values that the attribute takes.
func (a *attribute) validValues() string {
	if a.takes != "" {
		return a.takes
	}
	switch a.kind {
	case flagValue:
		return "true or false"
	case numberValue:
		return fmt.Sprintf("a whole number from %d to %d", a.lo, a.hi)
	case sizeValue:
		return fmt.Sprintf("a size from %s to %s, like %s", formatSize(a.lo), formatSize(a.hi), a.value)
	case durationValue:
		return fmt.Sprintf("a duration from %q to %q, like %s", formatDuration(a.lo), formatDuration(a.hi), a.value)
	}
	return "a string"
}

// content returns the block's schema for HCL.
func (b *blockSchema) content() *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, a := range b.attributes {
		s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: a.name, Required: a.required()})
	}
	for _, inner := range b.blocks {
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: inner.name})
	}
	return s
}

// root returns the schema of the whole file for HCL.
func root() *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, b := range schema {
		var labels []string
		switch {
		case b.typ != "":
			labels = []string{"type", "name"}
		case b.named:
			labels = []string{"name"}
		}
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: b.name, LabelNames: labels})
	}
	return s
}
