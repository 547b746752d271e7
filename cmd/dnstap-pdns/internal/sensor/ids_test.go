package sensor

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

func TestIDsDuringAReload(t *testing.T) {
	old := &conf.Config{IDs: nmsg.IDs{Source: 1}, SourceIDs: map[string]nmsg.IDs{"removed": {Source: 2}, "kept": {Source: 3}}}
	c := &conf.Config{
		Sources:   []collector.Config{{Name: "kept"}, {Name: "plain"}},
		Packets:   []pcap.Config{{Name: "span"}},
		IDs:       nmsg.IDs{Source: 10},
		SourceIDs: map[string]nmsg.IDs{"kept": {Source: 30}, "span": {Source: 40}},
	}
	ids := idsDuringReload(c, old.IDsOf)
	for name, want := range map[string]uint32{"removed": 2, "kept": 30, "plain": 10, "span": 40, "replay": 1} {
		if got := ids(name); got.Source != want {
			t.Errorf("source %s has %d, want %d", name, got.Source, want)
		}
	}
}
