package nmsg_test

import (
	"bytes"
	"errors"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/cof"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgjson"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A rig does with records and RRsets what the packages after a Kafka source do.
type rig struct {
	t              *testing.T // of the current input
	decoder, again nmsg.Decoder
	json           nmsgjson.Encoder
	verifier       *rrset.Verifier
	table          *rrset.Table
}

func newRig(t testing.TB) *rig {
	r := &rig{verifier: rrset.NewVerifier(rrset.Config{Wait: time.Minute, MaxHeld: 1 << 20}, rrset.NewDelegations(nil, 1<<20))}
	var err error
	if r.table, err = rrset.NewTable(rrset.Limits{Window: time.Minute, MaxEntries: 64, MaxBytes: rrset.MinBytes}, func(a *rrset.Aggregate) {
		for _, p := range []cof.Profile{cof.Draft, cof.CIRCL} {
			nmsgtest.CheckPlain(r.t, append(cof.Append(nil, p, 1, a), "\n"...))
		}
		if _, _, err := nmsg.AppendDNSDedupe(nil, nmsg.IDs{}, a); err != nil && !errors.Is(err, nmsg.ErrTooBig) {
			r.t.Fatal(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

// record checks that a record is written in every format, that what was written is read as the same
// record again, and that a Verifier takes it.
func (g *rig) record(r *transform.Record) {
	t := g.t
	for _, typ := range nmsg.MessageTypes() {
		if !typ.Accepts(r) {
			continue
		}
		b, m, err := nmsg.AppendMessage(nil, typ, nmsg.IDs{}, r)
		if errors.Is(err, nmsg.ErrTooBig) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		line, err := g.json.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		nmsgtest.CheckPlain(t, line)
		read, err := g.again.Record(&m)
		if err != nil {
			t.Fatalf("%v: %v: %+v", typ, err, r)
		}
		if b2, _, err := nmsg.AppendMessage(nil, typ, nmsg.IDs{}, read); err != nil || !bytes.Equal(b, b2) {
			t.Fatalf("%v, %v: written as %x, and again as %x", typ, err, b, b2)
		}
	}
	g.verifier.Take(r, 0, func(set *rrset.RRset, _ transform.Time, _ uint32) { g.observe(set, rrset.Sighting{Count: 1}) })
	g.table.Flush()
}

func (g *rig) observe(set *rrset.RRset, seen rrset.Sighting) {
	err := g.table.Observe(set, seen, 0, 0)
	if err != nil && !errors.Is(err, rrset.ErrTooBig) && !errors.Is(err, rrset.ErrMalformed) {
		g.t.Fatal(err)
	}
}

// seed adds the payloads of the vectors of one type, of which some are not as a sensor writes them.
func seed(f *testing.F, typ uint32) {
	for _, name := range nmsgtest.Vectors {
		for i, m := range nmsgtest.Read(f, filepath.Join("testdata", name+".nmsg")) {
			if m.Type == typ && i%20 == 0 {
				f.Add(m.Sec, m.Nsec, m.Data)
			}
		}
	}
	for _, s := range nmsgtest.Hostile {
		for _, m := range nmsgtest.HostileMessages(s) {
			if m.Type == typ {
				f.Add(m.Sec, m.Nsec, m.Data)
			}
		}
	}
}

func fuzzRecord(f *testing.F, typ nmsg.MessageType, number uint32) {
	seed(f, number)
	example := transform.Record{
		Server: netip.MustParseAddrPort("192.0.2.1:53"), Zeroed: true, HasQuery: true, HasResponse: true, Type: 1, Class: 1,
		Name: []byte("\x03www\x07example\x00"), QueryTime: 1_790_000_000_000_000_000, ResponseTime: 1_790_000_000_000_000_001,
		Query:    []byte("\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01"),
		Response: []byte("\x00\x00\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\x03www\x07example\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04\xc0\x00\x02\x01"),
	}
	_, m, err := nmsg.AppendMessage(nil, typ, nmsg.IDs{}, &example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Sec, m.Nsec, m.Data)
	g := newRig(f)
	f.Fuzz(func(t *testing.T, sec int64, nsec uint32, data []byte) {
		m := nmsg.Message{Vendor: nmsg.VendorBase, Type: number, Sec: sec, Nsec: nsec, Data: data}
		if r, err := g.decoder.Record(&m); err == nil {
			g.t = t
			g.record(r)
		}
	})
}

func FuzzRecordOfDNSQR(f *testing.F)  { fuzzRecord(f, nmsg.DNSQR, nmsg.NumberDNSQR) }
func FuzzRecordOfDNSObs(f *testing.F) { fuzzRecord(f, nmsg.DNSObs, nmsg.NumberDNSObs) }
func FuzzRecordOfDNSTap(f *testing.F) { fuzzRecord(f, nmsg.DNSTap, nmsg.NumberDNSTap) }

func FuzzRRsetOfDNSDedupe(f *testing.F) {
	seed(f, nmsg.NumberDNSDedupe)
	for _, rr := range []struct {
		typ   uint16
		rdata string
	}{{1, "\xc0\x00\x02\x01"}, {2, "\x02ns\x00"}, {16, "\x01a"}, {64, "\x00\x01\x00\x00\x01\x00\x03\x02h2"}, {65280, "x"}} {
		m := nmsgtest.DNSDedupe([]byte("\x03www\x07example\x00"), rr.typ, []byte(rr.rdata))
		f.Add(m.Sec, m.Nsec, m.Data)
	}
	g := newRig(f)
	f.Fuzz(func(t *testing.T, sec int64, nsec uint32, data []byte) {
		m := nmsg.Message{Vendor: nmsg.VendorSIE, Type: nmsg.NumberDNSDedupe, Sec: sec, Nsec: nsec, Data: data}
		a, err := g.decoder.RRset(&m)
		if err != nil {
			return
		}
		g.t = t
		g.observe(&a.RRset, a.Sighting)
		g.table.Flush()
		if _, _, err := nmsg.AppendDNSDedupe(nil, nmsg.IDs{}, a); err != nil {
			t.Fatal(err)
		}
	})
}
