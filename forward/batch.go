package forward

import (
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// BatchSize bounds a batch in bytes, unless its only record is larger.
const BatchSize = 64 << 10

// A Batch is a series of finished units. Its owner is a lane while the lane fills it, then
// the queue, then the sink's goroutine while it is sent.
type Batch struct {
	Buf   []byte         // units, back to back; while a lane fills it, the last unit may be open
	Units []Unit         // finished units
	Time  transform.Time // Replay: the time of the first record, which selects the file

	// The queue sets these when the batch enters it.
	ID    uint64 // sequence id, the same for all units of the sink
	First uint32 // sequence number of the first unit
	total int    // records in all units

	// Dropped is what was dropped since the batch that a sender took before. The queue sets it
	// when a sender takes the batch for the first time. It belongs to the first unit: it is zero
	// when that was sent.
	Dropped Dropped
	taken   bool // a sender has taken it before

	edition int       // of the sender that the batch was made for; only such senders send it
	opened  time.Time // Live: start of the burst of the first record
	next    *Batch    // in a queue or its free list
}

// Dropped is the volume of units that were given up before they were sent.
type Dropped struct{ Units, Bytes uint64 }

func (d *Dropped) add(o Dropped) {
	d.Units += o.Units
	d.Bytes += o.Bytes
}

// addBatch adds all units of b, and what was dropped before them.
func (d *Dropped) addBatch(b *Batch) {
	d.add(b.Dropped)
	d.add(Dropped{uint64(len(b.Units)), uint64(len(b.Buf))})
}

// A Unit is a container, a frame or a line: bytes that are sent whole or not at all.
type Unit struct {
	End     int // offset in the batch
	Records int
	lost    bool // the unit was not sent
}

func newBatch() *Batch { return &Batch{Buf: make([]byte, 0, BatchSize)} }

// reset empties b.
func (b *Batch) reset() { *b = Batch{Buf: b.Buf[:0], Units: b.Units[:0]} }

// reusable reports whether b has its original size: a large record grows it, and clip shrinks
// it.
func (b *Batch) reusable() bool { return cap(b.Buf) == BatchSize }

// clip moves b to a smaller buffer if an eighth of a batch is unused.
func (b *Batch) clip() {
	if cap(b.Buf)-len(b.Buf) > BatchSize/8 {
		b.Buf = slices.Clone(b.Buf)
	}
}

// room returns the number of bytes that b has left.
func (b *Batch) room() int { return BatchSize - len(b.Buf) }

// Start returns the offset of unit i.
func (b *Batch) Start(i int) int {
	if i == 0 {
		return 0
	}
	return b.Units[i-1].End
}

// Bytes returns the bytes of unit i, which belong to b.
func (b *Batch) Bytes(i int) []byte { return b.Buf[b.Start(i):b.Units[i].End] }

// records counts the records in all finished units.
func (b *Batch) records() (n int) {
	for _, u := range b.Units {
		n += u.Records
	}
	return n
}

// cut removes the first n units.
func (b *Batch) cut(n int) {
	if n > 0 {
		b.Dropped = Dropped{}
	}
	start := b.Start(n)
	b.Buf = b.Buf[:copy(b.Buf, b.Buf[start:])]
	b.Units = b.Units[:copy(b.Units, b.Units[n:])]
	for i := range b.Units {
		b.Units[i].End -= start
	}
	b.First += uint32(n)
	b.total = b.records()
}

// continues reports whether b has the edition of a, and the sequence numbers after those
// of a.
func (b *Batch) continues(a *Batch) bool {
	return b.edition == a.edition && b.First == a.First+uint32(len(a.Units))
}

// appendUnits appends the units of o to b.
func (b *Batch) appendUnits(o *Batch) {
	at := len(b.Buf)
	b.Buf = append(b.Buf, o.Buf...)
	for _, u := range o.Units {
		b.Units = append(b.Units, Unit{End: at + u.End, Records: u.Records})
	}
	b.total += o.total
}
