package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

const (
	maxSilence   = 5 * time.Minute     // without an outward message
	maxOffset    = time.Minute         // of messages' times
	expiryNotice = 14 * 24 * time.Hour // from a warning to a certificate's expiry
)

// A Warning is a problem that an operator should act on.
type Warning struct {
	Says string // the problem
	Do   string // the remedy
}

// Warnings returns the problems that the ledger shows.
func (l *Ledger) Warnings() []Warning {
	var w warnings
	for _, what := range l.Imbalances() {
		w.add("the ledger does not add up: "+what, "This is a defect of dnstap-pdns: please report it.")
	}
	l.warnOfReload(&w)
	for i := range l.Sources {
		s := &l.Sources[i]
		switch {
		case s.Kind == KindRemoved:
			continue
		case s.Dnstap != nil:
			l.warnOfDnstap(&w, s)
		case s.Pcap != nil:
			l.warnOfPackets(&w, s)
		}
		l.warnOfClock(&w, s)
	}
	l.warnOfResolver(&w)
	for i := range l.Sinks {
		l.warnOfSink(&w, &l.Sinks[i])
	}
	return w
}

type warnings []Warning

func (w *warnings) add(says, do string) { *w = append(*w, Warning{says, do}) }

func (l *Ledger) warnOfReload(w *warnings) {
	if !l.Reload.OK {
		w.add(fmt.Sprintf("the reload %s failed, and the configuration before it stays in force: %s", l.ago(l.Reload.Time), l.Reload.Error),
			cmp.Or(l.Reload.Advice, "Run dnstap-pdns check, fix what it reports, and reload again."))
	}
}

func (l *Ledger) warnOfDnstap(w *warnings, s *Source) {
	name := fmt.Sprintf("source %q: ", s.Name)
	l.warnOfCertificate(w, name, s.Dnstap.Certificate)
	if len(s.Dnstap.Connections) == 0 {
		w.add(name+"no resolver is connected",
			"See that a resolver is set up to send here and may write to the socket (dnstap-pdns check says who may not), and restart it.")
		return
	}
	remedied := false
	for i := range s.Dnstap.Connections {
		c := &s.Dnstap.Connections[i]
		if c.Remedy != nil {
			remedied = true
			w.add(fmt.Sprintf("%sconnection %d brings nothing outward, from %s", name, c.Number, c.Remedy.Sender), c.Remedy.Advice+".")
		}
	}
	if since := l.outwardSince(s); !remedied && l.Time.Sub(since) > maxSilence {
		w.add(fmt.Sprintf("%snothing outward has come for %s, though a resolver is connected", name, rounded(l.Time.Sub(since))),
			"Ask the resolver for a name that it cannot know yet. If that is not seen here, restart the resolver.")
	}
}

func (l *Ledger) warnOfResolver(w *warnings) {
	if l.Resolver == nil {
		return
	}
	if l.Resolver.Full {
		w.add("more than 4,096 addresses of the resolver were seen, and the oldest are forgotten",
			"Name the resolver's prefix in scrub.resolvers.")
	}
	outward := slices.ContainsFunc(l.Sources, func(s Source) bool { return !s.LastOutward.IsZero() })
	if outward && !l.Resolver.Public {
		w.add("no public address of the resolver is known: messages contain none, and the configuration names none",
			"Name in scrub.resolvers the public addresses that servers see, after NAT if there is any. Until then, answers that contain them (who-am-I services, your own name servers) leave.")
	}
}

// outwardSince returns the time since which no outward message has come: the time of the latest
// one, of the start, or of the oldest connection, whichever is latest.
func (l *Ledger) outwardSince(s *Source) time.Time {
	since := s.LastOutward
	if since.IsZero() {
		since = l.Started
	}
	if s.Dnstap != nil {
		if oldest := s.Dnstap.Connections[0].Since; oldest.After(since) {
			return oldest
		}
	}
	return since
}

func (l *Ledger) warnOfCertificate(w *warnings, name string, c *Certificate) {
	if c == nil {
		return
	}
	if c.Problem != "" {
		w.add(name+"its TLS files cannot be used, and the certificate read before stays in force: "+c.Problem, "Fix the files; the sensor reads them again by itself.")
	}
	switch left := c.Expires.Sub(l.Time); {
	case left <= 0:
		w.add(fmt.Sprintf("%sits certificate expired on %s", name, c.Expires.Format(time.DateOnly)), "Renew it; the sensor reads it again by itself.")
	case left < expiryNotice:
		w.add(fmt.Sprintf("%sits certificate expires on %s", name, c.Expires.Format(time.DateOnly)), "Renew it; the sensor reads it again by itself.")
	}
}

func (l *Ledger) warnOfPackets(w *warnings, s *Source) {
	name := fmt.Sprintf("source %q: ", s.Name)
	for _, i := range s.Pcap.Interfaces {
		if i.Dropped > 0 {
			w.add(fmt.Sprintf("%sthe kernel has dropped %d packets at %s since the start, %s", name, i.Dropped, i.Name, Share(i.Dropped, i.Dropped+i.Received)),
				"Give the source a larger ring, or more lanes if one core is busy all the time.")
		}
		if s.Pcap.Capturing && !i.Up {
			w.add(fmt.Sprintf("%sinterface %s is down", name, i.Name), "Bring it up, or configure another interface.")
		}
	}
	if refused := s.Pcap.Counts["tunnels_refused"]; refused > 0 && s.Pcap.Counts["tunnelled"] == 0 {
		w.add(fmt.Sprintf("%sall %d tunnels since the start were refused", name, refused),
			"Name in decapsulate_from the addresses from which the mirror sends its tunnels, and in decapsulate_to the addresses to which it sends them, if the interfaces do not have these addresses.")
	}
	if failures := s.Pcap.Failed + s.Pcap.Broken; failures > 0 {
		w.add(fmt.Sprintf("%scapturing failed %d times since the start", name, failures), "The log contains the errors: most often a permission or an interface is missing.")
	}
	if since := l.outwardSince(s); s.Pcap.Capturing && !s.Pcap.StandsIn && l.Time.Sub(since) > maxSilence {
		w.add(fmt.Sprintf("%snothing outward has been seen for %s", name, rounded(l.Time.Sub(since))),
			"See that the interfaces show the resolver's traffic with servers, in both directions, and that resolvers contains the addresses from which it queries.")
	}
}

// warnOfClock compares the messages' times with the clock as of the latest message. It does not
// warn if that is older than maxSilence.
func (l *Ledger) warnOfClock(w *warnings, s *Source) {
	if s.MessageClock.IsZero() || l.Time.Sub(s.LastOutward) > maxSilence {
		return
	}
	if off := s.offset(); off.Abs() > maxOffset {
		relation := "ahead of"
		if off < 0 {
			relation = "behind"
		}
		w.add(fmt.Sprintf("source %q: the messages' times are %s %s this machine's clock", s.Name, rounded(off.Abs()), relation),
			"Set both clocks by NTP. If they are right, the resolver is sending delayed messages, and the warning will end.")
	}
}

// offset returns how far the time of the latest outward message was ahead of the clock when it
// came.
func (s *Source) offset() time.Duration { return s.MessageClock.Sub(s.LastOutward) }

func (l *Ledger) warnOfSink(w *warnings, s *Sink) {
	name := fmt.Sprintf("sink %q: ", s.Name)
	if s.Failing != nil {
		w.add(fmt.Sprintf("%sit fails since %s: %s", name, l.ago(s.Failing.Since), s.Failing.Error),
			fmt.Sprintf("Fix its destination: %s of its queue is in use, and a full queue loses its oldest records.", Share(uint64(s.QueueBytes), uint64(s.QueueMax))))
	}
	if lost := s.Account().Lost.Sum(); lost > 0 {
		w.add(fmt.Sprintf("%sit has lost %d records since the start, %s", name, lost, Share(lost, s.Offered)), "The ledger below shows the reasons.")
	}
	if s.OnRotate.Failed+s.OnRotate.Skipped > 0 {
		w.add(fmt.Sprintf("%son_rotate failed or was skipped for %d files since the start", name, s.OnRotate.Failed+s.OnRotate.Skipped),
			"The log contains the first error; the files were not moved.")
	}
}

// ago returns a time, and how long before the ledger's time it was.
func (l *Ledger) ago(t time.Time) string {
	return fmt.Sprintf("%s (%s ago)", t.Format(time.RFC3339), rounded(l.Time.Sub(t)))
}

// rounded returns a duration in hours, minutes or seconds, whichever is precise enough.
func rounded(d time.Duration) string {
	if d >= 2*time.Hour {
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	if d >= 2*time.Minute {
		return fmt.Sprintf("%dm", int(d.Minutes()))
	}
	return fmt.Sprintf("%ds", int(d.Seconds()))
}

// Share returns n of a whole in percent.
func Share(n, whole uint64) string {
	if n == 0 || whole == 0 {
		return "0 %"
	}
	percent := 100 * float64(n) / float64(whole)
	switch {
	case percent < 0.01:
		return "under 0.01 %"
	case percent < 10:
		return strconv.FormatFloat(percent, 'f', 2, 64) + " %"
	}
	return strconv.FormatFloat(percent, 'f', 1, 64) + " %"
}
