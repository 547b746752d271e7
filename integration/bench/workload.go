package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

const (
	// inFlight is how many queries are sent before their responses.
	inFlight = 16
	// queryInterval is the time between two queries in the messages.
	queryInterval = 50 * time.Microsecond
)

// pair is a query and its response as logged by a resolver.
type pair struct{ query, response *dnstap.Dnstap }

// writeWorkload writes frames made from a capture's outward pairs: the same names, answers and
// sizes, each time with another DNS ID, other letters in the first label of the name, and later
// times.
func writeWorkload(capture, file string, frames int) error {
	pairs, err := outwardPairs(capture)
	if err != nil {
		return err
	}
	return writeFrames(file, func(write func(*dnstap.Dnstap) error) error {
		for from := 0; from < frames/2; from += inFlight {
			to := min(from+inFlight, frames/2)
			for i := from; i < to; i++ {
				if err := write(variant(pairs[i%len(pairs)].query, i)); err != nil {
					return err
				}
			}
			for i := from; i < to; i++ {
				if err := write(variant(pairs[i%len(pairs)].response, i)); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// writeQueries writes queries without responses, all different: the variants of queries in the
// capture with the numbers from first on.
func writeQueries(capture, file string, first, queries int) error {
	pairs, err := outwardPairs(capture)
	if err != nil {
		return err
	}
	return writeFrames(file, func(write func(*dnstap.Dnstap) error) error {
		for i := range queries {
			if err := write(variant(pairs[i%len(pairs)].query, first+i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeFrames(file string, produce func(write func(*dnstap.Dnstap) error) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	var buf []byte
	err = produce(func(d *dnstap.Dnstap) error {
		buf, err = proto.MarshalOptions{}.MarshalAppend(append(buf[:0], 0, 0, 0, 0), d)
		if err != nil {
			return err
		}
		binary.BigEndian.PutUint32(buf, uint32(len(buf)-4))
		_, err = w.Write(buf)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// outwardPairs returns the pairs that become records: complete, to public servers, and with a
// name whose letters can be changed.
func outwardPairs(capture string) ([]pair, error) {
	all, err := readCapture(capture)
	if err != nil {
		return nil, err
	}
	var pairs []pair
	pending := make(map[string]*dnstap.Dnstap)
	for _, d := range all {
		wire := d.Message.GetQueryMessage()
		if d.Message.GetType() == dnstap.Message_RESOLVER_RESPONSE {
			wire = d.Message.GetResponseMessage()
		}
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
				pairs = append(pairs, pair{query, d})
			}
		}
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%s contains no outward pair", capture)
	}
	return pairs, nil
}

// becomesRecord reports whether a response becomes a record with the default policy, also if the
// first label of its name is changed.
func becomesRecord(server []byte, m *dns.Msg) bool {
	local := server[0] == 10 || dns.IsSubDomain("home.arpa.", dns.CanonicalName(m.Question[0].Name))
	underNoTLD := m.Rcode == dns.RcodeNameError && len(m.Ns) > 0 && m.Ns[0].Header().Name == "."
	return !local && !underNoTLD && !m.Truncated && m.Question[0].Name != "."
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

// variant returns the i-th variant of a frame: setVariant's of its messages, at a later time.
func variant(d *dnstap.Dnstap, i int) *dnstap.Dnstap {
	d = proto.Clone(d).(*dnstap.Dnstap)
	m := d.Message
	shift := time.Duration(i) * queryInterval
	start := time.Unix(1_800_000_000, 0)
	m.QueryTimeSec, m.QueryTimeNsec = instant(start.Add(shift))
	if m.ResponseTimeSec != nil {
		m.ResponseTimeSec, m.ResponseTimeNsec = instant(start.Add(shift + 10*queryInterval))
	}
	setVariant(m.QueryMessage, i)
	setVariant(m.ResponseMessage, i)
	return d
}

func instant(t time.Time) (*uint64, *uint32) {
	return proto.Uint64(uint64(t.Unix())), proto.Uint32(uint32(t.Nanosecond()))
}

// setVariant sets the i-th variant of a DNS message: its ID and the first label of its question.
func setVariant(wire []byte, i int) {
	const questionAt = 12
	if wire == nil {
		return
	}
	binary.BigEndian.PutUint16(wire, uint16(i))
	label := wire[questionAt+1:][:wire[questionAt]]
	for at := range label {
		label[at] = 'a' + byte(i%26)
		i /= 26
	}
}
