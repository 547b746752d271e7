package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/census"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// nmsgInputs returns how many inputs are NMSG files. Standard input and sockets are not read for that.
func nmsgInputs(inputs []string) (n int) {
	for _, input := range inputs {
		if input == "-" || isSocket(input) {
			continue
		}
		f, err := openInput(input)
		if err != nil {
			continue // the reader reports it
		}
		magic := make([]byte, len(nmsg.Magic))
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			if _, err := io.ReadFull(f, magic); err == nil && string(magic) == nmsg.Magic {
				n++
			}
		}
		f.Close()
	}
	return n
}

// A gateCensus counts the RRsets in NMSG files of several sensors.
type gateCensus struct {
	*census.Gate
	table *rrset.Table // of one RRset, which makes it what a collection would see
	from  uint32       // source of the present RRset
	other uint64       // messages that are not expirations of RRsets
}

// runGateCensus prints what a gate would hold back of what NMSG files contain.
func runGateCensus(ctx context.Context, inputs []string, asJSON bool, out io.Writer) error {
	c := &gateCensus{Gate: census.NewGate()}
	limits := rrset.Limits{Window: 1, MaxEntries: 1, MaxBytes: rrset.MinBytes}
	var err error
	if c.table, err = rrset.NewTable(limits, c.count); err != nil {
		return err
	}
	var errs []error
	for _, input := range inputs {
		if err := c.read(ctx, input); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", conf.Escape(input), err))
		}
	}
	r := c.Report()
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return errors.Join(append(errs, e.Encode(struct {
			*census.GateReport
			Other uint64 `json:"other_messages"`
		}{r, c.other}))...)
	}
	_, err = io.WriteString(out, r.Text())
	if c.other > 0 && err == nil {
		_, err = fmt.Fprintf(out, "\n%d messages are not RRsets that were verified and counted (dnsdedupe, EXPIRATION), and were not examined.\n", c.other)
	}
	return errors.Join(append(errs, err)...)
}

func (c *gateCensus) read(ctx context.Context, input string) error {
	f, err := openInput(input)
	if err != nil {
		return err
	}
	defer f.Close()
	var damaged error
	for r := nmsg.NewReader(f); ctx.Err() == nil; {
		m, err := r.Next()
		switch _, isDamage := errors.AsType[*nmsg.DamageError](err); {
		case err == io.EOF:
			return damaged
		case isDamage:
			if damaged == nil {
				damaged = err
			}
		case err != nil:
			return err
		default:
			c.take(&m)
		}
	}
	return context.Cause(ctx)
}

// take counts the RRset of a message.
func (c *gateCensus) take(m *nmsg.Message) {
	if _, name, ok := m.Name(); !ok || name != "dnsdedupe" {
		c.other++
		return
	}
	d, err := nmsg.DecodeDNSDedupe(m.Data)
	a, ok := d.Aggregate()
	if err != nil || !ok || a.Event != rrset.Expiration {
		c.other++
		return
	}
	c.from = m.Source
	if c.table.Observe(&a.RRset, a.Sighting, m.Source, 0) != nil {
		c.other++
	}
	c.table.Flush()
}

// count counts an RRset as the table emits it: valid, and with sorted rdata.
func (c *gateCensus) count(a *rrset.Aggregate) {
	identity := fmt.Appendf(nil, "%d %d %d %s", a.Type, a.Class, len(a.Bailiwick), a.Name)
	for _, r := range a.Rdata {
		identity = fmt.Appendf(identity, "%d %s", len(r), r)
	}
	var addresses [][]byte
	if a.Class == dns.ClassINET && (a.Type == dns.TypeA || a.Type == dns.TypeAAAA) {
		addresses = a.Rdata
	}
	c.RRset(c.from, identity, transform.RegisteredDomain(a.Name), addresses)
}
