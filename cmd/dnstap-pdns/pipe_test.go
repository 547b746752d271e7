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

// smallPipe returns a pipe with a small buffer: when a write of a capture returns, most of it
// has been read.
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
	raw, err := feed.SyscallConn() // Fd would disable deadlines
	if err != nil {
		t.Fatal(err)
	}
	var sizeErr error
	err = raw.Control(func(fd uintptr) { _, sizeErr = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 4096) })
	if err := errors.Join(err, sizeErr, feed.SetWriteDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	return in, feed
}

// TestPipeIsReadToItsEndAfterASignal: its writer gets the same signal, and may still write.
func TestPipeIsReadToItsEndAfterASignal(t *testing.T) {
	packets, err := os.ReadFile("testdata/unbound.pcap")
	if err != nil {
		t.Fatal(err)
	}
	packetArgs := []string{"--resolvers", "192.0.2.53,2001:db8:53::53"}
	for _, c := range []struct {
		name    string
		run     func(context.Context, []string, stdio) error
		args    []string
		written []byte
		want    string
	}{
		{"replay, dnstap", replay, []string{"--to", "stdout:", "-"}, demoCapture, "read 355 "},
		{"replay, packets", replay, append(packetArgs, "--to", "stdout:", "-"), packets, "packets 384 "},
		{"explain, dnstap", runExplain, []string{"-"}, demoCapture, "read 355 "},
		{"explain, packets", runExplain, append(packetArgs, "-"), packets, "not_outward 118 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, feed := smallPipe(t)
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			var out, errs bytes.Buffer
			done := make(chan error, 1)
			go func() { done <- c.run(ctx, c.args, stdio{in: in, out: &out, err: &errs}) }()
			half := len(c.written) / 2
			for i, part := range [][]byte{c.written[:half], c.written[half:]} {
				if _, err := feed.Write(part); err != nil {
					t.Fatalf("part %d: %v", i, err)
				}
				interrupt() // after the first part was written
			}
			feed.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			text := strings.Join(strings.Fields(errs.String()+out.String()), " ")
			if !strings.Contains(text, c.want) || strings.Contains(text, "Incomplete") {
				t.Errorf("want %q: %.3000s", c.want, text)
			}
		})
	}
}

// repetitions of a capture make reading it take longer than a signal.
const repetitions = 20

// startReading starts replay, and returns when it reads. The test writes rest to feed.
func startReading(t *testing.T, to string) (p *process, feed *os.File, rest []byte) {
	t.Helper()
	packets, err := os.ReadFile("testdata/unbound.pcap")
	if err != nil {
		t.Fatal(err)
	}
	const header = 24
	rest = append(packets, bytes.Repeat(packets[header:], repetitions-1)...)
	in, feed := smallPipe(t)
	p = &process{Cmd: exec.Command("dnstap-pdns", "replay", "--resolvers", "192.0.2.53", "--to", to, "-")}
	p.Stdin, p.Stderr = in, &p.errs
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() { p.Process.Kill() })
	const part = 20_000
	if _, err := feed.Write(rest[:part]); err != nil {
		t.Fatal(err)
	}
	return p, feed, rest[part:]
}

// TestSignalEndsAPipeline as Ctrl-C in a terminal does, and its file is published.
func TestSignalEndsAPipeline(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out.nmsg")
	p, feed, rest := startReading(t, "file://"+out)
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := feed.Write(rest); err != nil {
		t.Error(err)
	}
	feed.Close()
	if code := p.end(t); code != exitDone || account(t, p.errs.String())["packets"] != 384*repetitions {
		t.Errorf("exit %d: %s", code, &p.errs)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}

// TestPipeThatStaysOpenDoesNotPreventAStop, even if no more data comes.
func TestPipeThatStaysOpenDoesNotPreventAStop(t *testing.T) {
	for name, start := range map[string]string{
		"before a byte":    "",
		"within the magic": "\x00\x00",
		"within a frame":   "\x00\x00\x00\x00\x00\x00",
		"within a capture": "\xd4\xc3\xb2\xa1\x02\x00",
		"within gzip":      "\x1f\x8b\x08\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, feed := smallPipe(t)
			if _, err := io.WriteString(feed, start); err != nil {
				t.Fatal(err)
			}
			err, began := errStopped, time.Time{}
			// A busy machine may not read before the signal. Then nothing was read.
			for wait := 50 * time.Millisecond; errors.Is(err, errStopped) && !errors.Is(err, errPipeOpen) && wait < patience; wait *= 2 {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				began = time.Now().Add(wait)
				err = replay(ctx, []string{"--resolvers", "192.0.2.53", "--to", "stdout:", "-"}, stdio{in: in, out: io.Discard, err: io.Discard})
				cancel()
			}
			if !errors.Is(err, errStopped) || !errors.Is(err, errPipeOpen) || strings.Contains(err.Error(), "context") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took < pipeGrace || took > pipeGrace+patience {
				t.Errorf("stopped after %v", took)
			}
		})
	}
}

// TestSignalEndsAFileAtOnce, and inputs after a pipe are not read.
func TestSignalEndsAFileAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	start := time.Now()
	err := replay(ctx, []string{"--to", "stdout:", "demo.fstrm"}, stdio{out: io.Discard, err: io.Discard})
	if !errors.Is(err, errStopped) || strings.Contains(err.Error(), "context") || time.Since(start) > pipeGrace {
		t.Errorf("a file: got %v after %v", err, time.Since(start))
	}

	in, feed := smallPipe(t)
	ctx, cancel = context.WithCancel(t.Context())
	var errs bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- replay(ctx, []string{"--to", "stdout:", "-", "demo.fstrm"}, stdio{in: in, out: io.Discard, err: &errs})
	}()
	feed.Write(demoCapture[:20_000])
	cancel()
	feed.Write(demoCapture[20_000:])
	feed.Close()
	if err := <-done; !errors.Is(err, errStopped) || errors.Is(err, errPipeOpen) || account(t, errs.String())["read"] != 355 {
		t.Errorf("a file after a pipe: got %v:\n%s", err, &errs)
	}
}

// TestSecondSignalStopsAtOnce, although the pipe is open.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	p, _, _ := startReading(t, "stdout:")
	start := time.Now()
	ended := make(chan int, 1)
	go func() { ended <- p.end(t) }()
	code := 0
	await(t, "the process has ended", func() bool {
		p.Process.Signal(syscall.SIGTERM)
		select {
		case code = <-ended:
			return true
		default:
			return false
		}
	})
	if took := time.Since(start); took > pipeGrace || code != -1 {
		t.Errorf("exit %d after %v: %s", code, took, &p.errs)
	}
}
