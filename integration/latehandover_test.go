package integration

import (
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestDelayedPacketsReplaceDnstapToo is TestPacketsReplaceDnstapWhileTheSocketIsMissing on a
// span port with a delay of 700 ms: at the start of a capture packets repeat exchanges that
// dnstap has reported, and at its end dnstap reports exchanges before the packets arrive.
func TestDelayedPacketsReplaceDnstapToo(t *testing.T) {
	const delay, slackAtEnd = 700 * time.Millisecond, 500 * time.Millisecond
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		port := w.SpanPort(t, lab.SpanOptions{Delay: delay})
		packets, sink := idleSource(port.Interfaces[0]), keepAddress+fileSink("first", "dnsqr")
		s := startSensor(t, port.Namespace, unixSource+packets+sink)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Span: port})
		s.awaitLog(t, connected, 1)
		f := startFlow(t, w, resolver, flowPause)
		f.during(t, 2*time.Second)
		covered := f.await(t, 1)
		f.during(t, lab.SendDelay)
		before := s.captures(t)

		s.reload(t, packets+sink, "reloaded")
		closed := f.await(t, 1)
		s.awaitLog(t, captureBegins, before+1)
		awaitCapture(t, port.Namespace, 1)
		begun := f.await(t, 1)
		f.during(t, 4*time.Second)

		listening, back := f.await(t, 1), time.Now()
		s.reload(t, unixSource+packets+sink, "reloaded")
		s.awaitLog(t, captureEnded, before+1)
		ended := f.await(t, 1)
		// Packets of the last moments before the end are delayed, and a resolver without a
		// buffer may not report them over dnstap either.
		perQuestion := time.Since(back) / time.Duration(ended-listening)
		unseen := ended - int64((delay+slackAtEnd)/perQuestion)
		f.during(t, 4*time.Second)
		f.stop(t)
		resolver.Stop(t)
		closing := s.stop(t)
		f.checkOnce(t, exceptOne(covered, closed, func(i int64) bool {
			return r.buffers || i < covered || begun < i && i < unseen || i > ended
		}), s.written(t, "first"))
		if closing.sources["span"].Records == 0 {
			t.Error("no record came from packets: the test checks nothing")
		}
		s.packets(t).checkNoDrops(t)
		t.Logf("capture from h%d on, %d records of packets, %d duplicates", begun, closing.sources["span"].Records, closing.Dropped["duplicate"])
	})
}
