package conf

import (
	"math"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
)

// sensorIDs are the attributes of the block sensor.
var sensorIDs = []attribute{
	{name: "source", kind: numberValue, value: `0`, hi: math.MaxUint32,
		meaning: "NMSG source id, and sensor_id of the message type dnsobs; 0: omitted"},
	{name: "operator", kind: numberValue, value: `0`, hi: math.MaxUint32,
		meaning: "NMSG operator id; 0: omitted"},
	{name: "group", kind: numberValue, value: `0`, hi: math.MaxUint32,
		meaning: "NMSG group id; 0: omitted"},
}

// sourceIDs is the block sensor in a source. It is a block because the attribute group of a
// source is the group of its socket.
var sourceIDs = blockSchema{name: "sensor", attributes: inherited(sensorIDs, "as in the block sensor outside")}

// inherited returns attributes whose absence means the value of others.
func inherited(all []attribute, from string) []attribute {
	all = slices.Clone(all)
	for i := range all {
		all[i].value, all[i].derived = "", from
	}
	return all
}

// everySink are the attributes of all sinks.
var everySink = []attribute{
	{name: "flush", kind: durationValue, value: `"500ms"`, lo: ms, hi: 10 * minute,
		meaning: "how long a record waits for its container or batch to fill"},
	{name: "queue", kind: sizeValue, value: `"16MiB"`, lo: mib, hi: 16 * gib,
		meaning: "maximum size of waiting records; then the oldest are dropped and counted"},
}

// fileAttributes are the attributes of sinks that may write files.
var fileAttributes = []attribute{
	{name: "rotate", kind: durationValue, value: `"1h"`, lo: second, hi: 366 * 24 * hour, takes: `a duration from "1s" to "8784h", like "1h", or "0s" for no rotation by time`,
		meaning: "files: begin a new one at every multiple of this since 1970 UTC"},
	{name: "rotate_size", kind: sizeValue, value: `"256MiB"`, lo: mib, hi: 1024 * gib,
		meaning: "files: begin a new one before this size is exceeded"},
	{name: "on_rotate", kind: listValue, value: `[]`, takes: `a program, by its name or absolute path, and its arguments, like ["/usr/local/bin/upload", "--quiet"]; or []`,
		meaning: "files: run without a shell for each finished file, whose name is the last argument"},
}

var keepBlock = blockSchema{name: "keep", attributes: []attribute{
	{name: "age", kind: durationValue, value: `"0s"`, lo: minute, hi: 20 * 366 * 24 * hour, takes: `a duration from "1m" to "175680h", like "720h", or "0s" for no limit`,
		meaning: "files: delete a finished file that was last written longer ago"},
	{name: "size", kind: sizeValue, value: `0`, hi: 1024 * 1024 * gib, takes: `a size up to "1048576GiB", like "100GiB", or 0 for no limit`,
		meaning: "files: delete the oldest finished files, except the newest one, if all together are larger"},
}}

// clientTLS returns the block tls of sinks and sources that connect to a server. of are the schemes
// of the targets to which it applies, if there are others.
func clientTLS(of string) blockSchema {
	return blockSchema{name: "tls", attributes: []attribute{
		{name: "ca", kind: textValue, value: `""`, takes: `the path of a PEM file, relative to this file's folder, or a function that gives PEM text; or "" for the CAs of this machine`,
			meaning: of + "CAs, one of which must have issued the server's certificate; the files are read again at each connection"},
		{name: "cert", kind: textValue, value: `""`, takes: `the path of a PEM file, relative to this file's folder, or a function that gives PEM text; or "" for none`,
			meaning: "certificate that identifies the sensor, with its chain"},
		{name: "key", kind: textValue, value: `""`, takes: `the path of a PEM file, relative to this file's folder, or a function that gives PEM text; or "" for none`,
			meaning: "its private key, not encrypted"},
	}}
}

// saslBlock is the block sasl of sinks and sources of Kafka.
var saslBlock = blockSchema{name: "sasl", attributes: []attribute{
	{name: "mechanism", kind: textValue, takes: listOf(brokers.Mechanisms()...),
		meaning: "kafka: how the password is proved to the brokers; PLAIN sends it"},
	{name: "user", kind: textValue, derived: "required", takes: "text of at most 255 bytes",
		meaning: "kafka: user of the cluster"},
	{name: "password", kind: textValue, derived: "required", takes: `one call of a function: file("PATH"), credential("NAME") or env("NAME")`,
		meaning: "kafka: password of the user; the file of file() and credential() is read again at each connection"},
}}

// releaseBlock is the block release of aggregate blocks.
var releaseBlock = blockSchema{name: "release", attributes: []attribute{
	{name: "sources", kind: numberValue, lo: 2, hi: 4,
		meaning: "an RRset leaves only when records or RRsets with this many different NMSG source ids have contained it; the source id 0 does not count"},
}}

var spoolBlock = blockSchema{name: "spool", attributes: []attribute{
	{name: "dir", kind: textValue, takes: `the absolute path of a folder, like "/var/lib/dnstap-pdns/spool"`,
		meaning: "wss, ws and kafka: records wait here while the server is away; each sink has its own folder in it"},
	{name: "max_bytes", kind: sizeValue, value: `"1GiB"`, lo: 16 * mib, hi: 1024 * gib,
		meaning: "maximum size; then the oldest records are dropped and counted"},
	{name: "max_age", kind: durationValue, value: `"0s"`, lo: minute, hi: 366 * 24 * hour, takes: `a duration from "1m" to "8784h", like "168h", or "0s" for no limit`,
		meaning: "records that wait longer are dropped and counted"},
}}

// from is the attribute of sinks that may get RRsets.
var from = attribute{name: "from", kind: textValue, derived: "the only aggregate block", takes: "the name of an aggregate block",
	meaning: "dnsdedupe, cof and circl: the block whose RRsets the sink gets"}

// recordsPolicy is the block policy of aggregate blocks.
var recordsPolicy = blockSchema{name: "policy", attributes: []attribute{
	{name: "names", kind: listValue, value: `[]`, takes: `domain names, like ["example", "example.net"]; [] means all`,
		meaning: "takes only records whose query name (RRsets: whose owner) is one of these or below one"},
	{name: "except_names", kind: listValue, value: `[]`, takes: `domain names, like ["example.org"]`,
		meaning: "takes no records whose query name (RRsets: whose owner) is one of these or below one"},
	{name: "types", kind: listValue, value: `[]`, takes: `record types, like ["A", "AAAA", "TYPE65280"]; [] means all`,
		meaning: "takes only records whose query type (RRsets: whose type) is one of these"},
	{name: "rcodes", kind: listValue, value: `[]`, takes: "names of header rcodes: " + rcodeNames() + "; [] means all",
		meaning: "takes only records with one of these rcodes, which an unanswered query does not have; outward.rcodes applies first; not for RRsets"},
}}

// narrowing is the block policy of all sinks.
var narrowing = blockSchema{name: "policy", attributes: append(slices.Clip(recordsPolicy.attributes),
	attribute{name: "time_resolution", kind: durationValue, derived: "scrub.time_resolution", lo: 1, hi: 24 * hour, takes: `a duration up to "24h", like "1m", not shorter than scrub.time_resolution`,
		meaning: "times are truncated to multiples of this for the sink, after scrub.time_resolution; RRsets have whole seconds"},
)}
