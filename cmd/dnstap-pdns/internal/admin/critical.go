package admin

import "slices"

// IsCritical reports whether the sensor does not do its work now: a sum is wrong, a sink or a Kafka
// source fails, or no other source has brought an outward message for maxSilence. It is true only if
// there are warnings.
func (l *Ledger) IsCritical() bool {
	return len(l.Imbalances()) > 0 ||
		slices.ContainsFunc(l.Sinks, func(s Sink) bool { return s.Failing != nil }) ||
		slices.ContainsFunc(l.Sources, func(s Source) bool { return s.Kafka != nil && s.Kafka.Failing != nil }) ||
		l.isSilent()
}

// isSilent reports whether no source has brought an outward message for maxSilence. A topic may be
// silent: its sensors have their own ledgers.
func (l *Ledger) isSilent() bool {
	if l.hasKafka() {
		return false
	}
	latest := l.Started
	for i := range l.Sources {
		if s := &l.Sources[i]; s.Kind != KindRemoved && s.LastOutward.After(latest) {
			latest = s.LastOutward
		}
	}
	return l.Time.Sub(latest) > maxSilence && len(l.Warnings()) > 0
}
