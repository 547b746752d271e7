package nmsg

import (
	"bytes"
	"io"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// hotPath does the work of a lane for each record.
type hotPath struct {
	scratch, buf []byte
	ends         []int
	open         Container
	deflater     Deflater
	deflated     []byte
}

func (h *hotPath) take(t testing.TB, typ MessageType, r *transform.Record) {
	b, p, err := AppendPayload(h.scratch[:0], typ, IDs{Source: 1}, r)
	if err != nil {
		t.Fatal(err)
	}
	h.scratch = b
	if !h.open.Fits(h.buf, p, 1280, seqID) {
		h.seal()
	}
	h.buf = h.open.Add(h.buf, p)
}

func (h *hotPath) seal() {
	h.buf = h.open.Seal(h.buf, seqID)
	SetSequence(h.buf, seqID, 77)
	h.buf = h.open.Begin(h.buf[:0])
}

func newHotPath() *hotPath {
	h := &hotPath{}
	h.buf = h.open.Begin(nil)
	return h
}

func TestHotPathAllocatesNothing(t *testing.T) {
	for _, typ := range MessageTypes() {
		for name, r := range map[string]*transform.Record{"IPv4": recordWith(), "IPv6": recordWith(onIPv6), "long": recordWith(responseOf(20_000)), "unanswered": recordWith(unanswered)} {
			if !typ.Accepts(r) {
				continue
			}
			h := newHotPath()
			run := func() {
				for range 10 {
					h.take(t, typ, r)
				}
				h.seal()
			}
			run()
			if n := testing.AllocsPerRun(100, run); n != 0 {
				t.Errorf("%v, %s: %v allocations", typ, name, n)
			}
		}
	}
}

func TestDeflatingAndCuttingAllocateNothing(t *testing.T) {
	h := newHotPath()
	c := sealed(payloadsOf(t, 40), seqID, 0)
	run := func() {
		var err error
		if h.deflated, err = h.deflater.Append(h.deflated[:0], c); err != nil {
			t.Fatal(err)
		}
		h.buf, h.ends = AppendFragments(h.buf[:0], h.ends[:0], c, 1280, 5)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecordToContainer(b *testing.B) {
	for _, typ := range MessageTypes() {
		b.Run(typ.String(), func(b *testing.B) {
			b.ReportAllocs()
			h := newHotPath()
			r := recordWith(responseOf(180))
			for b.Loop() {
				h.take(b, typ, r)
			}
		})
	}
}

func BenchmarkDeflate(b *testing.B) {
	b.ReportAllocs()
	var d Deflater
	var buf []byte
	c := sealed(payloadsOf(b, 40), seqID, 0)
	b.SetBytes(int64(len(c)))
	for b.Loop() {
		var err error
		if buf, err = d.Append(buf[:0], c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFragments(b *testing.B) {
	b.ReportAllocs()
	var buf []byte
	var ends []int
	c := sealed(payloadsOf(b, 40), seqID, 0)
	b.SetBytes(int64(len(c)))
	for b.Loop() {
		buf, ends = AppendFragments(buf[:0], ends[:0], c, 1280, 5)
	}
}

func BenchmarkReader(b *testing.B) {
	for _, name := range []string{"unbound-dnsqr.nmsg", "unbound-dnsqr-zlib.nmsg"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			file := vector(b, name)
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				r := NewReader(bytes.NewReader(file))
				for {
					if _, err := r.Next(); err == io.EOF {
						break
					} else if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
