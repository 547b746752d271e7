package stream

import (
	"math/bits"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	smallest  = 256
	classes   = 9
	maxBuffer = smallest << (classes - 1) // 64 KiB, which holds any DNS message
)

// A buffer holds a message that is not whole, or octets out of order. Buffers are
// of few sizes, so that those of one stream serve the next.
type buffer struct {
	data  []byte
	class uint8
	next  *buffer // behind it in the stream, or in the pool

	seq   uint32         // of data[0]
	start bool           // a segment began there
	at    transform.Time // when it came
}

func (b *buffer) end() uint32 { return b.seq + uint32(len(b.data)) }

// A pool bounds the capacity of the buffers in use and of those it keeps, together.
type pool struct {
	limit, used, kept int
	free              [classes]*buffer
}

// classFor wants 0 < n <= maxBuffer.
func classFor(n int) uint8 {
	return uint8(max(bits.Len(uint(n-1)), bits.Len(smallest-1)) - bits.Len(smallest-1))
}

func sizeOf(class uint8) int { return smallest << class }

// fits says whether a buffer of that class would stay within the limit.
func (p *pool) fits(class uint8) bool { return p.used+sizeOf(class) <= p.limit }

// get returns an empty buffer. The caller has asked fits.
func (p *pool) get(class uint8) *buffer {
	size := sizeOf(class)
	p.used += size
	if b := p.free[class]; b != nil {
		p.free[class], p.kept = b.next, p.kept-size
		b.next = nil
		return b
	}
	for c := classes - 1; c >= 0 && p.used+p.kept > p.limit; c-- {
		p.forget(uint8(c))
	}
	return &buffer{data: make([]byte, 0, size), class: class}
}

// forget leaves kept buffers of a class to the garbage collector while all are
// more than the limit.
func (p *pool) forget(class uint8) {
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
