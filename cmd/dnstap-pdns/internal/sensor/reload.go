package sensor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Reload applies another configuration to a running sensor. A dnstap source that keeps its
// address keeps its connections and counts, even with another name. Packet sources, Kafka sources
// and sinks that did not change keep running. After an error the old configuration is in force.
func (s *Sensor) Reload(c *conf.Config) error {
	policy, err := transform.NewPolicy(c.Policy)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return errors.New("the sensor is not running")
	}
	ch, pch := compare(s.sources, c.Sources), comparePackets(s.packets, c.Packets)
	kch := compareKafka(s.kafka, c)
	transitional, err := transform.NewPolicy(pch.transitional(c.Policy))
	if err != nil {
		return err
	}
	added, addedPackets, err := s.openAll(ch.added, pch.added)
	if err != nil {
		return err
	}
	undo, err := reconfigure(ch.kept, ch.configs)
	if err != nil {
		return errors.Join(err, closeAll(added, addedPackets))
	}
	s.stopKafka(kch.removed)
	if err := s.forwarder.Apply(transitional, c.Sinks, s.ids); err != nil {
		s.restartKafka(kch.removed)
		return errors.Join(err, undo(), closeAll(added, addedPackets))
	}
	for i, src := range ch.kept {
		src.config = ch.configs[i]
	}
	s.rename(ch.kept, c)
	s.budget.SetMax(c.MaxQueries)
	s.namesResolvers = namesResolvers(c)
	s.replace(ch, added)
	s.replacePackets(pch, addedPackets)
	s.inherited.warnUnused(s.log, s.sources)
	if err := s.forwarder.Apply(policy, c.Sinks, c.IDsOf); err != nil {
		return err
	}
	s.policy, s.ids = policy, c.IDsOf
	for _, k := range kch.added {
		s.startKafka(s.newKafka(k, c.SourceIDs[k.Name]))
	}
	return nil
}

// rename makes sources count under their new names and have their new IDs. The caller holds s.mu.
func (s *Sensor) rename(sources []*source, c *conf.Config) {
	s.naming.Lock()
	defer s.naming.Unlock()
	names := map[string]string{}
	for _, src := range sources {
		names[src.name] = src.config.Name
		src.name = src.config.Name
	}
	s.forwarder.Rename(names, idsDuringReload(c, s.ids))
}

// idsDuringReload returns the IDs by the sources' new names. Sources that c removes have not
// ended, and keep those that old returns.
func idsDuringReload(c *conf.Config, old func(source string) nmsg.IDs) func(source string) nmsg.IDs {
	configured := map[string]bool{}
	for i := range c.Sources {
		configured[c.Sources[i].Name] = true
	}
	for i := range c.Packets {
		configured[c.Packets[i].Name] = true
	}
	for i := range c.Kafka {
		configured[c.Kafka[i].Name] = true
	}
	return func(source string) nmsg.IDs {
		if configured[source] {
			return c.IDsOf(source)
		}
		return old(source)
	}
}

// replace stops the removed sources and starts the added ones. The caller holds s.mu.
func (s *Sensor) replace(ch change, added []*source) {
	for _, src := range ch.removed {
		src.stop()
	}
	s.sources = append(ch.kept, added...)
	for _, src := range added {
		src.task = s.start(src.config.Name, src.listener.Run)
	}
}

// A change is the difference that a reload makes to the dnstap sources.
type change struct {
	kept    []*source          // at the same address; name and limits may differ
	configs []collector.Config // of kept, in the same order
	removed []*source
	added   []collector.Config
}

func compare(old []*source, wanted []collector.Config) change {
	var ch change
	kept := map[*source]bool{}
	for _, c := range wanted {
		i := slices.IndexFunc(old, func(src *source) bool {
			return src.config.Network == c.Network && src.config.Address == c.Address
		})
		if i < 0 {
			ch.added = append(ch.added, c)
			continue
		}
		ch.kept, ch.configs = append(ch.kept, old[i]), append(ch.configs, c)
		kept[old[i]] = true
	}
	for _, src := range old {
		if !kept[src] {
			ch.removed = append(ch.removed, src)
		}
	}
	return ch
}

// An exactChange is the difference that a reload makes to sources of type S with configurations of
// type C: a source that changed in any way is removed and added.
type exactChange[S comparable, C any] struct {
	kept    []S
	removed []S
	added   []C
}

// compareExactly returns the difference between old and wanted. same reports whether a source has a
// configuration.
func compareExactly[S comparable, C any](old []S, wanted []C, same func(S, C) bool) (ch exactChange[S, C]) {
	for _, c := range wanted {
		i := slices.IndexFunc(old, func(src S) bool { return same(src, c) })
		if i < 0 {
			ch.added = append(ch.added, c)
		} else {
			ch.kept = append(ch.kept, old[i])
		}
	}
	for _, src := range old {
		if !slices.Contains(ch.kept, src) {
			ch.removed = append(ch.removed, src)
		}
	}
	return ch
}

// openAll opens dnstap and packet sources. If one fails, it closes the others.
func (s *Sensor) openAll(configs []collector.Config, packets []pcap.Config) (sources []*source, captures []*packetSource, err error) {
	for _, c := range configs {
		src, err := s.open(c)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll(sources, captures))
		}
		sources = append(sources, src)
	}
	for _, c := range packets {
		src, err := s.openPackets(c)
		if err != nil {
			return nil, nil, errors.Join(err, closeAll(sources, captures))
		}
		captures = append(captures, src)
	}
	return sources, captures, nil
}

// closeAll closes sources that were never started.
func closeAll(sources []*source, captures []*packetSource) error {
	var errs []error
	for _, src := range sources {
		errs = append(errs, src.listener.Close())
	}
	for _, src := range captures {
		errs = append(errs, src.capture.Close())
	}
	return errors.Join(errs...)
}

// reconfigure changes the configuration of sources in place. If it fails for one, it restores
// those before. undo restores all.
func reconfigure(sources []*source, configs []collector.Config) (undo func() error, err error) {
	var steps []func() error
	undo = func() error {
		var errs []error
		for _, step := range steps {
			errs = append(errs, step())
		}
		return errors.Join(errs...)
	}
	for i, src := range sources {
		step, err := src.listener.Reconfigure(configs[i])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("source %q: %w", configs[i].Name, err), undo())
		}
		steps = append(steps, step)
	}
	return undo, nil
}
