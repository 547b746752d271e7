package integration

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
	"github.com/miekg/dns"
)

// output is the output of a sink, a file or concatenated datagrams, with its content.
type output struct {
	bytes    []byte
	sequence uint64 // the sequence ID; 0 if there is no container
	records  []nmsgcheck.Record
}

// written reads the files of a file sink, which must be complete.
func (s *sensor) written(t *testing.T, sink string) output {
	t.Helper()
	return readOutput(t, s.octets(t, sink))
}

// octets returns the content of a file sink's files, which must all be finished.
func (s *sensor) octets(t *testing.T, sink string) []byte {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, sink))
	if err != nil {
		t.Fatal(err)
	}
	stem := func(e os.DirEntry) string { return strings.TrimSuffix(e.Name(), ".nmsg") }
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(stem(a), stem(b)) }) // NAME before NAME-1, of the same second
	var all []byte
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".nmsg") {
			t.Errorf("%s contains an unfinished file: %s", sink, e.Name())
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.dir, sink, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	return all
}

// readOutput is readOutputs for one sequence. Tests read outputs only with these functions.
func readOutput(t *testing.T, data []byte) output {
	t.Helper()
	return readOutputs(t, data, 1)
}

// readOutputs decodes every record with several readers. It checks that the containers belong
// to at most that many sequences without gaps; a reload may start a new sequence.
func readOutputs(t *testing.T, data []byte, sequences int) output {
	t.Helper()
	containers, o := readPart(t, data)
	if len(containers) > 0 {
		o.sequence = containers[0].SequenceID
	}
	next := map[uint64]uint32{}
	for i, c := range containers {
		if !c.Sequenced || c.Sequence != next[c.SequenceID] {
			t.Errorf("container %d has sequence %d of %x, want %d", i, c.Sequence, c.SequenceID, next[c.SequenceID])
		}
		next[c.SequenceID] = c.Sequence + 1
	}
	if len(next) > sequences {
		t.Errorf("%d sequences, want %d", len(next), sequences)
	}
	return o
}

// readPart is readOutputs for a part of an output, whose sequence is not checked.
func readPart(t *testing.T, data []byte) ([]nmsgcheck.Container, output) {
	t.Helper()
	containers, records := decodeAll(t, data)
	checkIndependently(t, data, containers, records)
	return containers, output{bytes: data, records: records}
}

// readGaps is readPart for containers that may be missing or repeated.
func readGaps(t *testing.T, data []byte) ([]nmsgcheck.Container, output) {
	t.Helper()
	containers, records := decodeAll(t, data)
	checkReaders(t, data, records)
	return containers, output{bytes: data, records: records}
}

func decodeAll(t *testing.T, data []byte) (containers []nmsgcheck.Container, records []nmsgcheck.Record) {
	t.Helper()
	containers, err := nmsgcheck.Containers(data)
	if err != nil {
		t.Fatalf("output: %v", err)
	}
	for i, c := range containers {
		for _, p := range c.Payloads {
			r, err := nmsgcheck.Decode(p)
			if err != nil {
				t.Fatalf("container %d: %v", i, err)
			}
			records = append(records, r)
		}
	}
	return containers, records
}

// key identifies the subject of a record.
type key struct {
	server netip.Addr
	name   string
	qtype  uint16
}

func (k key) String() string {
	return fmt.Sprintf("%s %s from %s", k.name, dns.TypeToString[k.qtype], k.server)
}

func keyOf(r nmsgcheck.Record) key { return key{r.Server, r.Name, r.Type} }

// checkRecords checks each record against the zones and the scrub rules.
func checkRecords(t *testing.T, zones *lab.Zones, o output) {
	t.Helper()
	for _, r := range o.records {
		if err := r.CheckScrubbed(); err != nil {
			t.Error(err)
		}
	}
	checkZones(t, zones, o)
}

// checkZones checks each record against the zones only.
func checkZones(t *testing.T, zones *lab.Zones, o output) {
	t.Helper()
	for _, r := range o.records {
		if r.Response == nil {
			t.Errorf("%s: a record without a response", keyOf(r))
			continue
		}
		if err := zones.Check(r.Server, r.Response); err != nil {
			t.Error(err)
		}
		for _, apex := range localNames {
			if dns.IsSubDomain(apex, r.Name) {
				t.Errorf("%s: a record of a local name", keyOf(r))
			}
		}
	}
}

// localNames lists the names that must not leave, with the names below them: the site's own,
// special names, one that is under no TLD, and a query of a block list.
var localNames = []string{"corp.example.", "10.in-addr.arpa.", "home.arpa.", "local.", "nosuchtld.", "intranet.shop.com.", "version.bind.",
	"4.3.2.1.zen.shop.com."}

// checkNothingLeaked searches an output for secrets, as text, in wire form and as address
// bytes. Addresses of public servers are not secret, but that of the corporate server is.
func checkNothingLeaked(t *testing.T, o output) {
	t.Helper()
	lower := bytes.ToLower(o.bytes)
	for _, secret := range []string{lab.Resolver4, lab.Resolver6, lab.ResolverListens, lab.Client1, lab.Client2, lab.Corporate} {
		checkAddressAbsent(t, o, secret)
	}
	for _, secret := range []string{"corp.example.", lab.Identity + ".", "intranet.shop.com."} {
		if bytes.Contains(lower, []byte(strings.TrimSuffix(secret, "."))) || bytes.Contains(lower, labels(t, secret)) {
			t.Errorf("the output contains %s", secret)
		}
	}
	for _, version := range []string{"unbound", "bind 9", "powerdns", "knot resolver"} {
		if bytes.Contains(lower, []byte(version)) {
			t.Errorf("the output contains a resolver's version: %s", version)
		}
	}
}

// checkAddressAbsent searches an output for an address in every form.
func checkAddressAbsent(t *testing.T, o output, address string) {
	t.Helper()
	lower := bytes.ToLower(o.bytes)
	a := netip.MustParseAddr(address)
	reverse, err := dns.ReverseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	for form, b := range map[string][]byte{
		"as text": []byte(address), "as bytes": a.AsSlice(), "in full": []byte(a.StringExpanded()),
		"reversed": []byte(reverse), "reversed in labels": labels(t, reverse),
	} {
		if bytes.Contains(lower, b) {
			t.Errorf("the output contains %s %s", address, form)
		}
	}
}

// labels returns a name in wire form without the root label.
func labels(t *testing.T, name string) []byte {
	t.Helper()
	wire := make([]byte, 255)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return wire[:n-1]
}

// checkExpected checks that the questions have records: each one that a public server answers
// and that is not about a local name, from a server that answers it itself.
func checkExpected(t *testing.T, zones *lab.Zones, o output, asked []lab.Question) {
	t.Helper()
	for _, q := range asked {
		name := dns.CanonicalName(q.Name)
		servers, truth := zones.Resolve(name, q.Type)
		// A resolver may know NS records from the authority section of other answers.
		if len(servers) == 0 || isLocalName(name) || q.Type == dns.TypeNS {
			continue
		}
		// A resolver that knows a CNAME of a name does not ask for other types of that name.
		alias := len(truth.Answer) > 0 && truth.Answer[0].Header().Rrtype == dns.TypeCNAME
		answers := func(r nmsgcheck.Record) bool {
			return r.Name == name && (r.Type == q.Type || alias) && (slices.Contains(servers, r.Server) || zones.AnswersItself(r.Server, name, q.Type))
		}
		if !slices.ContainsFunc(o.records, answers) {
			t.Errorf("no record of %s %s from any of %v", name, dns.TypeToString[q.Type], servers)
		}
	}
}

func isLocalName(name string) bool {
	for _, apex := range localNames {
		if dns.IsSubDomain(apex, name) {
			return true
		}
	}
	return false
}

// countRecords counts the payloads of whole containers.
func countRecords(t *testing.T, data []byte) (n uint64) {
	t.Helper()
	containers, err := nmsgcheck.Containers(data)
	if err != nil {
		t.Error(err)
	}
	for _, c := range containers {
		n += uint64(len(c.Payloads))
	}
	return n
}
