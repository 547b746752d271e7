package forward

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// frame puts encoded RRsets into batches as a feed does, and numbers their containers.
func frame(f Framer, records [][]byte) (batches []*Batch) {
	b := newBatch()
	var first uint32
	end := func() {
		f.Seal(b)
		b.ID, b.First = 1<<63|7, first
		f.Number(b)
		first += uint32(len(b.Units))
		batches = append(batches, b)
	}
	for _, r := range records {
		if !f.Add(b, r) {
			end()
			b = newBatch()
			f.Add(b, r)
		}
	}
	end()
	return batches
}

// An unframed container is what a container of RRsets contains.
type unframed struct {
	size   int
	names  []string
	rdata  []string
	bucket int // -1: its names have several
}

// unframe reads all containers of batches. It fails the test if a sequence number is missing or a
// batch is inconsistent.
func unframe(t interface{ Fatalf(string, ...any) }, batches []*Batch) (all []unframed) {
	var stream bytes.Buffer
	gaps := 0
	for _, b := range batches {
		for i, u := range b.Units {
			stream.Write(b.Bytes(i))
			r := nmsg.NewReader(bytes.NewReader(b.Bytes(i)))
			c := unframed{size: len(b.Bytes(i)), bucket: -1}
			for range u.Records {
				m, err := r.Next()
				if err != nil {
					t.Fatalf("container %d: %v", len(all), err)
				}
				d, err := nmsg.DecodeDNSDedupe(m.Data)
				if err != nil {
					t.Fatalf("container %d: %v", len(all), err)
				}
				bucket := nmsg.Bucket(d.RRName)
				if len(c.names) > 0 && bucket != c.bucket {
					bucket = -1
				}
				c.bucket = bucket
				c.names, c.rdata = append(c.names, string(d.RRName)), append(c.rdata, string(d.RData[0]))
			}
			if _, err := r.Next(); err == nil {
				t.Fatalf("container %d has more payloads than its unit states", len(all))
			}
			all = append(all, c)
		}
		if last := len(b.Units) - 1; last < 0 || b.Units[last].End != len(b.Buf) {
			t.Fatalf("the units end before the batch")
		}
	}
	r := nmsg.NewReader(&stream)
	r.OnGap(func(g nmsg.Gap) { gaps += int(g.Missing()) })
	for {
		if _, err := r.Next(); err != nil {
			break
		}
	}
	if gaps > 0 {
		t.Fatalf("%d sequence numbers are missing", gaps)
	}
	return all
}

// TestBucketsHaveWhatContainersHave compares the framer with the plain one: it delivers the same
// payloads, with equal names in the same order, each container has one bucket, and the sizes stay
// within the limits.
func TestBucketsHaveWhatContainersHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 512, 1280, 8192, BatchSize}).Draw(t, "limit")
		names := rapid.IntRange(1, 300).Draw(t, "names")
		var plain, bucketed [][]byte
		large := map[string]bool{} // RRsets that exceed the limit alone
		for i := range rapid.IntRange(1, 600).Draw(t, "n") {
			size := rapid.SampledFrom([]int{4, 4, 4, 16, 300, 3000}).Draw(t, "size")
			if rapid.IntRange(0, 199).Draw(t, "huge") == 0 {
				size = rapid.SampledFrom([]int{BatchSize - 200, BatchSize - 64, BatchSize, 300 << 10}).Draw(t, "large")
			}
			name := fmt.Sprintf("\x04%04d\x00", rapid.IntRange(1, names).Draw(t, "name"))
			a := &rrset.Aggregate{RRset: rrset.RRset{Name: []byte(name), Type: 1, Class: 1, Bailiwick: []byte{0},
				Rdata: [][]byte{append(fmt.Appendf(nil, "%d ", i), make([]byte, size)...)}}}
			p, err := DNSDedupe{}.AppendRRset(nil, a, nmsg.IDs{})
			q, err2 := DNSDedupe{Buckets: true}.AppendRRset([]byte("dst"), a, nmsg.IDs{})
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			plain, bucketed = append(plain, p), append(bucketed, q[len("dst"):])
			if len(p)+containerSlack > limit {
				large[string(a.Rdata[0])] = true
			}
		}
		framer := DNSDedupe{Buckets: true}.NewFramer(limit)
		batches := frame(framer, bucketed)
		for i, b := range batches {
			if len(b.Buf) > BatchSize && b.records() > 1 {
				t.Fatalf("batch %d has %d bytes and %d records", i, len(b.Buf), b.records())
			}
			// The bound is close: a batch is not sealed half empty because of it.
			if small := len(b.Buf) < BatchSize/2; small && i < len(batches)-1 && len(batches[i+1].Buf) < BatchSize/4 && len(large) == 0 {
				t.Fatalf("batch %d of %d was sealed with %d bytes", i, len(batches), len(b.Buf))
			}
		}
		want := byName(unframe(t, frame(DNSDedupe{}.NewFramer(limit), plain)))
		got := unframe(t, batches)
		if diff := cmp.Diff(want, byName(got)); diff != "" {
			t.Fatalf("other payloads than the plain framer: %s", diff)
		}
		for i, c := range got {
			if c.bucket < 0 {
				t.Fatalf("container %d has several buckets", i)
			}
			if c.size > limit && (len(c.names) > 1 || !large[c.rdata[0]]) {
				t.Fatalf("container %d has %d bytes and %d payloads", i, c.size, len(c.names))
			}
		}
	})
}

// byName returns the rdata of each name, in order.
func byName(all []unframed) map[string][]string {
	m := map[string][]string{}
	for _, c := range all {
		for i, name := range c.names {
			m[name] = append(m[name], c.rdata[i])
		}
	}
	return m
}

// TestABucketsFramerIsReused: a batch contains nothing of the one before, and the memory of a large
// RRset is released.
func TestABucketsFramerIsReused(t *testing.T) {
	format := DNSDedupe{Buckets: true}
	f := format.NewFramer(BatchSize).(*buckets)
	for i, size := range []int{300 << 10, 4, 4} {
		a := testRRset("\x01a\x00")
		a.Rdata[0] = make([]byte, size)
		r, err := format.AppendRRset(nil, a, nmsg.IDs{})
		if err != nil {
			t.Fatal(err)
		}
		b := newBatch()
		f.Add(b, r)
		if again := f.Add(b, r); again != (size == 4) {
			t.Errorf("batch %d: room for a second RRset: %v", i, again)
		}
		f.Seal(b)
		if want := map[bool]int{false: 1, true: 2}[size == 4]; b.records() != want {
			t.Errorf("batch %d has %d records, want %d", i, b.records(), want)
		}
		if cap(f.pending) > BatchSize {
			t.Errorf("%d bytes are kept", cap(f.pending))
		}
	}
}

// TestASealedBucketsFramerIsEmpty: Seal of an open batch without payloads writes no container.
func TestASealedBucketsFramerIsEmpty(t *testing.T) {
	b := newBatch()
	f := DNSDedupe{Buckets: true}.NewFramer(BatchSize)
	f.Seal(b)
	if len(b.Units) != 0 || len(b.Buf) != 0 {
		t.Errorf("%d containers, %d bytes", len(b.Units), len(b.Buf))
	}
}

func BenchmarkFramers(b *testing.B) {
	for _, format := range []DNSDedupe{{}, {Buckets: true}} {
		b.Run(fmt.Sprintf("buckets=%v", format.Buckets), func(b *testing.B) {
			var records [][]byte
			for i := range 300 {
				r, err := format.AppendRRset(nil, testRRset(fmt.Sprintf("\x04%04d\x07example\x00", i)), nmsg.IDs{})
				if err != nil {
					b.Fatal(err)
				}
				records = append(records, r)
			}
			f, batch := format.NewFramer(BatchSize), newBatch()
			b.ReportAllocs()
			for b.Loop() {
				batch.reset()
				for _, r := range records {
					f.Add(batch, r)
				}
				f.Seal(batch)
			}
			b.ReportMetric(float64(len(batch.Buf)), "bytes/batch")
			b.ReportMetric(float64(len(batch.Units)), "containers/batch")
		})
	}
}
