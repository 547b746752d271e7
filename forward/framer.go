package forward

import (
	"encoding/binary"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A Framer puts encoded records into the units of one batch after another. Each lane has
// one for each sink.
type Framer interface {
	// Add adds a record to the open unit of b, or to a new one if it does not fit. It
	// returns false if b is full: then b is sealed, and the record belongs in the next
	// batch. An empty batch takes any record.
	Add(b *Batch, record []byte) bool

	// Seal closes the last unit.
	Seal(b *Batch)

	// Number writes b.ID and the numbers of the units, from b.First on, into a sealed
	// batch. The queue's lock is held.
	Number(b *Batch)
}

const (
	// containerSlack is more bytes than a container adds to its only payload.
	containerSlack = 64

	// anyID is a placeholder until Number writes the sequence id. Every id has the
	// highest bit set, so that all have the same length: the same records make
	// containers of the same size with any id.
	anyID = 1 << 63
)

// containers is the framer of NMSG.
type containers struct {
	limit     int
	container nmsg.Container
	open      bool // a container is open
}

// Add adds a payload to the open container.
func (c *containers) Add(b *Batch, record []byte) bool {
	at := len(record) - crcLen
	p := nmsg.Payload{Bytes: record[:at], CRC: binary.LittleEndian.Uint32(record[at:])}
	if c.open && !c.container.Fits(b.Buf, p, c.limit, anyID) {
		c.Seal(b)
		if b.room() < c.roomFor(p) {
			return false
		}
	}
	if !c.open {
		b.Buf = c.container.Begin(b.Buf)
		c.open = true
	}
	b.Buf = c.container.Add(b.Buf, p)
	return true
}

// roomFor returns the bytes that a batch must have left for another container that begins
// with p: those of a full container, or of one with p alone if that is larger.
func (c *containers) roomFor(p nmsg.Payload) int {
	return min(max(c.limit, len(p.Bytes)+containerSlack), BatchSize)
}

// Seal closes the open container.
func (c *containers) Seal(b *Batch) {
	if !c.open {
		return
	}
	closeContainer(b, &c.container)
	c.open = false
}

// closeContainer makes the open container a unit.
func closeContainer(b *Batch, c *nmsg.Container) {
	b.Buf = c.Seal(b.Buf, anyID)
	b.Units = append(b.Units, Unit{End: len(b.Buf), Records: c.Payloads()})
}

// Number writes the sequence id and numbers of all containers.
func (c *containers) Number(b *Batch) { numberContainers(b) }

func numberContainers(b *Batch) {
	for i := range b.Units {
		nmsg.SetSequence(b.Bytes(i), b.ID, b.First+uint32(i))
	}
}

// OnePerUnit is the framer of formats in which every record is a unit: its Append returns the
// unit.
type OnePerUnit struct{}

// Add appends a unit.
func (OnePerUnit) Add(b *Batch, record []byte) bool {
	if len(b.Units) > 0 && b.room() < len(record) {
		return false
	}
	b.Buf = append(b.Buf, record...)
	b.Units = append(b.Units, Unit{End: len(b.Buf), Records: 1})
	return true
}

// Seal does nothing: no unit is open.
func (OnePerUnit) Seal(*Batch) {}

// Number does nothing: the units have no numbers.
func (OnePerUnit) Number(*Batch) {}
