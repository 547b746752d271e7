package explain

import (
	"reflect"
	"strings"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/census"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A recordCensus counts the names and texts of records.
type recordCensus struct {
	*census.Census
	plain      bool   // examples are not masked
	unreadable uint64 // records with a message that miekg/dns does not read
}

// Census is the census of a report.
type Census struct {
	*census.Report
	Unreadable uint64 `json:"unreadable"` // records of which only question and zone were examined
}

// EnableCensus makes the Explainer count the names and texts of records that may identify a person. It
// is called before the first message. Examples are masked unless plain.
func (e *Explainer) EnableCensus(plain bool) {
	var local []string
	for _, entry := range e.policy.LocalNames {
		if parsed, err := transform.ParseLocalName(entry); err == nil { // else the policy is refused
			local = append(local, parsed)
		}
	}
	e.census = &recordCensus{Census: census.New(local), plain: plain}
}

// take counts the record that was made of a message, if any.
func (c *recordCensus) take(v *transform.Verdict) {
	if c == nil || v.Record == nil {
		return
	}
	c.Record(int64(v.Time))
	c.QueryName(presented(v.Record.Name))
	if len(v.Record.Zone) > 0 {
		c.Name(presented(v.Record.Zone))
	}
	if !v.Record.HasResponse {
		return
	}
	var m dns.Msg
	if m.Unpack(v.Record.Response) != nil {
		c.unreadable++
		return
	}
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			c.record(rr)
		}
	}
}

// record counts the names and texts of a resource record, except the owners of NSEC3. These are
// hashes of names (RFC 5155), which every client can query from the zone.
func (c *recordCensus) record(rr dns.RR) {
	sig, _ := rr.(*dns.RRSIG)
	if rr.Header().Rrtype != dns.TypeNSEC3 && (sig == nil || sig.TypeCovered != dns.TypeNSEC3) {
		c.Name(rr.Header().Name)
	}
	switch rr := rr.(type) {
	case *dns.SOA:
		c.Mailbox(rr.Mbox)
	case *dns.RP:
		c.Mailbox(rr.Mbox)
	}
	c.fields(reflect.ValueOf(rr).Elem())
}

// fields counts the fields of a struct of miekg/dns, whose tags distinguish names, texts and
// octets for every type of record.
func (c *recordCensus) fields(rr reflect.Value) {
	for i := range rr.NumField() {
		field, is := rr.Field(i), rr.Type().Field(i)
		switch tag := is.Tag.Get("dns"); {
		case is.Name == "Hdr":
		case is.Anonymous: // HTTPS embeds SVCB
			c.fields(field)
		case strings.HasSuffix(tag, "domain-name"), tag == "ipsechost", tag == "amtrelayhost":
			for _, name := range strs(field) {
				c.Name(name)
			}
		case tag == "txt", tag == "octet", tag == "":
			if text := strings.Join(strs(field), ""); text != "" {
				c.Text(text)
			}
		case tag == "pairs":
			for _, pair := range field.Interface().([]dns.SVCBKeyValue) {
				c.Text(pair.String())
			}
		}
	}
}

// strs returns the strings of a field: one, several, or none if it is a number.
func strs(field reflect.Value) []string {
	switch v := field.Interface().(type) {
	case string:
		return []string{v}
	case []string:
		return v
	}
	return nil
}

func (c *recordCensus) report() *Census {
	if c == nil {
		return nil
	}
	return &Census{c.Report(c.plain), c.unreadable}
}

func (t *text) census(c *Census) {
	if c == nil {
		return
	}
	t.heading("WHICH NAMES MAY IDENTIFY A PERSON")
	t.b.WriteString(c.Text())
	t.line("What a gate (release) would hold back cannot be judged from dnstap and packets, which have no NMSG source ids: give --census the NMSG files of several sensors.")
	if c.Unreadable > 0 {
		t.line("Of %d records, only question and zone were examined: miekg/dns does not read their messages.", c.Unreadable)
	}
}
