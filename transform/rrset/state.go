package rrset

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// The state of a table is a stream:
//
//	header | entries | end 1: 0 | CRC-32C of all octets before it 4, little-endian
//
// An entry, the one that was first seen longest ago first:
//
//	length of the key, varint | age at the time of saving in ns, varint |
//	time_first 4 | time_last 4 | count 4 | TTL 4, little-endian | key
//
// The table of the reader may have other limits, but not a gate: a state has no sources. A change of
// this format, or of that of keys, needs another version.
const (
	stateName    = "dnstap-pdns RRsets, version "
	stateVersion = "1\n"
	stateHeader  = stateName + stateVersion

	stateBuffer = 64 << 10
	crcSize     = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged states that a state is not what Save wrote.
var errDamaged = errors.New("the state is damaged")

// Save writes the state of the table at now, for LoadTable. The table must not have a gate.
func (t *Table) Save(w io.Writer, now time.Duration) error {
	s := t.NewSaver(now)
	var part []byte
	for more := true; more; {
		part, more = s.Append(part[:0], stateBuffer)
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write the state of a table: %w", err)
		}
	}
	return nil
}

// A Saver makes the state of a table in parts, between which the table may be used. The state has
// the entries that the table had at the start, except those that were emitted before their part.
// An entry has the sightings up to its part.
type Saver struct {
	table    *Table
	now      time.Duration
	at, end  position
	begun    bool
	checksum uint32
}

// NewSaver returns a Saver for the entries of the table at now. The table must not have a gate.
func (t *Table) NewSaver(now time.Duration) *Saver {
	t.now = max(t.now, now)
	return &Saver{table: t, now: t.now, at: t.entries.begin(), end: t.entries.end()}
}

// Append appends the next part of the state, of about size bytes, and reports whether there is
// more.
func (s *Saver) Append(b []byte, size int) (part []byte, more bool) {
	start := len(b)
	if !s.begun {
		s.begun = true
		b = append(b, stateHeader...)
	}
	for more = true; more && len(b)-start < size; {
		var e entry
		if e, s.at, more = s.table.entries.next(s.at, s.end); more {
			b = s.appendEntry(b, e)
		}
	}
	if !more {
		b = append(b, 0)
	}
	s.checksum = crc32.Update(s.checksum, castagnoli, b[start:])
	if !more {
		b = binary.LittleEndian.AppendUint32(b, s.checksum)
	}
	return b, more
}

func (s *Saver) appendEntry(b []byte, e entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(e.key())))
	b = binary.AppendUvarint(b, uint64(s.now-e.firstSight()))
	b = append(b, e[entrySightings:entryFixed]...)
	return append(b, e.key()...)
}

// LoadTable makes a table from the state that Save wrote. The windows continue at now, on the
// clock with which the table is used next. If the state has more entries than the limits allow, the
// oldest are emitted as after an eviction.
//
// LoadTable reads all of r twice. If the state has an unknown version or a wrong checksum, it returns
// an error, and has emitted nothing.
func LoadTable(r io.ReadSeeker, limits Limits, now time.Duration, emit func(*Aggregate)) (*Table, error) {
	return loadTable(r, limits, now, emit, segmentSize)
}

func loadTable(r io.ReadSeeker, limits Limits, now time.Duration, emit func(*Aggregate), segment int) (*Table, error) {
	if limits.Release > 0 {
		return nil, errors.New("the state of a table has no sources, and cannot be released by them")
	}
	t, err := newTable(limits, emit, segment)
	if err != nil {
		return nil, err
	}
	t.now = now
	size, err := checkState(r)
	if err == nil {
		err = t.load(io.LimitReader(r, size))
	}
	if err != nil {
		return nil, fmt.Errorf("read the state of a table: %w", err)
	}
	return t, nil
}

// checkState checks the version and the checksum of a state. Then r is at the first entry, and
// size is the number of bytes up to the checksum.
func checkState(r io.ReadSeeker) (size int64, err error) {
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	header := make([]byte, len(stateHeader))
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, damage(err)
	}
	if string(header) != stateHeader {
		if version, ok := strings.CutPrefix(string(header), stateName); ok {
			return 0, fmt.Errorf("it has version %q, and this program reads %q", version, stateVersion)
		}
		return 0, errDamaged
	}
	sum := crc32.New(castagnoli)
	sum.Write(header)
	size = end - int64(len(header)) - crcSize
	if _, err := io.CopyN(sum, r, size); err != nil {
		return 0, damage(err)
	}
	var stated [crcSize]byte
	if _, err := io.ReadFull(r, stated[:]); err != nil {
		return 0, damage(err)
	}
	if binary.LittleEndian.Uint32(stated[:]) != sum.Sum32() {
		return 0, errDamaged
	}
	_, err = r.Seek(int64(len(header)), io.SeekStart)
	return size, err
}

// load reads entries up to the end of r.
func (t *Table) load(r io.Reader) error {
	in := bufio.NewReaderSize(r, stateBuffer)
	for before := uint64(math.MaxUint64); ; {
		size, err := binary.ReadUvarint(in)
		if err != nil {
			return damage(err)
		}
		if size == 0 {
			break
		}
		age, err := binary.ReadUvarint(in)
		if err != nil {
			return damage(err)
		}
		if size > uint64(t.entries.maxKey()) || age > before {
			return errDamaged
		}
		if err := t.loadEntry(in, int(size), age); err != nil {
			return err
		}
		before = age
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return errDamaged
	}
	return nil
}

// loadEntry reads the sightings and the key of an entry, and adds it.
func (t *Table) loadEntry(in io.Reader, size int, age uint64) error {
	t.key = slices.Grow(t.key[:0], entryFixed+size)[:entryFixed+size]
	read, k := entry(t.key[:entryFixed]), t.key[entryFixed:]
	if _, err := io.ReadFull(in, t.key[entrySightings:]); err != nil {
		return damage(err)
	}
	hash := hashOf(t.seed, k)
	if !k.isValid() {
		return errDamaged
	}
	if known, _ := t.find(hash, k); known != nil {
		return errDamaged
	}
	if k.read(&t.aggregate.RRset); !t.aggregate.isWellFormed() {
		return errDamaged
	}
	t.insert(hash, t.now-time.Duration(age), k, 0).set(read.sighting(), read.ttl())
	return nil
}

// damage returns errDamaged if a state ends too early, and other errors as they are.
func damage(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errDamaged
	}
	return err
}
