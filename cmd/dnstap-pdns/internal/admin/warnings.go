package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/shortage"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	maxSilence    = 5 * time.Minute     // without an outward message
	maxOffset     = time.Minute         // of messages' times
	expiryNotice  = 14 * 24 * time.Hour // from a warning to a certificate's expiry
	failureNotice = 10 * time.Minute    // after the latest failure of a handshake

	sinkExpiryNotice = 30 * 24 * time.Hour // the same for the certificate of a sink, which others may have to issue
	maxSpoolAge      = time.Hour           // of the oldest records in a spool
	maxSpoolShare    = 0.8                 // of a spool's limit that is in use
	maxUnconfirmed   = 5 * time.Minute     // without an acknowledgement, while records wait for one

	maxIntervals = 3                // of a Kafka source without a commit
	commitNotice = 2 * time.Minute  // in addition, for a confirmation that takes long
	maxLagTime   = 10 * time.Minute // that messages take which a Kafka source has not read yet
)

// A Warning is a problem that an operator should act on.
type Warning struct {
	Problem string `json:"says"` // the problem
	Remedy  string `json:"do"`   // the remedy
}

// Warnings returns a Warning for each problem that the ledger shows. They contain no addresses.
func (l *Ledger) Warnings() []Warning { return l.WarningsWithSenders(nil) }

// WarningsWithSenders is Warnings with the addresses that senders contains, which may be shown on
// loopback only.
func (l *Ledger) WarningsWithSenders(senders []PacketSenders) []Warning {
	var w warnings
	for _, what := range l.Imbalances() {
		w.add("the ledger does not add up: "+what, "This is a defect of dnstap-pdns: please report it.")
	}
	l.warnOfReload(&w)
	l.warnOfConfig(&w)
	for i := range l.Sources {
		s := &l.Sources[i]
		switch {
		case s.Kind == KindRemoved:
			continue
		case s.Dnstap != nil:
			l.warnOfDnstap(&w, s)
		case s.Pcap != nil:
			l.warnOfPackets(&w, s)
		case s.Kafka != nil:
			l.warnOfKafka(&w, s)
			continue
		}
		l.warnOfFewRecords(&w, s, senders)
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

// warnOfConfig omits the warning that no address of the resolver is configured:
// warnOfResolver also knows those that messages contained.
func (l *Ledger) warnOfConfig(w *warnings) {
	for _, c := range l.ConfigWarnings {
		if c.Name != conf.ResolverUnknown {
			w.add(c.Problem, c.Advice)
		}
	}
}

func (l *Ledger) warnOfDnstap(w *warnings, s *Source) {
	name := fmt.Sprintf("source %q: ", s.Name)
	l.warnOfCertificate(w, name, s.Dnstap.Certificate)
	if p := s.Dnstap.Problem; p != nil {
		w.add(name+"resolvers cannot connect: "+p.Says, p.Advice)
	}
	if n := s.Dnstap.SocketsRestored; n > 0 {
		w.add(fmt.Sprintf("%sthe socket file was removed or replaced %d times since the start, and created again", name, n),
			"Find out what removes it: another sensor with the same path, a service with the same RuntimeDirectory, or a script that cleans the folder.")
	}
	if n := s.Dropped[transform.Oversize.String()]; n > 0 {
		w.add(fmt.Sprintf("%s%d frames were longer than max_frame since the start, %s", name, n, Share(n, s.Read)),
			"Increase max_frame of the source. The log contains the length of the first such frame of each connection.")
	}
	if n := s.Dnstap.Broken; n > 0 {
		w.add(fmt.Sprintf("%s%d connections were closed because of broken framing since the start", name, n),
			"The log contains the errors. See that only resolvers connect to this source, and that they send dnstap.")
	}
	if f := s.Dnstap.Failure; f != nil && l.Time.Sub(f.Time) < failureNotice {
		w.add(fmt.Sprintf("%sa handshake failed %s: %s", name, l.ago(f.Time), f.Error),
			"Change the sender accordingly. The log has its user and process or, at level debug, its address. The warning ends 10 minutes after the latest failure.")
	}
	if len(s.Dnstap.Connections) == 0 {
		w.add(name+"no resolver is connected",
			"Check that a resolver is configured to send here and may write to the socket (dnstap-pdns check reports who may not), then restart it.")
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
	outward := slices.ContainsFunc(l.Sources, func(s Source) bool { return !s.LastOutward.IsZero() && s.Kafka == nil })
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
	l.warnOfExpiry(w, name+"its certificate", c.Expires, expiryNotice, "Renew it; the sensor reads it again by itself.")
}

// warnOfExpiry warns if the certificate has expired, or expires within notice.
func (l *Ledger) warnOfExpiry(w *warnings, what string, expires time.Time, notice time.Duration, remedy string) {
	switch left := expires.Sub(l.Time); {
	case left <= 0:
		w.add(fmt.Sprintf("%s expired on %s", what, expires.Format(time.DateOnly)), remedy)
	case left < notice:
		w.add(fmt.Sprintf("%s expires on %s", what, expires.Format(time.DateOnly)), remedy)
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
	if failures := s.Pcap.Failed + s.Pcap.Broken; failures > 0 {
		w.add(fmt.Sprintf("%scapturing failed %d times since the start", name, failures), "The log contains the errors: most often a permission or an interface is missing.")
	}
	if since := l.outwardSince(s); s.Pcap.Capturing && !s.Pcap.WhenIdle && l.Time.Sub(since) > maxSilence && len(shortage.Causes(s.counts(nil))) == 0 {
		w.add(fmt.Sprintf("%snothing outward has been seen for %s", name, rounded(l.Time.Sub(since))),
			"Check that the interfaces carry the resolver's traffic with servers in both directions, and that resolvers contains the addresses from which it queries.")
	}
}

// warnOfFewRecords adds the reasons for which a source brings few records.
func (l *Ledger) warnOfFewRecords(w *warnings, s *Source, senders []PacketSenders) {
	for _, c := range shortage.Causes(s.counts(senders)) {
		w.add(fmt.Sprintf("source %q: few records: %s", s.Name, c.Says), c.Do)
	}
}

// counts returns what is known about why the source may bring few records.
func (s *Source) counts(senders []PacketSenders) *shortage.Counts {
	c := &shortage.Counts{Messages: s.Messages.counts()}
	if d := s.Dnstap; d != nil {
		if len(d.Connections) == 1 {
			c.Version = d.Connections[0].Version
		}
		c.Advised = len(d.Connections) > 0 // a minute after its first message, a connection has a Remedy
	}
	if p := s.Pcap; p != nil {
		c.Packets = p.Rows()
		for _, i := range p.Interfaces {
			c.Where = append(c.Where, i.Name)
		}
		if i := slices.IndexFunc(senders, func(of PacketSenders) bool { return of.Source == s.Name }); i >= 0 {
			c.Queries = senders[i].Queries
		}
	}
	return c
}

// warnOfClock warns if the time in the latest outward message differed by more than maxOffset
// from the clock when the message came. It does not warn if that is more than maxSilence ago.
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

// ago returns a time, and how long before the ledger's time it was.
func (l *Ledger) ago(t time.Time) string {
	return fmt.Sprintf("%s (%s ago)", t.Format(time.RFC3339), rounded(l.Time.Sub(t)))
}

// rounded returns a duration in the largest unit of which it has at least two: whole hours,
// minutes or seconds.
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
