package spool

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// An inode is a file's octets.
type inode struct {
	octets []byte
	synced int // octets on disk
}

// A crash is a state in which a crash may leave the files, by name.
type crash struct {
	what  string
	power bool // a power cut, not a kill
	files map[string][]byte
	must  []container     // must be sent after it, in this order
	not   map[string]bool // must not be sent after it
}

// A recorder is a real disk that notes, at each operation, the states in which a crash may
// leave its files then.
type recorder struct {
	realDisk
	mu      sync.Mutex
	names   map[string]*inode // as the process sees them
	durable map[string]*inode // as they are on disk

	spooled []container // in the spool, as Send returned or before, and not acknowledged
	settled map[string]bool
	acked   int // containers of spooled that the peer has acknowledged, and that are not settled

	crashes []crash
	tried   map[string]bool
}

func newRecorder() *recorder {
	return &recorder{names: map[string]*inode{}, durable: map[string]*inode{}, settled: map[string]bool{}, tried: map[string]bool{}}
}

// note notes the states after an operation.
func (r *recorder) note(what string) {
	kill := crash{what: what, files: map[string][]byte{}, must: slices.Clone(r.spooled[r.acked:]), not: maps.Clone(r.settled)}
	for name, f := range r.names {
		kill.files[name] = bytes.Clone(f.octets)
	}
	r.keep(kill)
	var durable []container
	for _, m := range kill.must {
		if r.isDurable(m) {
			durable = append(durable, m)
		}
	}
	for variant, of := range map[string]func(*inode) []byte{
		"none": func(f *inode) []byte { return f.octets[:f.synced] },
		"zero": func(f *inode) []byte {
			return append(bytes.Clone(f.octets[:f.synced]), make([]byte, len(f.octets)-f.synced)...)
		},
	} {
		for which, names := range map[string]map[string]*inode{"old": r.durable, "new": r.names} {
			c := crash{what: fmt.Sprintf("%s, power cut, %s names, %s of the unsynced octets", what, which, variant), power: true, files: map[string][]byte{}, must: durable}
			for name, f := range names {
				c.files[name] = bytes.Clone(of(f))
			}
			r.keep(c)
		}
	}
}

// isDurable reports whether a container is on disk.
func (r *recorder) isDurable(c container) bool {
	for _, f := range r.durable {
		if bytes.Contains(f.octets[:f.synced], []byte(c.octets)) {
			return true
		}
	}
	return false
}

// checkDurable checks that a power cut would lose nothing.
func (r *recorder) checkDurable(s *sink) {
	s.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, c := range r.spooled {
		if !r.isDurable(c) {
			s.t.Errorf("container %d of %d is not on disk", i, len(r.spooled))
		}
	}
	if x := r.durable[filepath.Join(s.transport.dir, indexName)]; x == nil || x.synced != len(x.octets) {
		s.t.Error("the index is not on disk")
	}
}

// keep keeps a state, once.
func (r *recorder) keep(c crash) {
	var key bytes.Buffer
	fmt.Fprint(&key, c.power, len(c.must), len(c.not))
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		fmt.Fprintf(&key, " %s %d %x", name, len(c.files[name]), crc32.ChecksumIEEE(c.files[name]))
	}
	if !r.tried[key.String()] {
		r.tried[key.String()] = true
		r.crashes = append(r.crashes, c)
	}
}

// do performs an operation, and notes its effect if it succeeds.
func (r *recorder) do(what string, err error, effect func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		effect()
		r.note(what)
	}
	return err
}

func (r *recorder) create(path string) (segmentFile, error) {
	f, err := r.realDisk.create(path)
	i := &inode{}
	return recordedFile{f, r, i}, r.do("create", err, func() { r.names[path] = i })
}

func (r *recorder) replace(path string, b []byte) error {
	return r.do("replace", r.realDisk.replace(path, b), func() { r.names[path] = &inode{octets: bytes.Clone(b)} })
}

func (r *recorder) rename(from, to string) error {
	return r.do("rename", r.realDisk.rename(from, to), func() {
		r.names[to] = r.names[from]
		delete(r.names, from)
	})
}

func (r *recorder) remove(path string) error {
	return r.do("remove", r.realDisk.remove(path), func() { delete(r.names, path) })
}

func (r *recorder) sync(path string) error {
	return r.do("sync", r.realDisk.sync(path), func() {
		if i := r.names[path]; i != nil {
			i.synced = len(i.octets)
			return
		}
		r.durable = maps.Clone(r.names)
	})
}

type recordedFile struct {
	segmentFile
	r *recorder
	i *inode
}

// Write is noted twice: a crash may end inside it.
func (f recordedFile) Write(b []byte) (int, error) {
	n, err := f.segmentFile.Write(b)
	for _, part := range [][]byte{b[:n/2], b[n/2 : n]} {
		f.r.do("write", nil, func() { f.i.octets = append(f.i.octets, part...) })
	}
	return n, err
}

func (f recordedFile) Truncate(size int64) error {
	return f.r.do("truncate", f.segmentFile.Truncate(size), func() { f.i.octets = f.i.octets[:size] })
}

func (f recordedFile) Sync() error {
	return f.r.do("sync", f.segmentFile.Sync(), func() { f.i.synced = len(f.i.octets) })
}

// record attaches a recorder to a sink, before it is opened.
func record(s *sink) *recorder {
	r := newRecorder()
	s.disk = r
	s.peer.onAck = func(c container) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.acked < len(r.spooled) && r.spooled[r.acked].octets == c.octets {
			r.acked++
		}
	}
	s.onSettle = func(n uint64, to forward.Outcome) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, c := range r.spooled[:n] {
			if !to.Lost {
				r.settled[c.octets] = true
			}
		}
		r.spooled = r.spooled[n:]
		r.acked = max(r.acked-int(n), 0)
	}
	return r
}

// feed sends batches, and notes what Send has spooled.
func (s *sink) feed(r *recorder, bs ...*forward.Batch) {
	s.t.Helper()
	var units []container
	for _, b := range bs {
		for i := range b.Units {
			units = append(units, container{octets: string(b.Bytes(i)), records: b.Units[i].Records})
		}
	}
	last, err := s.send(1, bs...)
	if err != nil {
		s.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := int(last.Tentative[forward.Spooled])
	r.spooled = append(r.spooled, units[len(units)-n:]...)
	for _, c := range units[len(units)-n:] {
		if s.peer.hasAcked(c) {
			r.acked++
		}
	}
	r.note("Send")
}

// comesAndGoes lets the peer go, return, forget what it received, and return again.
func comesAndGoes(s *sink, r *recorder) {
	s.maxBytes = smallSpool
	s.peer.set(fails)
	s.open()
	for i := range 6 {
		b := s.batch(3, 700)
		if i%2 == 1 {
			b.Dropped = forward.Dropped{Units: 1, Bytes: 100}
		}
		s.feed(r, b)
		s.rest(time.Second)
	}
	s.peer.each = 2
	s.peer.onSend = func(*container) {
		if len(s.peer.got) == 9 {
			s.peer.mode = forgets
		}
	}
	s.peer.set(acknowledges)
	s.rest(time.Minute)
	s.feed(r, s.batch(2, 100))
	s.peer.onSend = nil
	s.peer.set(acknowledges)
	s.rest(time.Minute)
	s.peer.set(forgets)
	s.feed(r, s.batch(2, 100), s.batch(3, 100))
	s.rest(10 * time.Second)
}

// reachesLimit spools more than the limit allows.
func reachesLimit(s *sink, r *recorder) {
	s.maxBytes = smallSpool
	s.peer.set(fails)
	s.open()
	s.rest(time.Second)
	for range 30 {
		s.feed(r, s.batch(3, 700))
	}
	s.rest(2 * time.Second)
	r.checkDurable(s)
	s.feed(r, s.batch(3, 100))
}

// peerStalls lets the peer stall until the queue is half full.
func peerStalls(s *sink, r *recorder) {
	s.peer.set(stalls)
	s.open()
	s.halfFull <- struct{}{}
	s.feed(r, s.batch(4, 100), s.batch(4, 100))
	s.feed(r, s.batch(4, 100))
	s.peer.set(acknowledges)
	s.rest(time.Second)
}

// TestNoCrashLosesSpooledContainers takes every operation on the disk in a sink's run, and the
// states in which a killed process or a power cut may leave the files after it. After the
// next start, every container that was spooled and not acknowledged must be sent, in order,
// and after a kill none that is counted as delivered.
func TestNoCrashLosesSpooledContainers(t *testing.T) {
	for _, name := range []string{"peer comes and goes", "size limit", "stalls"} {
		t.Run(name, func(t *testing.T) {
			var r *recorder
			var made []container
			bubble(t, func(t *testing.T, s *sink) {
				r = record(s)
				switch name {
				case "peer comes and goes":
					comesAndGoes(s, r)
				case "size limit":
					reachesLimit(s, r)
				case "stalls":
					peerStalls(s, r)
				}
				s.close()
				r.checkDurable(s)
				made = s.made
			})
			for _, c := range r.crashes {
				checkCrash(t, c, made)
				if t.Failed() {
					return
				}
			}
			t.Logf("%d states", len(r.crashes))
			if len(r.crashes) < 20 {
				t.Error("there are too few states")
			}
		})
	}
}

// smallSpool is a limit in bytes that few containers reach.
const smallSpool = 50_000

// checkCrash starts a sink on the files of a crash, and checks what it sends.
func checkCrash(t *testing.T, c crash, made []container) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t, t.TempDir(), newPeer())
		s.maxBytes = smallSpool
		s.made, s.first = slices.Clone(made), uint32(len(made))
		dir := filepath.Join(s.dir, "sie,dnsqr")
		if err := os.Mkdir(dir, dirPerm); err != nil {
			t.Fatal(err)
		}
		for name, octets := range c.files {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), octets, filePerm); err != nil {
				t.Fatal(err)
			}
		}
		s.disk = forgetfulDisk{}
		s.peer.set(fails)
		s.open()
		synctest.Wait()
		if r, err := s.send(1, s.batch(1, 100)); err != nil || r.Tentative[forward.Spooled] != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		s.peer.set(acknowledges)
		s.rest(10 * time.Second)
		s.close()
		s.checkSubsequence(s.made)
		sent := map[string]bool{}
		for _, got := range s.peer.received() {
			sent[got.octets] = true
			if c.not[got.octets] {
				t.Error("a container that was delivered is sent again")
			}
		}
		for i, m := range c.must {
			if !sent[m.octets] {
				t.Errorf("container %d of %d is lost", i, len(c.must))
				break
			}
		}
		if s.ledger.spooled != 0 || !sent[s.made[len(made)].octets] || !c.power && s.Spool().Damaged > 0 {
			t.Errorf("%+v, %+v", s.ledger, s.Spool())
		}
		if t.Failed() {
			t.Logf("after %s", c.what)
			for name, octets := range c.files {
				t.Logf("%s: %d bytes", filepath.Base(name), len(octets))
			}
		}
	})
}

// A forgetfulDisk is a real disk that syncs nothing, which is fast.
type forgetfulDisk struct{ realDisk }

func (d forgetfulDisk) create(path string) (segmentFile, error) {
	f, err := d.realDisk.create(path)
	return forgetfulFile{f}, err
}

func (forgetfulDisk) sync(string) error { return nil }

type forgetfulFile struct{ segmentFile }

func (forgetfulFile) Sync() error { return nil }
