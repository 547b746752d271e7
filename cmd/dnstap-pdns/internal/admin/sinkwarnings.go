package admin

import (
	"fmt"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

func (l *Ledger) warnOfSink(w *warnings, s *Sink) {
	name := fmt.Sprintf("sink %q: ", s.Name)
	if s.Failing != nil {
		w.add(fmt.Sprintf("%sfailing since %s: %s", name, l.ago(s.Failing.Since), s.Failing.Error), l.remedyForFailing(s))
	}
	if lost := s.Account().Lost.Sum(); lost > 0 {
		w.add(fmt.Sprintf("%sit has lost %d records since the start, %s", name, lost, Share(lost, s.Account().Total())), s.remedyForLosses())
	}
	if n := s.Files.Retried; n > 0 {
		w.add(fmt.Sprintf("%s%d files cannot be completed, and are retried", name, n), "The log contains the first error; their records count as written.")
	}
	if s.OnRotate.Failed+s.OnRotate.Skipped > 0 {
		w.add(fmt.Sprintf("%son_rotate failed or was skipped for %d files since the start", name, s.OnRotate.Failed+s.OnRotate.Skipped),
			"The log contains the first error; the files were not moved.")
	}
	if s.RRsets != nil && s.RRsets.SaveFailures > 0 {
		w.add(fmt.Sprintf("%sthe state of its window could not be saved %d times since the start", name, s.RRsets.SaveFailures),
			"See the log for the error, which may be a full disk or a missing right. A restart continues with the last state that was saved.")
	}
	if s.Removed {
		return
	}
	if s.Spool != nil {
		l.warnOfSpool(w, name, s)
	}
	if s.Peer != nil && s.Failing == nil {
		l.warnOfPeer(w, name, s)
	}
	if s.Certificate != nil {
		l.warnOfExpiry(w, name+"its client certificate", s.Certificate.Expires, sinkExpiryNotice, "Renew it; the sink reads it again when it connects.")
	}
}

func (l *Ledger) remedyForFailing(s *Sink) string {
	if l.hasKafka() {
		return "Fix its destination. The Kafka source waits meanwhile, and what it does not read is in the topic for its retention."
	}
	if s.Spool != nil {
		return fmt.Sprintf("Fix its destination: %s of its spool is in use, and a full spool loses its oldest records.", Share(s.Spool.Bytes, s.Spool.MaxBytes))
	}
	return fmt.Sprintf("Fix its destination: %s of its queue is in use, and a full queue loses its oldest records.", Share(uint64(s.QueueBytes), uint64(s.QueueMax)))
}

// lossRemedies contains what to do if records were lost.
var lossRemedies = map[forward.Loss]string{
	forward.TooBig:       "choose a message type that can carry larger records (docs/outputs.md)",
	forward.QueueFull:    "the destination is slower than records come, or was away: increase queue, or give a sink whose peer acknowledges a spool",
	forward.Failed:       "the log contains the error",
	forward.Stopped:      "the destination took no records when the sensor stopped: a spool, or a sink of files, keeps them",
	forward.SpoolFull:    "the peer was away or slow for too long: increase max_bytes of the spool",
	forward.SpoolExpired: "the peer was away for too long: increase max_age of the spool",
	forward.SpoolDamaged: "the log names the files that were set aside; check the disk",
}

// remedyForLosses returns the remedy for each reason for which records were lost.
func (s *Sink) remedyForLosses() string {
	var all []string
	for _, loss := range forward.Losses() {
		remedy := lossRemedies[loss]
		if loss == forward.QueueFull && s.RRsets != nil {
			remedy = "a sink that gets its RRsets is too slow or away, or records come faster than they are counted: fix that sink, or increase queue"
		}
		if s.Lost[loss.String()] > 0 {
			all = append(all, loss.String()+": "+remedy)
		}
	}
	if len(all) == 0 { // reasons of another version
		return "The ledger shows the reasons."
	}
	return "By reason: " + strings.Join(all, "; ") + "."
}

func (l *Ledger) warnOfSpool(w *warnings, name string, s *Sink) {
	p := s.Spool
	if p.Full {
		w.add(name+"its spool cannot be written, and records wait in memory", "Make room on the disk of the spool; the log contains the error. A full queue loses its oldest records.")
	}
	if float64(p.Bytes) > maxSpoolShare*float64(p.MaxBytes) {
		w.add(fmt.Sprintf("%s%s of its spool is in use", name, Share(p.Bytes, p.MaxBytes)),
			"Fix its peer or the way to it, or increase max_bytes: a full spool loses its oldest records.")
	}
	if !p.Oldest.IsZero() && l.Time.Sub(p.Oldest) > maxSpoolAge {
		w.add(fmt.Sprintf("%sthe oldest records in its spool have waited for %s", name, rounded(l.Time.Sub(p.Oldest))),
			"If the spool shrinks, wait; otherwise the peer is away, or slower than records come.")
	}
	if p.Damaged > 0 {
		w.add(fmt.Sprintf("%s%d files of its spool were damaged and set aside since the start", name, p.Damaged),
			"Check the disk. The files are in the folder of the spool, with the suffix .damaged: dnstap-pdns cat prints what is readable of them. Then delete them.")
	}
}

// warnOfPeer warns if records wait and the peer acknowledges nothing, although the sink does not
// fail.
func (l *Ledger) warnOfPeer(w *warnings, name string, s *Sink) {
	since := l.Started
	if s.Peer.Acknowledged.After(since) {
		since = s.Peer.Acknowledged
	}
	if s.Queued+s.Spooled > 0 && l.Time.Sub(since) > maxUnconfirmed {
		w.add(fmt.Sprintf("%sits peer has acknowledged nothing for %s, and %d records wait", name, rounded(l.Time.Sub(since)), s.Queued+s.Spooled),
			"See the log of the peer, and whether it is overloaded.")
	}
}
