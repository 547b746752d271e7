package explain

import "github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/shortage"

// Report is what an Explainer found. As JSON the names below are stable and others may be added;
// every list is present, also if empty, except those with "omitempty". Texts are printable ASCII,
// except for line ends in the text of a finding.
//
// In messages, read = records + paired + held + the sum of dropped. In output, sha256 is of the
// records (NmsgPayload messages) in their order, without their containers, which contain a random
// number.
type Report struct {
	Notice        string   `json:"notice"`
	Version       string   `json:"version"`
	Command       string   `json:"command"`
	Configuration string   `json:"configuration"`
	Inputs        []Input  `json:"inputs"`
	Problems      []string `json:"problems"` // why the report is incomplete

	Messages Messages         `json:"messages"`
	Few      []shortage.Cause `json:"few_records"` // reasons for which there are few records
	Packets  []PacketCount    `json:"packets"`     // counts of packets that are not 0

	Dropped     []Reason `json:"dropped"` // every reason, in the order of transform.Reasons
	Rules       []Rule   `json:"rules"`   // every rule, in the order of transform.Rules
	MostDropped []Zone   `json:"hiding"`
	Unmatched   []Entry  `json:"unmatched"`

	NeverCopied []Uncopied `json:"never_copied"`
	Output      []Output   `json:"output"`
	Verdicts    []Verdict  `json:"verdicts"` // canaries that were given, the resolver's addresses, then other items that were found
	Forbidden   []Kind     `json:"forbidden"`

	ResolverNetworks []string `json:"resolver_networks"` // the prefixes that were configured
	ResolverUnlisted int      `json:"resolver_unlisted"` // addresses that were searched for and have no verdict of their own
	ResolverMore     bool     `json:"resolver_more"`     // messages showed more addresses than are searched for

	Census *Census `json:"census,omitempty"` // absent unless Count was called

	Found bool `json:"found"` // something that must not leave was found: exit status 3
}

// Notice is the first line of a report.
const Notice = "This report shows what scrubbing takes out: names, addresses and times as they were before. " +
	"Keep it as you keep the input."

// Input is an input, as far as it could be read.
type Input struct {
	Name   string `json:"name"`
	Octets uint64 `json:"octets"`
	SHA256 string `json:"sha256,omitempty"` // absent for a socket
}

// Messages accounts for the messages that were read.
type Messages struct {
	Read    uint64 `json:"read"`
	Records uint64 `json:"records"`
	Paired  uint64 `json:"paired"`
	Held    uint64 `json:"held"`

	Examples []Example `json:"examples"` // of messages that became a record
}

// PacketCount is a count of packets.
type PacketCount struct {
	Count   string `json:"count"`
	Meaning string `json:"meaning"`
	N       uint64 `json:"n"`
}

// Reason is a reason for which messages were dropped.
type Reason struct {
	Reason   string    `json:"reason"`
	Meaning  string    `json:"meaning"`
	Messages uint64    `json:"messages"`
	Examples []Example `json:"examples"`
}

// Example is a message.
type Example struct {
	Name     string `json:"name,omitempty"` // of the question
	Type     string `json:"type,omitempty"`
	Server   string `json:"server,omitempty"`
	Time     string `json:"time,omitempty"`
	Response bool   `json:"response"`
}

// Rule is a scrub rule.
type Rule struct {
	Rule     string        `json:"rule"`
	Meaning  string        `json:"meaning"`
	Forbids  string        `json:"forbids,omitempty"` // the drop reason; empty: the rule changes records
	Records  uint64        `json:"records"`           // changed or forbidden by the rule
	Examples []RuleExample `json:"examples"`
}

// RuleExample is a message, and what a rule changed or found in it.
type RuleExample struct {
	Example
	Changes []Change `json:"changes"`
}

// Change is a part of a message before and after a rule.
type Change struct {
	What      string `json:"what"`
	Before    string `json:"before,omitempty"`
	After     string `json:"after,omitempty"`
	Entry     string `json:"entry,omitempty"` // of the configuration, which matched
	From      int    `json:"from"`            // octets From to To of the message; both 0: not in the message
	To        int    `json:"to"`
	BeforeHex string `json:"before_hex,omitempty"`
	AfterHex  string `json:"after_hex,omitempty"`
}

// Entry is an entry of the configuration that matched nothing.
type Entry struct {
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
}

// Uncopied is the value of a frame's field that is never copied. If its octets are found, that
// may be chance, because they may be part of any name.
type Uncopied struct {
	Field    string    `json:"field"`
	Value    string    `json:"value"`
	Frames   uint64    `json:"frames"`
	Searched bool      `json:"searched"` // false: too short
	Found    uint64    `json:"found"`    // output records
	Findings []Finding `json:"findings"`
}

// Output is the records of one message type.
type Output struct {
	Message    string `json:"message"`
	Records    uint64 `json:"records"`
	Containers uint64 `json:"containers"`
	Octets     uint64 `json:"octets"`
	Unreadable uint64 `json:"unreadable"` // records with a message that miekg/dns does not read, so that divided texts may be missed
	SHA256     string `json:"sha256"`
}

// Zone is a registered domain, and how many messages of it were dropped by rules that the zone's
// operator can cause to match by the contents of answers.
type Zone struct {
	Zone            string `json:"zone"`
	ResolverAddress uint64 `json:"resolver_address"`
	Lookup          uint64 `json:"lookup"`
	LocalNameInside uint64 `json:"local_name_inside"`
}

// Kind counts the records in which entries of one kind were found, in the forms and places
// that the policy forbids.
type Kind struct {
	Kind    string `json:"kind"`
	Entries int    `json:"entries"` // for client subnets: transactions that have one
	Found   uint64 `json:"found"`   // records with an entry
	Records uint64 `json:"records"` // searched
}

// Verdict reports whether the output contains an item. Items of the policy count in the forms
// and places that the policy forbids; given canaries count anywhere.
type Verdict struct {
	Verdict    string    `json:"verdict"` // in one line
	Canary     string    `json:"canary"`
	Kind       string    `json:"kind"`
	Resolver   bool      `json:"resolver"` // it is an address of the resolver
	Given      bool      `json:"given"`
	InMessages bool      `json:"told"` // messages contained it as the resolver's address
	Configured bool      `json:"configured"`
	Kept       bool      `json:"kept"`    // no fault: the policy keeps it, and it was not given
	Found      uint64    `json:"found"`   // output records
	Records    uint64    `json:"records"` // searched: those after it became known
	Outside    uint64    `json:"outside"` // containers that contain it outside their records
	Findings   []Finding `json:"findings"`
	Loose      uint64    `json:"loose"` // no fault: output records with its octets or text in another form or place
	Notes      []Finding `json:"notes"`
}

// Finding is an occurrence of an item.
type Finding struct {
	Message string `json:"message"` // type of the record; empty, and Record is 0, if it was searched before it was encoded
	Record  uint64 `json:"record"`  // from 1 in each message type
	Form    string `json:"form"`
	Place   string `json:"place"`
	Where   string `json:"where,omitempty"` // the resource record; empty for a canary that was found as octets
	Offset  int    `json:"offset"`
	Text    string `json:"text"`
}
