package conf

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
)

// kind is the form of an attribute's value.
type kind uint8

const (
	textValue     kind = iota // a string
	listValue                 // a list of strings
	flagValue                 // true or false
	numberValue               // a whole number from lo to hi
	sizeValue                 // bytes from lo to hi: a number or a string with a unit
	durationValue             // a string with a unit, from lo to hi nanoseconds
)

// attribute describes one attribute of a block.
type attribute struct {
	name    string
	kind    kind
	value   string // the default as an HCL expression; if it and derived are empty, the attribute is required
	derived string // the default in words, or that the attribute is required, for an error with its own reason
	lo, hi  int64
	takes   string // valid values in words; empty: from kind, lo and hi
	meaning string
}

// blockSchema describes a kind of block.
type blockSchema struct {
	name       string
	typ        string // first label of a block with two labels: type and name
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
			{name: "cert", kind: textValue, takes: "the path of a PEM file, relative to this file's folder",
				meaning: "the certificate of a TCP source, with its chain; the three files are read again when they change"},
			{name: "key", kind: textValue, takes: "the path of a PEM file, relative to this file's folder",
				meaning: "its private key, not encrypted"},
			{name: "client_ca", kind: textValue, value: `""`, takes: `the path of a PEM file, relative to this file's folder; or "" to ask for no certificate`,
				meaning: "only resolvers with a certificate of one of these CAs may connect"},
		}},
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
			meaning: "also read packets inside GRE, ERSPAN and VXLAN"},
		{name: "decapsulate_from", kind: listValue, derived: "required with decapsulate", takes: `addresses or prefixes, at least one, like ["198.51.100.2", "2001:db8:2::/64"]`,
			meaning: "decapsulate = true: source addresses of tunnels; tunnels from others are not opened"},
		{name: "decapsulate_to", kind: listValue, derived: "the capturing interfaces' addresses", takes: `addresses or prefixes, like ["198.51.100.9"]`,
			meaning: "decapsulate = true: destination addresses of tunnels; tunnels to others are not opened"},
		{name: "verify_checksum", kind: flagValue, value: `false`,
			meaning: "drop every UDP datagram with a wrong checksum, not only reassembled ones; on the resolver's own host, checksums of sent packets are not computed yet"},
		{name: "ring", kind: sizeValue, value: `"32MiB"`, lo: mib, hi: gib,
			meaning: "buffer for packets, for each interface and lane"},
		{name: "lanes", kind: numberValue, value: `1`, lo: 1, hi: 64,
			meaning: "parallel captures that share the packets, to use several cores"},
	}},
	{name: "pairing", attributes: []attribute{
		{name: "max_queries", kind: numberValue, value: `131072`, lo: 1, hi: 1 << 24,
			meaning: "pending queries, over all connections; if they are too many, each connection has an equal share"},
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
		{name: "local_names", kind: listValue, value: `[]`, takes: `domain names, like "corp.example"`,
			meaning: "names that never leave, with all names below them"},
		{name: "local_names_file", kind: textValue, value: `""`, takes: `a file with one name on each line and # before comments, relative to this file's folder; or ""`,
			meaning: "more local_names, at least one; the file is read again when it changes"},
		{name: "local_names_inside", kind: textValue, value: `"drop"`, takes: `"drop" or "keep"`,
			meaning: "drop or keep records with a local name inside a foreign name, like corp.example.dnsbl.example.net"},
		{name: "local_networks", kind: listValue, value: `[]`, takes: `prefixes or addresses, like "198.51.100.0/24"`,
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
	{name: "sink", typ: "nmsg", attributes: []attribute{
		{name: "to", kind: textValue, takes: "udp://HOST:PORT, file:///DIR/%Y%m%dT%H%M%S.nmsg or stdout:",
			meaning: "where records go; a file's name is a strftime pattern in UTC"},
		{name: "message", kind: textValue, value: `"dnsqr"`, takes: messageTypes(),
			meaning: "NMSG message type"},
		{name: "mtu", kind: sizeValue, derived: "UDP 8192 to loopback, else 1280; file and stdout 1 MiB", lo: 512, hi: mib, takes: `512 to 1048576 bytes, over UDP at most 65507, like 8192 or "8KiB"`,
			meaning: "maximum size of a container"},
		{name: "flush", kind: durationValue, value: `"500ms"`, lo: ms, hi: 10 * minute,
			meaning: "how long a record waits for its container to fill"},
		{name: "queue", kind: sizeValue, value: `"16MiB"`, lo: mib, hi: 16 * gib,
			meaning: "maximum size of waiting containers; then the oldest are dropped and counted"},
		{name: "zlib", kind: flagValue, value: `false`,
			meaning: "compress containers"},
		{name: "rate", kind: numberValue, value: `0`, hi: 1_000_000,
			meaning: "UDP: maximum of datagrams per second, fragments included; 0: no limit"},
		{name: "rotate", kind: durationValue, value: `"1h"`, lo: second, hi: 366 * 24 * hour, takes: `a duration from "1s" to "8784h", like "1h", or "0s" for no rotation by time`,
			meaning: "files: begin a new one at every multiple of this since 1970 UTC"},
		{name: "rotate_size", kind: sizeValue, value: `"256MiB"`, lo: mib, hi: 1024 * gib,
			meaning: "files: begin a new one before this size is exceeded"},
		{name: "on_rotate", kind: listValue, value: `[]`, takes: `a program, by its name or absolute path, and its arguments, like ["/usr/local/bin/upload", "--quiet"]; or []`,
			meaning: "files: run without a shell for each finished file, whose name is the last argument"},
	}},
	{name: "sensor", attributes: []attribute{
		{name: "source", kind: numberValue, value: `0`, hi: math.MaxUint32,
			meaning: "NMSG source id; 0: omitted"},
		{name: "operator", kind: numberValue, value: `0`, hi: math.MaxUint32,
			meaning: "NMSG operator id; 0: omitted"},
		{name: "group", kind: numberValue, value: `0`, hi: math.MaxUint32,
			meaning: "NMSG group id; 0: omitted"},
	}},
	{name: "admin", attributes: []attribute{
		{name: "listen", kind: textValue, value: `"127.0.0.1:9353"`, takes: `HOST:PORT, a loopback address unless allow_remote is true, or "" for none`,
			meaning: "address of the HTTP server: the status page at /, /metrics, /ledger, /domains, /healthz, /readyz and /selftest"},
		{name: "allow_remote", kind: flagValue, value: `false`,
			meaning: "let listen be an address that other hosts can reach; clients are not authenticated"},
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
	if b.typ == "" {
		return b.name
	}
	return fmt.Sprintf("%s %q NAME", b.name, b.typ)
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
		if b.typ != "" {
			labels = []string{"type", "name"}
		}
		s.Blocks = append(s.Blocks, hcl.BlockHeaderSchema{Type: b.name, LabelNames: labels})
	}
	return s
}
