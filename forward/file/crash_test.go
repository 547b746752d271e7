package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// An event is an operation that a sink has performed, or something that others have seen.
type event struct {
	op       string // create, write, truncate, sync, mark, rename, remove, syncDir; delivered, ran
	at       time.Time
	file     int // number of the file, for create, write, truncate and sync
	path, to string
	octets   []byte
	n        int64 // size, or number of records
}

// A recorder is a real disk that keeps a log of the events.
type recorder struct {
	testDisk
	mu    sync.Mutex
	log   []event
	files int
}

func (r *recorder) note(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.at = time.Now()
	r.log = append(r.log, e)
}

func (r *recorder) create(path string) (openFile, error) {
	f, err := r.testDisk.create(path)
	if err != nil {
		return nil, err
	}
	r.files++ // only the sink's goroutine creates files
	r.note(event{op: "create", file: r.files, path: path})
	return recordedFile{f, r, r.files}, nil
}

func (r *recorder) rename(from, to string) error {
	err := r.testDisk.rename(from, to)
	if err == nil {
		r.note(event{op: "rename", path: from, to: to})
	}
	return err
}

func (r *recorder) syncDir(dir string) error {
	err := r.testDisk.syncDir(dir)
	if err == nil {
		r.note(event{op: "syncDir", path: dir})
	}
	return err
}

func (r *recorder) remove(path string) error {
	err := r.testDisk.remove(path)
	if err == nil {
		r.note(event{op: "remove", path: path})
	}
	return err
}

func (r *recorder) mark(path string) (io.Closer, error) {
	m, err := r.testDisk.mark(path)
	if err == nil {
		r.note(event{op: "mark", path: path})
	}
	return m, err
}

// A recordedFile is a file of a recorder.
type recordedFile struct {
	openFile
	r      *recorder
	number int
}

func (f recordedFile) Write(b []byte) (int, error) {
	n, err := f.openFile.Write(b)
	f.r.note(event{op: "write", file: f.number, octets: bytes.Clone(b[:n])})
	return n, err
}

func (f recordedFile) Truncate(size int64) error {
	err := f.openFile.Truncate(size)
	f.r.note(event{op: "truncate", file: f.number, n: size})
	return err
}

func (f recordedFile) Sync() error     { return f.noteSync(f.openFile.Sync) }
func (f recordedFile) SyncData() error { return f.noteSync(f.openFile.SyncData) }

// noteSync notes what was written before the sync began: later octets may not be on disk.
func (f recordedFile) noteSync(do func() error) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	f.r.note(event{op: "sync", file: f.number, n: info.Size()})
	return nil
}

// An inode is a file's octets.
type inode struct {
	octets []byte
	synced int // octets on disk
}

// A volume is the state of the files after a number of events.
type volume struct {
	kind
	inodes  map[int]*inode
	names   map[string]*inode // as the processes see them
	durable map[string]*inode // as they are on disk
	pending []event           // changes of names that may not be on disk

	delivered int64           // records that were counted as delivered
	ran       map[string]bool // files for which the command succeeded
}

func volumeAfter(k kind, log []event) *volume {
	v := &volume{kind: k, inodes: map[int]*inode{}, names: map[string]*inode{}, durable: map[string]*inode{}, ran: map[string]bool{}}
	for i := range log {
		v.apply(&log[i])
	}
	return v
}

func (v *volume) apply(e *event) {
	switch e.op {
	case "create", "mark", "rename", "remove":
		if e.op == "create" {
			v.inodes[e.file] = &inode{}
		}
		v.changeNames(v.names, e)
		v.pending = append(v.pending, *e)
	case "syncDir":
		v.durable, v.pending = maps.Clone(v.names), nil
	case "write":
		f := v.inodes[e.file]
		f.octets = append(f.octets, e.octets...)
	case "truncate":
		f := v.inodes[e.file]
		f.octets, f.synced = f.octets[:e.n], min(f.synced, int(e.n))
	case "sync":
		v.inodes[e.file].synced = int(e.n)
	case "delivered":
		v.delivered += e.n
	case "ran":
		v.ran[filepath.Base(e.path)] = true
	}
}

// changeNames applies a change of names. A rename whose old name is not there has no effect.
func (v *volume) changeNames(names map[string]*inode, e *event) {
	switch e.op {
	case "create":
		names[e.path] = v.inodes[e.file]
	case "mark":
		if names[e.path] == nil {
			names[e.path] = &inode{}
		}
	case "rename":
		if f := names[e.path]; f != nil {
			delete(names, e.path)
			names[e.to] = f
		}
	case "remove":
		delete(names, e.path)
	}
}

// A crash is a state in which a crash may leave the files, by name.
type crash struct {
	what  string
	files map[string][]byte
	sure  map[string]bool // query names that must not be lost
}

// kill returns the state after the process was killed.
func (v *volume) kill(t *testing.T) crash {
	c := crash{"kill", map[string][]byte{}, map[string]bool{}}
	for name, f := range v.names {
		c.files[name] = f.octets
		v.addSure(t, &c, f.octets)
	}
	return c
}

// powerCuts returns the states that a power cut may leave: each change of names since the
// last sync of the directory is on disk or not, and of octets since the last sync none are,
// all are, or zeros are in their place.
func (v *volume) powerCuts(t *testing.T) (all []crash) {
	sure := crash{sure: map[string]bool{}}
	for _, f := range v.durable {
		v.addSure(t, &sure, f.octets[:f.synced])
	}
	for set := range 1 << len(v.pending) {
		names := maps.Clone(v.durable)
		for i := range v.pending {
			if set&(1<<i) != 0 {
				v.changeNames(names, &v.pending[i])
			}
		}
		for data, of := range map[string]func(*inode) []byte{
			"no":  func(f *inode) []byte { return f.octets[:f.synced] },
			"all": func(f *inode) []byte { return f.octets },
			"zero": func(f *inode) []byte {
				return append(bytes.Clone(f.octets[:f.synced]), make([]byte, len(f.octets)-f.synced)...)
			},
		} {
			c := crash{fmt.Sprintf("power cut, changes %b of %d, %s unsynced octets", set, len(v.pending), data), map[string][]byte{}, sure.sure}
			for name, f := range names {
				c.files[name] = of(f)
			}
			all = append(all, c)
		}
	}
	return all
}

// key returns a text that is equal for equal crashes after the same events of the command and
// the ledger.
func (c *crash) key(v *volume) string {
	var b strings.Builder
	fmt.Fprint(&b, c.what == "kill", v.delivered, v.ran, len(c.sure))
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		fmt.Fprintf(&b, " %s %d %x", name, len(c.files[name]), crc32.ChecksumIEEE(c.files[name]))
	}
	return b.String()
}

// addSure adds the names of the records in whole units.
func (k kind) addSure(t *testing.T, c *crash, octets []byte) {
	t.Helper()
	names, err := k.wholeNames(octets)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		c.sure[n] = true
	}
}

// record runs a sink with rotation by size and on_rotate, and returns the log of its events.
// The sink writes through a disk whose operations the test may let fail.
func record(t *testing.T, k kind, dir string, alter func(*recorder), feed func(l *forward.Lane)) []event {
	t.Helper()
	r := &recorder{}
	alter(r)
	c := k.sink(dir, Config{RotateSize: k.size, OnRotate: []string{"true"}})
	c.Transport = &altered{c.Transport, func(f *transport) {
		f.disk = r
		f.runner.run = func(_ context.Context, path string) error {
			time.Sleep(700 * time.Millisecond)
			r.note(event{op: "ran", path: path})
			return nil
		}
		settle := f.finisher.settle
		f.finisher.settle = func(from forward.State, n uint64, to forward.Outcome) {
			if !to.Lost {
				r.note(event{op: "delivered", n: int64(n)})
			}
			settle(from, n, to)
		}
	}}
	f := forwardtest.New(t, forward.Live, io.Discard, c)
	if err := forwardtest.Run(f, feed); err != nil {
		t.Error(err)
	}
	if s := forwardtest.CheckLedger(t, f); s.Delivered != s.Offered {
		t.Errorf("ledger: %+v", s)
	}
	return r.log
}

// TestNoCrashLosesOrDoublesRecords takes every moment of a sink's run, and every state in
// which a killed process or a power cut may leave the files then. After a start, also one
// that crashes itself, no record may be there twice, none may be lost beyond the documented
// bound, and the command must have run for every file.
func TestNoCrashLosesOrDoublesRecords(t *testing.T) {
	for name, alter := range map[string]func(*recorder){
		"good disk": func(*recorder) {},
		"failed renames": func(r *recorder) {
			tries := 0
			r.naming = func(string, string) error {
				if tries++; tries < 9 && tries%3 != 0 {
					return fs.ErrPermission
				}
				return nil
			}
		},
		"failed syncs of the directory": func(r *recorder) {
			tries := 0
			r.syncing = func(string) error {
				if tries++; tries > 3 && tries < 12 && tries%4 < 2 {
					return fs.ErrPermission
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) { checkCrashes(t, nmsgKind, alter, name == "good disk") })
	}
}

// TestNoCrashDamagesFilesOfOtherFormats does the same with formats whose files begin and end
// with octets of their own, or whose units have no checksum.
func TestNoCrashDamagesFilesOfOtherFormats(t *testing.T) {
	for name, k := range map[string]kind{"Frame Streams": fstrmKind, "JSON": jsonKind} {
		t.Run(name, func(t *testing.T) { checkCrashes(t, k, func(*recorder) {}, true) })
	}
}

func checkCrashes(t *testing.T, k kind, alter func(*recorder), goodDisk bool) {
	var log []event
	var from string
	synctest.Test(t, func(t *testing.T) {
		from = t.TempDir()
		log = record(t, k, from, alter, func(l *forward.Lane) {
			for i := range 8 {
				forwardtest.Burst(t, l, 20*i, 20, 300)
				time.Sleep(time.Duration(i%4) * 1300 * time.Millisecond)
			}
		})
	})
	checkBound(t, k, log, goodDisk)
	tried := map[string]bool{}
	for i := range len(log) + 1 {
		after := "nothing"
		if i > 0 {
			after = log[i-1].op
		}
		v := volumeAfter(k, log[:i])
		crashes := append(v.powerCuts(t), v.kill(t))
		if i < len(log) && log[i].op == "write" { // killed inside it
			part := log[i]
			part.octets = part.octets[:len(part.octets)/2]
			half := volumeAfter(k, append(slices.Clone(log[:i]), part))
			crashes = append(crashes, half.kill(t))
		}
		for _, c := range crashes {
			if key := c.key(v); tried[key] {
				continue
			} else {
				tried[key] = true
			}
			checkRecovery(t, fmt.Sprintf("event %d, after %s: %s", i, after, c.what), from, v, c)
		}
		if t.Failed() {
			return
		}
	}
	if len(log) < 40 || len(tried) < 60 {
		t.Errorf("only %d events and %d states", len(log), len(tried))
	}
	t.Logf("%d events, %d states", len(log), len(tried))
}

// checkBound checks that, before each event, all records that were written more than
// syncTime ago are on disk.
func checkBound(t *testing.T, k kind, log []event, dirsWork bool) {
	t.Helper()
	if !dirsWork {
		return // the bound is that of a disk that works
	}
	for i := range log {
		v := volumeAfter(k, log[:i])
		sure := v.powerCuts(t)[0].sure
		old := crash{sure: map[string]bool{}}
		for _, e := range log[:i] {
			if e.op == "write" && log[i].at.Sub(e.at) > syncTime+time.Millisecond {
				k.addSure(t, &old, slices.Concat(k.begin(), e.octets))
			}
		}
		for name := range old.sure {
			if !sure[name] {
				t.Fatalf("event %d, %s: %s is not on disk yet", i, log[i].op, name)
			}
		}
	}
}

// checkRecovery makes the files of a crash in a directory of their own, and starts a sink
// there: at once, and after starts that crash after a number of operations.
func checkRecovery(t *testing.T, what, from string, v *volume, c crash) {
	t.Helper()
	for crashes := range 5 {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		for name, octets := range c.files {
			write(t, filepath.Join(dir, strings.TrimPrefix(name, from)), octets)
		}
		ran := maps.Clone(v.ran)
		if crashes > 0 {
			startOn(t, v.kind, dir, &crashingDisk{left: crashes - 1}, ran)
		}
		startOn(t, v.kind, dir, realDisk{}, ran)
		checkFiles(t, fmt.Sprintf("%s; %d starts crashed", what, min(crashes, 1)), dir, v, c, ran)
		if !strings.HasPrefix(c.what, "kill") {
			return
		}
	}
}

// startOn starts and stops a sink on a disk, and adds the files for which its command ran.
func startOn(t *testing.T, k kind, dir string, d disk, ran map[string]bool) {
	t.Helper()
	c := k.sink(dir, Config{RotateSize: k.size, OnRotate: []string{"true"}})
	made, err := c.Transport.New(&c, forward.Env{Mode: forward.Live, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	f := made.(*transport)
	f.disk = d
	f.runner.run = func(_ context.Context, path string) error {
		ran[filepath.Base(path)] = true // one command runs at a time, and Close waits for it
		return nil
	}
	if err := errors.Join(f.Open(t.Context()), f.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func checkFiles(t *testing.T, what, dir string, v *volume, c crash, ran map[string]bool) {
	t.Helper()
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		file := e.Name()
		if strings.HasPrefix(file, ".") {
			t.Errorf("%s: %s is left", what, file)
			continue
		}
		if !ran[file] {
			t.Errorf("%s: the command has not run for %s", what, file)
		}
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		of, err := v.kind.names(b)
		if err != nil {
			t.Errorf("%s: %s: %v", what, file, err)
		}
		names = append(names, of...)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("%s: records are doubled", what)
	}
	for name := range c.sure {
		if _, found := slices.BinarySearch(names, name); !found {
			t.Errorf("%s: %s is lost", what, name)
			break
		}
	}
	if int64(len(names)) < v.delivered {
		t.Errorf("%s: %d records, but %d were delivered", what, len(names), v.delivered)
	}
}

// A crashingDisk is a disk whose operations have no effect after a number of them.
type crashingDisk struct {
	realDisk
	mu   sync.Mutex
	left int
}

var errCrashed = errors.New("crashed")

func (d *crashingDisk) crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left--
	return d.left < 0
}

func (d *crashingDisk) rename(from, to string) error {
	if d.crashed() {
		return errCrashed
	}
	return d.realDisk.rename(from, to)
}

func (d *crashingDisk) syncDir(dir string) error {
	if d.crashed() {
		return errCrashed
	}
	return d.realDisk.syncDir(dir)
}

func (d *crashingDisk) remove(path string) error {
	if d.crashed() {
		return errCrashed
	}
	return d.realDisk.remove(path)
}

func (d *crashingDisk) mark(path string) (io.Closer, error) {
	if d.crashed() {
		return nil, errCrashed
	}
	return d.realDisk.mark(path)
}
