package spool

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// child spools containers until it is killed, and prints the checksum of each one that is in
// the spool.
func child(dir string) {
	p := newPeer()
	p.set(fails)
	s := newSink(nil, dir, p)
	c := forwardtest.Sink("sie", forward.Target{}, s.config)
	t, err := s.config.New(&c, forward.Env{Mode: forward.Live, Log: slog.New(slog.DiscardHandler), Settle: s.ledger.settle, Resume: s.ledger.resume})
	if err == nil {
		err = t.Open(context.Background())
	}
	for n := uint32(0); err == nil; n++ {
		b := forwardtest.Batch(new(testing.T), 1, 300, 1)
		nmsg.SetSequence(b.Bytes(0), b.ID, n)
		if _, err = t.Send(context.Background(), []*forward.Batch{b}, 0); err == nil {
			fmt.Println(checksum(b.Buf))
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestAKilledProcessLosesNothing kills a process that spools, and sends what it left. Before
// that, the process keeps others from its folder.
func TestAKilledProcessLosesNothing(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var printed []string
	lines := bufio.NewScanner(out)
	for len(printed) < 300 && lines.Scan() {
		printed = append(printed, lines.Text())
	}
	s := newSink(t, dir, newPeer())
	c := forwardtest.Sink("sie", forward.Target{}, s.config)
	other, err := s.config.New(&c, s.env())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Errorf("Open: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		printed = append(printed, lines.Text())
	}
	cmd.Wait() // it was killed
	if len(printed) < 300 {
		t.Fatalf("the child has printed %d lines, the last is %q", len(printed), lines.Text())
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t, dir, newPeer())
		s.open()
		s.rest(time.Minute)
		s.close()
		got := s.peer.received()
		if len(got) < len(printed) || len(got) > len(printed)+1 || s.Spool().Damaged > 0 {
			t.Fatalf("%d containers were sent, want %d", len(got), len(printed))
		}
		for i, want := range printed {
			if sum := fmt.Sprint(checksum([]byte(got[i].octets))); sum != want {
				t.Fatalf("container %d differs", i)
			}
		}
	})
}
