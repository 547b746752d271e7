package file

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

// fill gives a sink records, and waits until they are written to the open file.
func fill(t *testing.T, l *forward.Lane, first, n int) {
	t.Helper()
	forwardtest.Burst(t, l, first, n, 100)
	time.Sleep(time.Second)
	synctest.Wait()
}

// confirm confirms within a minute.
func confirm(t *testing.T, in *forward.Inlet) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return in.Confirm(ctx)
}

func TestConfirmCompletesTheOpenFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var syncs syncLog
		f := newForwarder(t, forward.Live, fileSink(dir, "out.nmsg", Config{}), slowly(5*time.Second, &syncs))
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			in := f.Inlet("topic")
			defer in.Close()
			if err := confirm(t, in); err != nil {
				t.Errorf("without a file: %v", err)
			}
			for i := range 2 {
				fill(t, l, 10*i, 10)
				if s := f.Ledger().Sinks[0]; s.Written != 10 {
					t.Errorf("before: %+v", s)
				}
				if err := confirm(t, in); err != nil {
					t.Error(err)
				}
				if s := f.Ledger().Sinks[0]; s.Written != 0 || s.Delivered != uint64(10*i+10) {
					t.Errorf("afterwards: %+v", s)
				}
			}
			if diff := cmp.Diff(map[string]int{"out.nmsg": 10, "out-1.nmsg": 10}, contents(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}

// TestAFileThatCannotBeCompletedIsNotConfirmed, until it is complete.
func TestAFileThatCannotBeCompletedIsNotConfirmed(t *testing.T) {
	for name, make := range map[string]func(fails *atomic.Bool) disk{
		"rename": func(fails *atomic.Bool) disk {
			return testDisk{naming: func(string, string) error { return failing(fails) }}
		},
		"directory": func(fails *atomic.Bool) disk {
			return testDisk{syncing: func(string) error { return failing(fails) }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var fails atomic.Bool
				fails.Store(true)
				dir := t.TempDir()
				f := forwardtest.New(t, forward.Live, new(forwardtest.Log), onDisk(fileSink(dir, "out.nmsg", Config{}), make(&fails)))
				if err := forwardtest.Run(f, func(l *forward.Lane) {
					in := f.Inlet("topic")
					defer in.Close()
					fill(t, l, 0, 10)
					if err := confirm(t, in); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no space left") {
						t.Errorf("while it fails: %v", err)
					}
					if s := f.Ledger().Sinks[0]; s.Written != 10 || s.Files.Retried != 1 {
						t.Errorf("while it fails: %+v", s)
					}
					fails.Store(false)
					if err := confirm(t, in); err != nil {
						t.Error(err)
					}
					if s := f.Ledger().Sinks[0]; s.Delivered != 10 || s.Files.Retried != 0 {
						t.Errorf("afterwards: %+v", s)
					}
				}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestAFileThatCannotBeSyncedIsNotConfirmed: its records are lost, which the next Confirm does not
// report again.
func TestAFileThatCannotBeSyncedIsNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var files atomic.Int64
		f := newForwarder(t, forward.Live, fileSink(t.TempDir(), "out.nmsg", Config{}), func(path string) (openFile, error) {
			f, err := realDisk{}.create(path)
			if files.Add(1) == 1 {
				return badFile{openFile: f, sync: unix.EIO}, err
			}
			return f, err
		})
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			in := f.Inlet("topic")
			defer in.Close()
			fill(t, l, 0, 10)
			if err := confirm(t, in); err == nil || !strings.Contains(err.Error(), "lost 10 records") {
				t.Errorf("got %v", err)
			}
			fill(t, l, 10, 10)
			if err := confirm(t, in); err != nil {
				t.Errorf("the next file: %v", err)
			}
		}); err != nil {
			t.Error(err)
		}
	})
}
