// Package workload makes the loads of benchmarks from captures of real resolvers: dnstap frames,
// and packets of the same transactions. It must not know how a sensor works, except what
// [Pairs] leaves out because no record is made of it.
package workload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
)

// A Pair is a query and its response as a resolver reported them.
type Pair struct{ Query, Response *dnstap.Dnstap }

// Pairs returns the transactions of captures that become records: complete, to public servers,
// and with a name whose letters can be changed.
func Pairs(captures ...string) (pairs []Pair, err error) {
	for _, capture := range captures {
		frames, err := readCapture(capture)
		if err != nil {
			return nil, err
		}
		pairs = appendPairs(pairs, frames)
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%v contain no outward pair", captures)
	}
	return pairs, nil
}

func appendPairs(pairs []Pair, frames []*dnstap.Dnstap) []Pair {
	pending := make(map[string]*dnstap.Dnstap)
	for _, d := range frames {
		wire := wireOf(d)
		m := new(dns.Msg)
		if err := m.Unpack(wire); err != nil || len(m.Question) != 1 {
			continue
		}
		key := fmt.Sprintf("%x %d %v", d.Message.ResponseAddress, m.Id, m.Question[0])
		switch d.Message.GetType() {
		case dnstap.Message_RESOLVER_QUERY:
			pending[key] = d
		case dnstap.Message_RESOLVER_RESPONSE:
			query := pending[key]
			if query != nil && becomesRecord(d.Message.ResponseAddress, m) {
				pairs = append(pairs, Pair{query, d})
			}
		}
	}
	return pairs
}

// wireOf returns the DNS message of a frame.
func wireOf(d *dnstap.Dnstap) []byte {
	if isResponse(d) {
		return d.Message.GetResponseMessage()
	}
	return d.Message.GetQueryMessage()
}

func isResponse(d *dnstap.Dnstap) bool {
	return d.Message.GetType() == dnstap.Message_RESOLVER_RESPONSE
}

// becomesRecord reports whether a response becomes a record with the default policy, also if the
// first label of its name is changed.
func becomesRecord(server []byte, m *dns.Msg) bool {
	name := dns.CanonicalName(m.Question[0].Name)
	inside := func(zone string) bool { return dns.IsSubDomain(zone, name) }
	local := server[0] == 10 || slices.ContainsFunc([]string{"home.arpa.", "10.in-addr.arpa.", "168.192.in-addr.arpa."}, inside)
	underNoTLD := m.Rcode == dns.RcodeNameError && len(m.Ns) > 0 && m.Ns[0].Header().Name == "."
	return !local && !underNoTLD && !m.RecursionDesired && !m.Truncated && name != "."
}

func readCapture(file string) ([]*dnstap.Dnstap, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := dnstap.NewReader(f, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var all []*dnstap.Dnstap
	for d := dnstap.NewDecoder(r, 1<<20); ; {
		frame := new(dnstap.Dnstap)
		switch err := d.Decode(frame); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		all = append(all, frame)
	}
}
