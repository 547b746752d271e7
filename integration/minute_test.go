//go:build sweep

package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

func TestMessagesFlowAfterAMinuteWithoutSensor(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) { outage{dnstapResolver: r, lasts: time.Minute}.test(t) })
}

// TestClientsOnlyIsReportedAndNothingLeaves checks a resolver that sends client messages only,
// as Knot Resolver always does: no record leaves, and after a minute the sensor logs the
// remedy once.
func TestClientsOnlyIsReportedAndNothingLeaves(t *testing.T) {
	t.Parallel()
	const report = "only messages that are not outward have come"
	for name, r := range map[string]struct {
		start  startResolver
		remedy string
	}{
		"Unbound": {(*lab.World).Unbound, "dnstap-log-resolver-query-messages: yes"},
		"BIND":    {(*lab.World).BIND, "dnstap { resolver; };"},
		"Knot":    {(*lab.World).Knot, "use a pcap source"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			s := startSensor(t, w.Namespace, unixSource+site+fileSink("first", "dnsqr"))
			resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(s.tapPath()), ClientsOnly: true})
			began := time.Now()
			w.Ask(t, resolver, lab.Questions())
			delayFor(time.Until(began.Add(time.Minute)))
			s.awaitLog(t, report, 1)
			w.Ask(t, resolver, lab.Questions())
			resolver.Stop(t)
			closing := s.stop(t)

			reports := s.logged(t, report)
			if len(reports) != 1 || !strings.Contains(reports[0], r.remedy) {
				t.Errorf("want one report with the remedy %q, got:\n%s", r.remedy, strings.Join(reports, ""))
			}
			checkNothingLeft(t, s, closing)
			if n := closing.Dropped["not_outward"]; n < 2*uint64(len(lab.Questions())) || n != closing.Read {
				t.Errorf("read %d messages, dropped %v", closing.Read, closing.Dropped)
			}
			t.Logf("%+v", closing.account)
		})
	}
}
