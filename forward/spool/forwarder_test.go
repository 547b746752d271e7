package spool

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss"
)

// checkSink returns the ledger of the only sink, and checks its sum.
func checkSink(t *testing.T, f *forward.Forwarder) forward.SinkLedger {
	t.Helper()
	s := f.Ledger().Sinks[0]
	if s.Offered+s.Resumed != s.Sum() {
		t.Errorf("the sum is wrong: %+v", s)
	}
	return s
}

// checkNames checks that the peer received the records of Burst from n0 on, in order when
// repeats are removed.
func checkNames(t *testing.T, p *peer, want int) {
	t.Helper()
	var names []string
	seen := map[string]bool{}
	for _, c := range p.received() {
		of, _, err := forwardtest.Names([]byte(c.octets))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range of {
			if !seen[n] {
				names = append(names, n)
			}
			seen[n] = true
		}
	}
	if len(names) != want {
		t.Errorf("%d records were received, want %d", len(names), want)
	}
	for i, n := range names {
		if !strings.Contains(n, fmt.Sprintf("n%d\x07example", i)) {
			t.Fatalf("record %d is %q", i, n)
		}
	}
}

// TestForwarderWithASpool feeds a sink whose peer goes and returns, stops it and starts it
// again, and changes its configuration while records are in the spool.
func TestForwarderWithASpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink(t, t.TempDir(), newPeer())
		c := forwardtest.Sink("sie", forward.Target{}, s.config)
		s.peer.set(fails)
		f := forwardtest.New(t, forward.Live, io.Discard, c)
		run := func(feed func(l *forward.Lane)) {
			t.Helper()
			if err := forwardtest.Run(f, feed); err != nil {
				t.Error(err)
			}
		}
		run(func(l *forward.Lane) {
			for i := range 10 {
				forwardtest.Burst(t, l, 10*i, 10, 300)
				time.Sleep(time.Second)
				checkSink(t, f)
			}
		})
		if l := checkSink(t, f); l.Spooled != 100 || l.Spool == nil || l.Spool.Bytes == 0 || l.Error == "" {
			t.Errorf("%+v", l)
		}

		f = forwardtest.New(t, forward.Live, io.Discard, c)
		run(func(l *forward.Lane) {
			forwardtest.Burst(t, l, 100, 10, 300)
			time.Sleep(10 * time.Second)
			if l := checkSink(t, f); l.Resumed != 100 || l.Spooled != 110 {
				t.Errorf("%+v", l)
			}
			changed := s.config
			changed.MaxBytes *= 2
			reloaded := forwardtest.Sink("sie", forward.Target{}, changed)
			if err := f.Apply(forwardtest.Policy(t), []forward.SinkConfig{reloaded}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
			if l := checkSink(t, f); l.Resumed != 100 || l.Spooled != 110 {
				t.Errorf("after a reload: %+v", l)
			}
			s.peer.set(acknowledges)
			time.Sleep(time.Minute)
			if l := checkSink(t, f); l.Delivered != 110 || l.Sent.Containers < 11 || l.Sent.Bytes < 110*300 {
				t.Errorf("after the peer returned: %+v", l)
			}
			forwardtest.Burst(t, l, 110, 10, 300)
			time.Sleep(time.Minute)
		})
		if l := checkSink(t, f); l.Delivered != 120 || l.Spooled != 0 || l.Error != "" {
			t.Errorf("%+v", l)
		}
		checkNames(t, s.peer, 120)
	})
}

func TestAFolderIsForOneChannel(t *testing.T) {
	dirs := map[string]bool{}
	for _, channel := range []uint32{202, 203} {
		c := Config{Dir: "/spool", Transport: wss.Config{Channel: channel}}
		s := forwardtest.Sink("sie", forward.Target{}, c)
		dir, err := c.folder(&s)
		if err != nil {
			t.Fatal(err)
		}
		dirs[dir] = true
	}
	if !dirs["/spool/sie,dnsqr,ch202"] || !dirs["/spool/sie,dnsqr,ch203"] {
		t.Errorf("%v", dirs)
	}
}
