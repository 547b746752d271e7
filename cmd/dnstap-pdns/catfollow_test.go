package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
)

// A following is a follower in a bubble, whose clock the test moves.
type following struct {
	t         *testing.T
	dir       string
	out, errs lockedBuffer
	stop      context.CancelFunc
	done      chan error
}

// startFollowing follows a file in dir, or dir itself if name is empty.
func startFollowing(t *testing.T, dir, name string) *following {
	f := &following{t: t, dir: dir, done: make(chan error, 1)}
	p := &printer{present: present.Printer{Format: present.JSON}, out: bufio.NewWriter(&f.out), errors: &f.errs}
	ctx, stop := context.WithCancel(t.Context())
	f.stop = stop
	go func() { f.done <- p.follow(ctx, filepath.Join(dir, name)) }()
	return f
}

// add appends octets to a file.
func (f *following) add(name string, octets []byte) {
	f.t.Helper()
	file, err := os.OpenFile(filepath.Join(f.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	_, err = file.Write(octets)
	if closed := file.Close(); err != nil || closed != nil {
		f.t.Fatal(err, closed)
	}
}

func (f *following) rename(from, to string) {
	f.t.Helper()
	if err := os.Rename(filepath.Join(f.dir, from), filepath.Join(f.dir, to)); err != nil {
		f.t.Fatal(err)
	}
}

// expect compares what was printed since the latest call, after the follower has looked again.
func (f *following) expect(what, want string) {
	f.t.Helper()
	time.Sleep(2 * followTime)
	synctest.Wait()
	if d := cmp.Diff(want, f.out.take()); d != "" {
		f.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// end stops the follower and returns its error.
func (f *following) end() error {
	f.stop()
	return <-f.done
}

func TestFollowPrintsAFolderAsItsFilesRotate(t *testing.T) {
	qr, qrText := vector(t, "unbound-dnsqr.nmsg"), string(vector(t, "unbound-dnsqr.json"))
	obs, obsText := vector(t, "dnsobs.nmsg"), string(vector(t, "dnsobs.json"))
	synctest.Test(t, func(t *testing.T) {
		f := startFollowing(t, t.TempDir(), "")
		f.expect("an empty folder", "")
		f.add("notes.txt", []byte("not NMSG"))
		f.add(".1.nmsg.part", qr)
		f.expect("an unfinished file", qrText)
		f.add(".1.nmsg.part", obs[:len(obs)-5])
		f.expect("a part of a container", "")
		f.add(".1.nmsg.part", obs[len(obs)-5:])
		f.expect("the rest of the container", obsText)
		f.rename(".1.nmsg.part", "1.nmsg")
		f.expect("a finished file", "")
		f.add(".2.nmsg.part", obs)
		f.expect("the next file", obsText)
		f.add(".2.nmsg.part", qr)
		f.rename(".2.nmsg.part", "2.nmsg")
		f.add("3.nmsg", obs)
		f.add(".4.nmsg.part", qr[:100])
		f.expect("two files since the latest look", qrText+obsText)
		if err := f.end(); err != nil {
			t.Error(err)
		}
		f.expect("the end", "")
		const want = ".4.nmsg.part: at offset 0: a container of 37527 bytes ends after 100: unexpected EOF: it is being written\n"
		if got := f.errs.take(); got != filepath.Join(f.dir, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestFollowBeginsWithTheNewestFile(t *testing.T) {
	qr, qrText := vector(t, "unbound-dnsqr.nmsg"), string(vector(t, "unbound-dnsqr.json"))
	obs := vector(t, "dnsobs.nmsg")
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := &following{t: t, dir: dir}
		f.add("b.nmsg", obs)
		f.add("a.nmsg", qr)
		if err := os.Chtimes(filepath.Join(dir, "b.nmsg"), time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		f = startFollowing(t, dir, "")
		f.expect("the newest", qrText)
		if err := f.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestFollowPrintsTheFileThatReplacesAFile(t *testing.T) {
	qr, qrText := vector(t, "unbound-dnsqr.nmsg"), string(vector(t, "unbound-dnsqr.json"))
	obs, obsText := vector(t, "dnsobs.nmsg"), string(vector(t, "dnsobs.json"))
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := &following{t: t, dir: dir}
		f.add("x", obs)
		f = startFollowing(t, dir, "x")
		f.expect("the file", obsText)
		f.rename("x", "old")
		f.add("old", qr)
		f.expect("after it was renamed", qrText)
		f.add("x", obs)
		f.expect("its successor", obsText)
		f.add("x", []byte("junk and more"))
		f.expect("damage", "")
		if err := f.end(); err == nil || !strings.Contains(err.Error(), "damaged in 1 places") {
			t.Error(err)
		}
	})
}

// TestFollowFindsFilesThatAreRenamedMeanwhile: between a listing and the opening of its files, a file
// gets its name, or another file gets the old one.
func TestFollowFindsFilesThatAreRenamedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := follower{ctx: t.Context(), path: dir}
	defer f.close()
	put(".x.nmsg.part", "first")
	listed, err := f.list()
	if err != nil || len(listed) != 1 {
		t.Fatal(listed, err)
	}
	if err := os.Rename(filepath.Join(dir, ".x.nmsg.part"), filepath.Join(dir, "x-1.nmsg")); err != nil {
		t.Fatal(err)
	}
	if f.add(&listed[0]) {
		t.Error("a file was opened under a path that it no longer has")
	}
	put(".x.nmsg.part", "second")
	if f.add(&listed[0]) {
		t.Error("another file was opened")
	}
	for range 3 {
		f.search()
	}
	var got []string
	for _, file := range f.waiting {
		text, err := io.ReadAll(file)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(text))
	}
	slices.Sort(got) // both may have the same time
	if d := cmp.Diff([]string{"first", "second"}, got); d != "" {
		t.Errorf("each file once (-want +got):\n%s", d)
	}
}

// TestFollowDistinguishesFilesWithTheSameNumber deletes a file and makes another one, to which many
// file systems give the same inode.
func TestFollowDistinguishesFilesWithTheSameNumber(t *testing.T) {
	qr, qrText := vector(t, "unbound-dnsqr.nmsg"), string(vector(t, "unbound-dnsqr.json"))
	obs, obsText := vector(t, "dnsobs.nmsg"), string(vector(t, "dnsobs.json"))
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		f := &following{t: t, dir: dir}
		f.add("old.nmsg", obs)
		if err := os.Chtimes(filepath.Join(dir, "old.nmsg"), time.Time{}, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		f.add("a.nmsg", qr)
		f = startFollowing(t, dir, "")
		f.expect("the newest", qrText)
		if err := os.Remove(filepath.Join(dir, "old.nmsg")); err != nil {
			t.Fatal(err)
		}
		f.add(".b.nmsg.part", obs)
		f.expect("the next", obsText)
		if err := f.end(); err != nil {
			t.Error(err)
		}
	})
}

func TestFollowEndsAtASignal(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := startCommand(t, "cat", "--follow", "--json", vectors+"dnsobs.nmsg")
		for want := range strings.Lines(string(vector(t, "dnsobs.json"))) {
			if got := p.line(t) + "\n"; got != want {
				t.Errorf("got %s want %s", got, want)
			}
		}
		if err := p.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if code := p.end(t); code != exitDone || p.errs.Len() > 0 {
			t.Errorf("%v: exit %d: %s", signal, code, &p.errs)
		}
	}
}
