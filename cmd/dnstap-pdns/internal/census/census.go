package census

import (
	"slices"
	"strings"
)

// A Census counts the names and texts of records, by kind.
type Census struct {
	own     map[string]bool // local names with dashes for dots
	ownMost int             // most pieces between dashes in one of these
	dynamic map[string]bool // see dynamicSuffixes

	names, texts distinct
	records      uint64
	at           int64 // time of the present record
	seen         kinds // kinds in the present record
	found        [numKinds]found
}

// found counts the records with a kind.
type found struct {
	records  uint64
	examples []example
}

// An example is a name or a part of a text.
type example struct{ plain, masked string }

const (
	maxExamples    = 3
	longestExample = 100 // characters of a text
)

// New returns a Census. localNames are A-labels without the final dot, in lower case.
func New(localNames []string) *Census {
	c := &Census{own: map[string]bool{}, dynamic: dynamicSuffixes()}
	for _, local := range localNames {
		if dashed := strings.ReplaceAll(local, ".", "-"); strings.Contains(local, ".") {
			c.own[dashed] = true
			c.ownMost = max(c.ownMost, strings.Count(dashed, "-")+1)
		}
	}
	return c
}

// Record begins a record of this time in nanoseconds. The following calls pass its names, in zone
// file form, and its texts.
func (c *Census) Record(at int64) {
	c.records++
	c.at, c.seen = at, 0
}

// QueryName counts the record's query name.
func (c *Census) QueryName(text string) {
	if n, e := c.name(text); e != nil {
		e.query(n.text, c.at)
	}
}

// Name counts a name in the record that is neither its query name nor a mailbox.
func (c *Census) Name(text string) { c.name(text) }

// Mailbox counts a name whose first label is the local part of a mail address (RFC 1035 section
// 8).
func (c *Census) Mailbox(text string) {
	n, e := c.name(text)
	if len(n.labels) < 2 || isRole(n.labels[0]) {
		return
	}
	if e != nil {
		e.kinds = e.kinds.with(mailAddress)
	}
	c.countKind(mailAddress, n.text, n.masked)
}

func (c *Census) name(text string) (name, *entry) {
	n := parseName(text)
	if n.text == "" { // the root
		return n, nil
	}
	e, k := c.names.entry(n.text, func() kinds { return c.judge(n) })
	for kind := range numKinds {
		if k.has(kind) {
			c.countKind(kind, n.text, n.masked)
		}
	}
	return n, e
}

// Text counts a text. It may have the escapes of zone files: Text finds the same without them.
func (c *Census) Text(text string) {
	var k kinds
	for kind, all := range map[kind][]string{webToken: tokens(text), mailAddress: mails(text), telephone: phones(text)} {
		for _, match := range all {
			k = k.with(kind)
			match = match[:min(len(match), longestExample)]
			c.countKind(kind, match, func() string { return mask(match) })
		}
	}
	c.texts.entry(text, func() kinds { return k })
}

// countKind counts the present record under a kind, unless it did so before, and keeps the
// example if its masked form is new.
func (c *Census) countKind(k kind, plain string, masked func() string) {
	f := &c.found[k]
	if !c.seen.has(k) {
		c.seen = c.seen.with(k)
		f.records++
	}
	if len(f.examples) == maxExamples {
		return
	}
	x := example{plain, masked()}
	if !slices.ContainsFunc(f.examples, func(have example) bool { return have.masked == x.masked }) {
		f.examples = append(f.examples, x)
	}
}

// judge returns the kinds of a name.
func (c *Census) judge(n name) kinds {
	var k kinds
	if c.isDynamic(n.text) {
		k = k.with(dynamicDNS)
	}
	switch {
	case isReverse(n.labels):
		k = k.with(reverseName)
	case spellsAddress(n.labels):
		k = k.with(address)
	}
	if spellsMAC(n.labels) {
		k = k.with(macAddress)
	}
	if spellsPhone(n.labels) {
		k = k.with(telephone)
	}
	for i, label := range n.labels {
		if i+1 < len(n.labels) {
			k |= contactIn(label)
		}
		if c.isOwn(label) {
			k = k.with(ownHost)
		}
		isSelector := i+1 < len(n.labels) && n.labels[i+1] == "_domainkey"
		if kind, is := identifier(label, n.isHinted); is && !isSelector {
			k = k.with(kind)
		}
	}
	return k
}

// contactIn returns the kinds of contact that a label contains: mail address and telephone number.
func contactIn(label string) (k kinds) {
	if isMailLabel(label) {
		k = k.with(mailAddress)
	}
	if len(phones(label)) > 0 {
		k = k.with(telephone)
	}
	return k
}

const (
	shortestIdentifier = 8  // an IPv4 address that isIPv4 accepts: 1-1-1-32
	longestLabel       = 63 // RFC 1035 section 2.3.4; no message contains a longer one
)

// identifier returns the first kind of address, number or random text that a label is or contains.
func identifier(label string, hinted func() bool) (kind, bool) {
	if len(label) < shortestIdentifier || len(label) > longestLabel {
		return 0, false
	}
	switch hex := longHexForm.FindStringSubmatch(label); {
	case beginsToken(label):
		return webToken, true
	case uuidForm.MatchString(label):
		return uuid, true
	case hex != nil && isIPv6Hex(hex[1]):
		return address, true
	case hex != nil && mixed(hex[1]):
		return longHex, true
	case macInLabel(label):
		return macAddress, true
	case inLabel(label, hinted):
		return address, true
	case looksRandom(label):
		return randomLabel, true
	}
	return 0, false
}

// isOwn reports whether a label contains a local name with dashes for dots.
func (c *Census) isOwn(label string) bool {
	if len(c.own) == 0 {
		return false
	}
	pieces := strings.Split(label, "-")
	for i := range pieces {
		for n := 2; n <= c.ownMost && i+n <= len(pieces); n++ {
			if c.own[strings.Join(pieces[i:i+n], "-")] {
				return true
			}
		}
	}
	return false
}

// isDynamic reports whether a name is below a dynamic DNS provider's suffix.
func (c *Census) isDynamic(text string) bool {
	for {
		_, above, found := strings.Cut(text, ".")
		if !found {
			return false
		}
		if c.dynamic[above] {
			return true
		}
		text = above
	}
}
