package forward

import (
	"encoding/binary"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// payloadSlack is more bytes than a payload adds to a container that has others, in addition to
// its own.
const payloadSlack = 16

// buckets is the framer of NMSG in which the owner names of all RRsets in a container have the
// same [nmsg.Bucket]. It keeps the payloads of the open batch until Seal writes the containers,
// which are in the order of their buckets; in a bucket, payloads keep their order.
type buckets struct {
	limit    int
	pending  []byte                // payloads of the open batch
	payloads []bucketPayload       // in pending
	open     [nmsg.Buckets]int     // upper bound of the size of the last container of a bucket
	size     int                   // upper bound of the size of all containers
	starts   [nmsg.Buckets + 1]int // scratch of Seal: where the payloads of a bucket begin in sorted
	sorted   []int                 // scratch of Seal: indexes of payloads, by bucket
	writer   nmsg.Container
}

// A bucketPayload is a payload in a buffer.
type bucketPayload struct {
	start, end int
	crc        uint32
	bucket     uint8
}

// appendBucket completes an encoded payload, for which [buckets] has to know the bucket.
func appendBucket(b, rrname []byte) []byte { return append(b, byte(nmsg.Bucket(rrname))) }

// Add keeps a payload, unless the containers of all payloads might exceed a batch.
func (f *buckets) Add(_ *Batch, record []byte) bool {
	n := len(record) - 1
	at := n - crcLen
	p := bucketPayload{crc: binary.LittleEndian.Uint32(record[at:]), bucket: record[n]}
	adds := at + payloadSlack
	opens := f.open[p.bucket] == 0 || f.open[p.bucket]+adds > f.limit
	if opens {
		adds += containerSlack
	}
	if f.size > 0 && f.size+adds > BatchSize {
		return false
	}
	p.start = len(f.pending)
	f.pending = append(f.pending, record[:at]...)
	p.end = len(f.pending)
	f.payloads = append(f.payloads, p)
	f.size += adds
	if opens {
		f.open[p.bucket] = 0
	}
	f.open[p.bucket] += adds
	return true
}

// Seal writes the containers.
func (f *buckets) Seal(b *Batch) {
	f.sort()
	for bucket := range nmsg.Buckets {
		f.write(b, f.sorted[f.starts[bucket]:f.starts[bucket+1]])
	}
	f.pending, f.payloads, f.size = f.pending[:0], f.payloads[:0], 0
	clear(f.open[:])
	if cap(f.pending) > BatchSize {
		f.pending = nil // of a large RRset
	}
}

// sort sorts the payloads by bucket.
func (f *buckets) sort() {
	clear(f.starts[:])
	for _, p := range f.payloads {
		f.starts[p.bucket+1]++
	}
	for bucket := range nmsg.Buckets {
		f.starts[bucket+1] += f.starts[bucket]
	}
	next := f.starts
	f.sorted = append(f.sorted[:0], make([]int, len(f.payloads))...)
	for i, p := range f.payloads {
		f.sorted[next[p.bucket]] = i
		next[p.bucket]++
	}
}

// write writes the payloads of a bucket into as few containers as the limit allows.
func (f *buckets) write(b *Batch, payloads []int) {
	for n, i := range payloads {
		p := nmsg.Payload{Bytes: f.pending[f.payloads[i].start:f.payloads[i].end], CRC: f.payloads[i].crc}
		if n > 0 && !f.writer.Fits(b.Buf, p, f.limit, anyID) {
			closeContainer(b, &f.writer)
			n = 0
		}
		if n == 0 {
			b.Buf = f.writer.Begin(b.Buf)
		}
		b.Buf = f.writer.Add(b.Buf, p)
	}
	if len(payloads) > 0 {
		closeContainer(b, &f.writer)
	}
}

// Number writes the sequence id and numbers of all containers.
func (*buckets) Number(b *Batch) { numberContainers(b) }
