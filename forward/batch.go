package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// batchSize bounds a batch in bytes, but for one whose only payload is larger.
const batchSize = 64 << 10

// containerSlack is more than a container adds to its only payload.
const containerSlack = 64

// A batch is a series of containers with one owner at a time: a lane while it
// fills, the queue while it waits, the sink while it is sent.
type batch struct {
	buf        []byte // containers, back to back; the last may still be open
	containers []mark // those that are finished
	records    int    // in all of them, the open one included

	opened time.Time      // Live: the burst that brought the first record
	clock  transform.Time // Replay: when the first record is filed
	seqID  uint64         // of all containers, once they are queued
	seq    uint32         // of the first container

	next *batch // in a queue, or among its blanks
}

// A mark stands behind a finished container.
type mark struct {
	end     int // offset in the batch
	records int
	lost    bool // it did not leave
}

func newBatch() *batch { return &batch{buf: make([]byte, 0, batchSize)} }

// reset makes b a blank.
func (b *batch) reset() {
	*b = batch{buf: b.buf[:0], containers: b.containers[:0]}
}

// reusable is false for a batch that a large payload has grown.
func (b *batch) reusable() bool { return cap(b.buf) <= batchSize }

// room is how many bytes more b is meant to hold.
func (b *batch) room() int { return batchSize - len(b.buf) }

// finish closes the open container.
func (b *batch) finish(c *nmsg.Container, seqID uint64) {
	b.buf = c.Seal(b.buf, seqID)
	b.containers = append(b.containers, mark{end: len(b.buf), records: c.Payloads()})
}

// start is the offset of container i.
func (b *batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.containers[i-1].end
}

// container returns the bytes of container i.
func (b *batch) container(i int) []byte { return b.buf[b.start(i):b.containers[i].end] }

// number gives b's containers their sequence numbers, and returns the next one.
func (b *batch) number(seqID uint64, seq uint32) uint32 {
	b.seqID, b.seq = seqID, seq
	for i := range b.containers {
		nmsg.SetSequence(b.container(i), seqID, seq)
		seq++
	}
	return seq
}

// cut takes off the first n containers.
func (b *batch) cut(n int) {
	start := b.start(n)
	for _, m := range b.containers[:n] {
		b.records -= m.records
	}
	b.buf = b.buf[:copy(b.buf, b.buf[start:])]
	b.containers = b.containers[:copy(b.containers, b.containers[n:])]
	for i := range b.containers {
		b.containers[i].end -= start
	}
	b.seq += uint32(n)
}

// pour moves o's containers, which were numbered next after b's, behind b's own.
func (b *batch) pour(o *batch) {
	at := len(b.buf)
	b.buf = append(b.buf, o.buf...)
	for _, m := range o.containers {
		b.containers = append(b.containers, mark{end: at + m.end, records: m.records})
	}
	b.records += o.records
}

// written is the outcome when the first n bytes from container from on were
// taken: what is whole is delivered.
func (b *batch) written(from, n int) outcome {
	var o outcome
	start := b.start(from)
	for _, m := range b.containers[from:] {
		if m.end-start > n {
			break
		}
		o.done++
		o.delivered += uint64(m.records)
		o.sent.Bytes = uint64(m.end - start)
	}
	o.sent.Containers = uint64(o.done)
	return o
}
