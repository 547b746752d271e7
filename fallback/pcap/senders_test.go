package pcap

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const idleAfter = time.Minute

// captureOnce waits for silence, sends the time of its begin, waits for its end, sends the
// cause, and hands over after d.
func captureOnce(ctx context.Context, s *DnstapSenders, d time.Duration) (began <-chan time.Time, ended <-chan error) {
	b, e := make(chan time.Time, 1), make(chan error, 1)
	go func() {
		capturing, end := s.awaitSilence(ctx, idleAfter)
		if end == nil {
			e <- ctx.Err()
			return
		}
		b <- time.Now()
		<-capturing.Done()
		e <- context.Cause(capturing)
		<-time.After(d)
		end()
	}()
	return b, e
}

// after returns the time from start to the time in c, or -1 if c is empty.
func after(t *testing.T, start time.Time, c <-chan time.Time) time.Duration {
	t.Helper()
	synctest.Wait()
	select {
	case at := <-c:
		return at.Sub(start)
	default:
		return -1
	}
}

func TestSilenceBeginsACapture(t *testing.T) {
	type step struct {
		pause time.Duration // before it
		do    func(*DnstapSenders)
	}
	outward, ended := (*DnstapSenders).OutwardBegins, (*DnstapSenders).OutwardEnds
	for _, c := range []struct {
		name  string
		steps []step
		want  time.Duration // -1: never
	}{
		{"no connection", nil, idleAfter},
		{"an active connection stays, and is quiet", []step{{0, outward}}, -1},
		{"one ends", []step{{0, outward}, {10 * time.Second, ended}}, 70 * time.Second},
		{"one of two ends", []step{{0, outward}, {0, outward}, {0, ended}}, -1},
		{"both end", []step{{0, outward}, {0, outward}, {0, ended}, {time.Second, ended}}, 61 * time.Second},
		{"it comes back in time, and ends again", []step{{0, outward}, {0, ended}, {59 * time.Second, outward}, {0, ended}}, 119 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				start := time.Now()
				s := NewSenders()
				began, ended := captureOnce(ctx, s, 0)
				for _, step := range c.steps {
					time.Sleep(step.pause)
					step.do(s)
				}
				time.Sleep(time.Hour)
				if got := after(t, start, began); got != c.want {
					t.Errorf("began after %v, want %v", got, c.want)
				}
				cancel()
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestAnOutwardMessageEndsTheCapture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSenders()
		const handOverTakes = 300 * time.Millisecond
		_, ended := captureOnce(t.Context(), s, handOverTakes)
		time.Sleep(2 * idleAfter)
		start := time.Now()
		s.OutwardBegins()
		if waited := time.Since(start); waited != handOverTakes {
			t.Errorf("the message waited for %v, want %v", waited, handOverTakes)
		}
		if err := <-ended; !errors.Is(err, errDnstapOutward) {
			t.Errorf("ended with %v", err)
		}
		start = time.Now()
		s.OutwardBegins()
		if waited := time.Since(start); waited != 0 {
			t.Errorf("without a capture a message waited for %v", waited)
		}
	})
}

func TestMessagesOfTwoSendersWaitForTheSameEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSenders()
		_, ended := captureOnce(t.Context(), s, 300*time.Millisecond)
		time.Sleep(2 * idleAfter)
		other := make(chan time.Duration)
		start := time.Now()
		go func() {
			time.Sleep(100 * time.Millisecond)
			s.OutwardBegins()
			other <- time.Since(start)
		}()
		s.OutwardBegins()
		if waited := <-other; waited != 300*time.Millisecond {
			t.Errorf("the second waited until %v, want 300ms", waited)
		}
		<-ended
	})
}

func TestACaptureThatDoesNotEndDelaysMessagesForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSenders()
		_, ended := captureOnce(t.Context(), s, time.Hour)
		time.Sleep(2 * idleAfter)
		start := time.Now()
		s.OutwardBegins()
		if waited := time.Since(start); waited != handOverTime {
			t.Errorf("the message waited for %v, want %v", waited, handOverTime)
		}
		<-ended
		time.Sleep(time.Hour)
	})
}

// TestNoCaptureBeginsOnceTheSourceIsStopped ends the context of a source during a capture.
// The silence continues and must not begin another capture.
func TestNoCaptureBeginsOnceTheSourceIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := NewSenders()
		_, end := s.awaitSilence(ctx, idleAfter)
		cancel()
		end()
		if capturing, _ := s.awaitSilence(ctx, idleAfter); capturing != nil {
			t.Errorf("another capture begins, and ends with %v", context.Cause(capturing))
		}
	})
}
