package file

import "time"

const (
	// The open file is synced when syncBytes are not on disk, or when bytes are not on disk for
	// syncTime. A power cut loses at most what was written since, and during one sync.
	syncBytes = 8 << 20
	syncTime  = 2 * time.Second
)

// Unsynced counts the bytes of a file that are not on disk, and decides when a sync is due.
// The zero Unsynced counts none.
type Unsynced struct {
	bytes int64
	since time.Time // when the first of these was written
}

// Wrote notes that n bytes were written, and reports whether Due changed.
func (u *Unsynced) Wrote(n int) bool {
	before := u.bytes
	if u.bytes += int64(n); before == 0 {
		u.since = time.Now()
	}
	return before == 0 || before < syncBytes && u.bytes >= syncBytes
}

// Due returns when the next sync is due; zero: all bytes are on disk.
func (u *Unsynced) Due() time.Time {
	switch {
	case u.bytes == 0:
		return time.Time{}
	case u.bytes >= syncBytes:
		return u.since
	}
	return u.since.Add(syncTime)
}

// Take reports whether a sync is due, and then begins to count anew: the caller syncs.
func (u *Unsynced) Take(now time.Time) bool {
	due := u.Due()
	if due.IsZero() || now.Before(due) {
		return false
	}
	u.bytes = 0
	return true
}
