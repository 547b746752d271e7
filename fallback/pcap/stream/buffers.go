package stream

import (
	"math/bits"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	minBuffer = 256
	classes   = 9
	maxBuffer = minBuffer << (classes - 1) // 64 KiB, enough for any DNS message
)

// A buffer holds an incomplete message or octets out of order. Buffers have few sizes, so
// that streams can reuse them.
type buffer struct {
	data  []byte
	class uint8
	next  *buffer // in the stream, or in the pool

	seq   uint32         // of data[0]
	start bool           // a segment began at data[0]
	at    transform.Time // time of the segment
}

func (b *buffer) end() uint32 { return b.seq + uint32(len(b.data)) }

// A pool bounds the capacity of the buffers in use (used) and of the free ones (kept) together.
type pool struct {
	limit, used, kept int
	free              [classes]*buffer
}

// classFor returns the smallest class for n octets. n is from 1 to maxBuffer.
func classFor(n int) uint8 {
	return uint8(max(bits.Len(uint(n-1)), bits.Len(minBuffer-1)) - bits.Len(minBuffer-1))
}

func sizeOf(class uint8) int { return minBuffer << class }

// fits reports whether the buffers in use and another of this class stay within the limit.
func (p *pool) fits(class uint8) bool { return p.used+sizeOf(class) <= p.limit }

// get returns an empty buffer. The caller has checked fits.
func (p *pool) get(class uint8) *buffer {
	size := sizeOf(class)
	p.used += size
	if b := p.free[class]; b != nil {
		p.free[class], p.kept = b.next, p.kept-size
		b.next = nil
		return b
	}
	for c := classes - 1; c >= 0 && p.used+p.kept > p.limit; c-- {
		p.trim(uint8(c))
	}
	return &buffer{data: make([]byte, 0, size), class: class}
}

// trim drops free buffers of a class while the pool exceeds its limit.
func (p *pool) trim(class uint8) {
	for p.free[class] != nil && p.used+p.kept > p.limit {
		p.free[class] = p.free[class].next
		p.kept -= sizeOf(class)
	}
}

func (p *pool) put(b *buffer) {
	size := sizeOf(b.class)
	p.used -= size
	p.kept += size
	*b = buffer{data: b.data[:0], class: b.class, next: p.free[b.class]}
	p.free[b.class] = b
}
