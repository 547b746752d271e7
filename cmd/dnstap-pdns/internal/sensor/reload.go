package sensor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Reload gives a running sensor another configuration. Connections of sources
// that keep their address stay, and their counts, under another name too; packet
// sources and sinks that did not change live on. With an error everything is as it was.
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
	meanwhile, err := transform.NewPolicy(pch.meanwhile(c.Policy))
	if err != nil {
		return err
	}
	fresh, freshPackets, err := s.openAll(ch.fresh, pch.fresh)
	if err != nil {
		return err
	}
	undo, err := reconfigure(ch.kept, ch.wants)
	if err != nil {
		return errors.Join(err, closeAll(fresh, freshPackets))
	}
	if err := s.forwarder.Apply(meanwhile, c.Sinks); err != nil {
		return errors.Join(err, undo(), closeAll(fresh, freshPackets))
	}
	for i, src := range ch.kept {
		src.config = ch.wants[i]
	}
	s.rename(ch.kept)
	s.budget.SetMax(c.MaxQueries)
	s.namesResolvers = namesResolvers(c)
	s.replace(ch, fresh)
	s.replacePackets(pch, freshPackets)
	s.inherited.warnOfIdle(s.log, s.sources)
	if err := s.forwarder.Apply(policy, c.Sinks); err != nil {
		return err
	}
	s.policy = policy
	return nil
}

// rename has sources count under the names that they have now. s.mu is held.
func (s *Sensor) rename(sources []*source) {
	s.naming.Lock()
	defer s.naming.Unlock()
	names := map[string]string{}
	for _, src := range sources {
		names[src.name] = src.config.Name
		src.name = src.config.Name
	}
	s.forwarder.Rename(names)
}

// replace stops the sources that are gone and starts the fresh ones. s.mu is held.
func (s *Sensor) replace(ch change, fresh []*source) {
	for _, src := range ch.gone {
		src.stop()
	}
	s.sources = append(ch.kept, fresh...)
	for _, src := range fresh {
		src.task = s.start(src.config.Name, src.listener.Run)
	}
}

// change is what a reload does to the dnstap sources.
type change struct {
	kept  []*source          // at the same address; name and limits may differ
	wants []collector.Config // of kept, in the same order
	gone  []*source
	fresh []collector.Config
}

func compare(old []*source, wanted []collector.Config) change {
	var ch change
	taken := map[*source]bool{}
	for _, c := range wanted {
		i := slices.IndexFunc(old, func(src *source) bool {
			return src.config.Network == c.Network && src.config.Address == c.Address
		})
		if i < 0 {
			ch.fresh = append(ch.fresh, c)
			continue
		}
		ch.kept, ch.wants = append(ch.kept, old[i]), append(ch.wants, c)
		taken[old[i]] = true
	}
	for _, src := range old {
		if !taken[src] {
			ch.gone = append(ch.gone, src)
		}
	}
	return ch
}

// openAll opens sources of both kinds, or none.
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

// reconfigure changes sources in place; if one refuses, those before it get their
// old configuration back. undo gives it back to all.
func reconfigure(sources []*source, wants []collector.Config) (undo func() error, err error) {
	var steps []func() error
	undo = func() error {
		var errs []error
		for _, step := range steps {
			errs = append(errs, step())
		}
		return errors.Join(errs...)
	}
	for i, src := range sources {
		step, err := src.listener.Reconfigure(wants[i])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("source %q: %w", wants[i].Name, err), undo())
		}
		steps = append(steps, step)
	}
	return undo, nil
}
