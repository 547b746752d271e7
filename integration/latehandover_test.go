package integration

import (
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestPacketsThatComeLateStandInToo is TestPacketsStandInWhileTheSocketIsAway on a span
// port that shows what passes 700 ms later, so that packets still tell of what dnstap
// had told before, and have not told of what it tells first.
func TestPacketsThatComeLateStandInToo(t *testing.T) {
	const behind, slackAtEnd = 700 * time.Millisecond, 500 * time.Millisecond
	eachSpeaker(t, func(t *testing.T, r speaker) {
		w := lab.NewWorld(t)
		port := w.SpanPort(t, lab.SpanOptions{Delay: behind})
		packets, sink := standIn(port.Interfaces[0]), kept+fileSink("first", "dnsqr")
		s := startSensor(t, port.Namespace, unixSource+packets+sink)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Span: port})
		s.awaitLog(t, connected, 1)
		f := startFlow(t, w, resolver, flowPause)
		f.during(t, 2*time.Second)
		told := f.await(t, 1)
		f.during(t, lab.HoldsBack)
		before := s.captures(t)

		s.reload(t, packets+sink, "reloaded")
		s.awaitLog(t, captureBegins, before+1)
		awaitCapture(t, port.Namespace, 1)
		begun := f.await(t, 1)
		f.during(t, 4*time.Second)

		given, back := f.await(t, 1), time.Now()
		s.reload(t, unixSource+packets+sink, "reloaded")
		s.awaitLog(t, captureEnded, before+1)
		ended := f.await(t, 1)
		// What passed just before the capture's end is not shown yet, and of a resolver
		// that keeps nothing dnstap may not have it either.
		pace := time.Since(back) / time.Duration(ended-given)
		unseen := ended - int64((behind+slackAtEnd)/pace)
		f.during(t, 4*time.Second)
		f.stop(t)
		resolver.Stop(t)
		books := s.stop(t)
		f.checkOnce(t, func(i int64) bool {
			return r.keeps || i < told || begun < i && i < unseen || i > ended
		}, s.written(t, "first"))
		if books.sources["span"].Records == 0 {
			t.Error("packets brought nothing: the test tests nothing")
		}
		s.packets(t).checkNoDrops(t)
		t.Logf("capture from h%d on, %d records of packets, %d duplicates", begun, books.sources["span"].Records, books.Dropped["duplicate"])
	})
}
