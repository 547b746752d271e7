package explain

// Report is all that an Explainer tells. As JSON the names below are stable, others may
// be added; every list is there, be it empty, but for what "omitempty" leaves out.
//
//	{
//	  "notice",
//	  "version", "command", "configuration", "inputs": [{"name", "octets", "sha256"}], "problems": [TEXT],
//	  "messages":  {"read", "records", "paired", "held", "examples": [EXAMPLE]},
//	  "dropped":   [{"reason", "meaning", "messages", "examples": [EXAMPLE]}],
//	  "rules":     [{"rule", "meaning", "forbids", "records", "examples": [EXAMPLE and "changes": [CHANGE]]}],
//	  "unmatched": [{"attribute", "value"}],
//	  "never_copied": [{"field", "value", "frames", "searched", "found", "findings": [FINDING]}],
//	  "output":    [{"message", "records", "containers", "octets", "unreadable", "sha256"}],
//	  "verdicts":  [{"verdict", "canary", "resolver", "given", "told", "configured", "kept", "found", "records",
//	                 "outside", "findings": [FINDING]}],
//	  "resolver_networks": [PREFIX], "resolver_more",
//	  "census": {"unreadable", and what package census documents},
//	  "found"
//	}
//
// EXAMPLE is {"name", "type", "server", "time", "response"}. CHANGE is {"what", "before",
// "after", "from", "to", "before_hex", "after_hex"}: octets of the message from the one to
// before the other. FINDING is {"message", "record", "form", "place", "offset", "text"},
// the record's number counted from 1 in its message type. Texts are printable ASCII, but
// for line ends in that of a finding.
//
// In messages, read = records + paired + held + the sum of dropped. The sum of sha256 in
// output is over the records (NmsgPayload messages), one behind the other: the containers
// around them bear a number that is drawn anew each time.
type Report struct {
	Notice        string   `json:"notice"`
	Version       string   `json:"version"`
	Command       string   `json:"command"`
	Configuration string   `json:"configuration"`
	Inputs        []Input  `json:"inputs"`
	Problems      []string `json:"problems"` // for which this is not the whole truth

	Messages  Messages `json:"messages"`
	Dropped   []Reason `json:"dropped"` // every reason that there is, in the order of transform.Reasons
	Rules     []Rule   `json:"rules"`   // every rule that there is, in the order of transform.Rules
	Unmatched []Entry  `json:"unmatched"`

	NeverCopied []Beside  `json:"never_copied"`
	Output      []Output  `json:"output"`
	Verdicts    []Verdict `json:"verdicts"` // those that were asked for, then the resolver's addresses

	// Of the resolver's addresses, those that are not searched for one by one: networks,
	// and more than are remembered.
	ResolverNetworks []string `json:"resolver_networks"`
	ResolverMore     bool     `json:"resolver_more"`

	Census *Census `json:"census,omitempty"` // unless it was not asked for

	Found bool `json:"found"` // what must not be there is there: exit status 3
}

// Notice is what whoever gets a report must know first.
const Notice = "This report shows what scrubbing takes out: names, addresses and times as they were before. " +
	"Keep it as you keep the input."

// Input is one that was read, or as much of it as there was.
type Input struct {
	Name   string `json:"name"`
	Octets uint64 `json:"octets"`
	SHA256 string `json:"sha256,omitempty"` // none of a socket
}

// Messages accounts for what was read.
type Messages struct {
	Read    uint64 `json:"read"`
	Records uint64 `json:"records"`
	Paired  uint64 `json:"paired"`
	Held    uint64 `json:"held"`

	Examples []Example `json:"examples"` // of those that became a record
}

// Reason is why messages made no record.
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
	Forbids  string        `json:"forbids,omitempty"` // the reason; empty: it changes
	Records  uint64        `json:"records"`           // that it changed, or forbade
	Examples []RuleExample `json:"examples"`
}

// RuleExample is a message, and what a rule did with it.
type RuleExample struct {
	Example
	Changes []Change `json:"changes"`
}

// Change is what stood somewhere, and what has come in its place.
type Change struct {
	What      string `json:"what"`
	Before    string `json:"before,omitempty"`
	After     string `json:"after,omitempty"`
	From      int    `json:"from"` // octets of the message; both 0: beside it
	To        int    `json:"to"`
	BeforeHex string `json:"before_hex,omitempty"`
	AfterHex  string `json:"after_hex,omitempty"`
}

// Entry is what is written in the configuration and matched nothing.
type Entry struct {
	Attribute string `json:"attribute"`
	Value     string `json:"value"`
}

// Beside is a value that frames told beside their message. That its octets are found means
// less than with others: they may be part of any name.
type Beside struct {
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
	Unreadable uint64 `json:"unreadable"` // records with a message that miekg/dns does not read: some texts are not put together in them
	SHA256     string `json:"sha256"`
}

// Verdict is whether a canary is in what left.
type Verdict struct {
	Verdict    string    `json:"verdict"` // in one line
	Canary     string    `json:"canary"`
	Resolver   bool      `json:"resolver"` // its address: as messages or the configuration tell
	Given      bool      `json:"given"`
	Told       bool      `json:"told"`
	Configured bool      `json:"configured"`
	Kept       bool      `json:"kept"`    // the policy keeps it, and nobody asked for it: found, it is no fault
	Found      uint64    `json:"found"`   // output records
	Records    uint64    `json:"records"` // of so many: those since it was known
	Outside    uint64    `json:"outside"` // containers in which it stands beside the records
	Findings   []Finding `json:"findings"`
}

// Finding is where a canary was found.
type Finding struct {
	Message string `json:"message"`
	Record  uint64 `json:"record"`
	Form    string `json:"form"`
	Place   string `json:"place"`
	Offset  int    `json:"offset"`
	Text    string `json:"text"`
}
