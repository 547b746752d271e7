package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallPipe holds less than the captures that tests write: what was written is being read.
func smallPipe(t *testing.T) (in, feed *os.File) {
	t.Helper()
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		feed.Close()
	})
	raw, err := feed.SyscallConn() // Fd would take its deadlines
	if err != nil {
		t.Fatal(err)
	}
	var refused error
	err = raw.Control(func(fd uintptr) { _, refused = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 4096) })
	if err := errors.Join(err, refused, feed.SetWriteDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	return in, feed
}

// TestASignalLeavesAPipeToItsEnd: whoever writes to it gets the same signal, and has
// something left to write.
func TestASignalLeavesAPipeToItsEnd(t *testing.T) {
	packets, err := os.ReadFile("testdata/unbound.pcap")
	if err != nil {
		t.Fatal(err)
	}
	ofPackets := []string{"--resolvers", "192.0.2.53,2001:db8:53::53"}
	for _, c := range []struct {
		name    string
		run     func(context.Context, []string, stdio) error
		args    []string
		written []byte
		says    string
	}{
		{"replay, dnstap", replay, []string{"--to", "stdout:", "-"}, demoCapture, "read 355 "},
		{"replay, packets", replay, append(ofPackets, "--to", "stdout:", "-"), packets, "packets 384 "},
		{"explain, dnstap", explainWhatLeaves, []string{"-"}, demoCapture, "read 355 "},
		{"explain, packets", explainWhatLeaves, append(ofPackets, "-"), packets, "not_outward 118 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, feed := smallPipe(t)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var out, said bytes.Buffer
			done := make(chan error, 1)
			go func() { done <- c.run(ctx, c.args, stdio{in: in, out: &out, err: &said}) }()
			half := len(c.written) / 2
			for i, part := range [][]byte{c.written[:half], c.written[half:]} {
				if _, err := feed.Write(part); err != nil {
					t.Fatalf("part %d: %v", i, err)
				}
				interrupt() // once the first part has been written
			}
			feed.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			told := strings.Join(strings.Fields(said.String()+out.String()), " ")
			if !strings.Contains(told, c.says) || strings.Contains(told, "not the whole truth") {
				t.Errorf("want %q: %.3000s", c.says, told)
			}
		})
	}
}

// longTimes is how often a capture is repeated so that it takes longer than a signal does.
const longTimes = 20

// reading starts replay, and returns when it reads; most of the capture is left to feed.
func reading(t *testing.T, to string) (p *process, feed *os.File, left []byte) {
	t.Helper()
	packets, err := os.ReadFile("testdata/unbound.pcap")
	if err != nil {
		t.Fatal(err)
	}
	const header = 24
	left = append(packets, bytes.Repeat(packets[header:], longTimes-1)...)
	in, feed := smallPipe(t)
	p = &process{Cmd: exec.Command("dnstap-pdns", "replay", "--resolvers", "192.0.2.53", "--to", to, "-")}
	p.Stdin, p.Stderr = in, &p.errs
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() { p.Process.Kill() })
	const part = 20_000
	if _, err := feed.Write(left[:part]); err != nil {
		t.Fatal(err)
	}
	return p, feed, left[part:]
}

// TestASignalEndsAPipeline as Ctrl-C in a terminal does, and its file is there.
func TestASignalEndsAPipeline(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.nmsg")
	p, feed, left := reading(t, "file://"+out)
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Write(left); err != nil {
		t.Error(err)
	}
	feed.Close()
	if code := p.end(t); code != exitDone || account(t, p.errs.String())["packets"] != 384*longTimes {
		t.Errorf("exit %d: %s", code, &p.errs)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}

// TestAPipeThatGoesOnIsLeft: who goes on writing, or writes nothing, holds up no stop.
func TestAPipeThatGoesOnIsLeft(t *testing.T) {
	for name, begun := range map[string]string{
		"before a byte":    "",
		"within the magic": "\x00\x00",
		"within a frame":   "\x00\x00\x00\x00\x00\x00",
		"within a capture": "\xd4\xc3\xb2\xa1\x02\x00",
		"within gzip":      "\x1f\x8b\x08\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, feed := smallPipe(t)
			if _, err := io.WriteString(feed, begun); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			err := replay(ctx, []string{"--resolvers", "192.0.2.53", "--to", "stdout:", "-"}, stdio{in: in, out: io.Discard, err: io.Discard})
			if !errors.Is(err, errStopped) || !errors.Is(err, errPipeOpen) || strings.Contains(err.Error(), "context") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took < lingerTime || took > lingerTime+2*time.Second {
				t.Errorf("stopped after %v", took)
			}
		})
	}
}

// TestASignalEndsAFileAtOnce, and what comes behind a pipe is not read.
func TestASignalEndsAFileAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	err := replay(ctx, []string{"--to", "stdout:", "demo.fstrm"}, stdio{out: io.Discard, err: io.Discard})
	if !errors.Is(err, errStopped) || strings.Contains(err.Error(), "context") || time.Since(start) > lingerTime {
		t.Errorf("a file: got %v after %v", err, time.Since(start))
	}

	in, feed := smallPipe(t)
	ctx, cancel = context.WithCancel(t.Context())
	var said bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- replay(ctx, []string{"--to", "stdout:", "-", "demo.fstrm"}, stdio{in: in, out: io.Discard, err: &said})
	}()
	feed.Write(demoCapture[:20_000])
	cancel()
	feed.Write(demoCapture[20_000:])
	feed.Close()
	if err := <-done; !errors.Is(err, errStopped) || errors.Is(err, errPipeOpen) || account(t, said.String())["read"] != 355 {
		t.Errorf("a file behind a pipe: got %v:\n%s", err, &said)
	}
}

// TestASecondSignalStopsAtOnce, whatever is to come through the pipe.
func TestASecondSignalStopsAtOnce(t *testing.T) {
	p, _, _ := reading(t, "stdout:")
	start := time.Now()
	ended := make(chan int, 1)
	go func() { ended <- p.end(t) }()
	code := 0
	await(t, "it is gone", func() bool {
		p.Process.Signal(syscall.SIGTERM)
		select {
		case code = <-ended:
			return true
		default:
			return false
		}
	})
	if took := time.Since(start); took > lingerTime || code != -1 {
		t.Errorf("exit %d after %v: %s", code, took, &p.errs)
	}
}
