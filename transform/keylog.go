package transform

import "time"

const (
	maxKeys = 1 << 17 // of each end of a capture: 32,768 records a second for keySlack

	// keyTime is how long a key is kept for the end of a capture: keySlack, and as much
	// for what is read beyond the end.
	keyTime = Time(8 * time.Second)
)

// A KeyLog is what a lane of packets keeps for [Handover]: the keys of the records of
// its first seconds and of its last ones so far, since nobody knows which will be
// the last. It belongs to its lane until that has ended.
type KeyLog struct {
	on    Time
	first []uint64
	last  []recorded // a ring
	head  int        // the oldest of the ring
	n     int        // how many it holds
}

type recorded struct {
	key uint64
	at  Time // of the lane's clock, or later
}

// NewKeyLog returns the log of a lane whose capture began at on.
func NewKeyLog(on Time) *KeyLog { return &KeyLog{on: on} }

// add notes a record, by when its query was sent and the lane's clock now, which after
// a lull stays behind for a while. Of too many the first ones of the beginning are
// kept, and the last ones of the end.
func (k *KeyLog) add(key uint64, query, now Time) {
	at := max(query, now)
	if query < k.on+keySlack && len(k.first) < maxKeys {
		k.first = append(k.first, key)
	}
	for k.n > 0 && (k.n == maxKeys || at-k.last[k.head].at > keyTime) {
		k.head = (k.head + 1) % len(k.last)
		k.n--
	}
	if k.n == len(k.last) {
		k.grow()
	}
	k.last[(k.head+k.n)%len(k.last)] = recorded{key, at}
	k.n++
}

func (k *KeyLog) grow() {
	larger := make([]recorded, min(max(64, 2*len(k.last)), maxKeys))
	copy(larger[copy(larger, k.last[k.head:]):], k.last[:k.head])
	k.last, k.head = larger, 0
}

func (k *KeyLog) appendTo(keys []uint64) []uint64 {
	keys = append(keys, k.first...)
	for i := range k.n {
		keys = append(keys, k.last[(k.head+i)%len(k.last)].key)
	}
	return keys
}

// Log makes the lane keep the keys of its records, or with nil no longer.
func (p *Pairer) Log(k *KeyLog) { p.log = k }

// leave lets go the record that has been made of a message or query with this ID.
func (p *Pairer) leave(id uint16, query Time, emit func(*Record)) {
	p.counts.Records++
	p.counts.scrubbed(p.applied)
	if p.log != nil {
		r := &p.record
		p.log.add(transactionKey(r.Server.Addr(), id, r.Type, r.Name), query, p.clock.now)
	}
	emit(&p.record)
}
