package present

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// dedupe writes a SIE:dnsdedupe message: a line with its type, bailiwick, times and count, and
// then the RRset.
func (w *textWriter) dedupe(m nmsg.Message) error {
	d, err := nmsg.DecodeDNSDedupe(m.Data)
	if err != nil {
		return err
	}
	if d.Typed {
		w.word(d.Type.String())
	}
	if d.Bailiwick != nil {
		w.name(" bailiwick=", d.Bailiwick)
	}
	w.seconds("first", d.TimeFirst)
	w.seconds("last", d.TimeLast)
	w.seconds("zone_first", d.ZoneTimeFirst)
	w.seconds("zone_last", d.ZoneTimeLast)
	if d.Count != nil {
		w.printf(" count=%d", *d.Count)
	}
	if d.ResponseIP.IsValid() {
		w.word("server=")
		w.b = dnstext.AppendAddr(w.b, d.ResponseIP)
	}
	w.ids(m)
	w.printf("\n")
	w.dedupeRecords(&d)
	return nil
}

// seconds writes a time, unless it is absent.
func (w *textWriter) seconds(key string, t *uint32) {
	if t != nil {
		w.printf(" %s=%s", key, time.Unix(int64(*t), 0).UTC().Format(time.RFC3339))
	}
}

func (w *textWriter) dedupeRecords(d *nmsg.Dedupe) {
	typ, class, ttl := uint16(valueOf(d.RRType)), uint16(valueOf(d.RRClass)), valueOf(d.RRTTL)
	for _, r := range d.RData {
		w.name("  ", d.RRName)
		w.printf(" %d %s %s ", ttl, dnstext.Class(class), dnstext.Type(typ))
		w.b = dnstext.AppendRdata(w.b, typ, class, r, dnstext.Zone)
		w.printf("\n")
	}
}

// valueOf returns the value of a field, or 0 if it is absent.
func valueOf(field *uint32) uint32 {
	if field == nil {
		return 0
	}
	return *field
}
