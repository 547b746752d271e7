package sensor

import (
	"errors"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// change is what a reload does to the sources.
type change struct {
	kept  []*source          // same name and address; their limits may differ
	wants []collector.Config // of kept, in the same order
	gone  []*source
	fresh []collector.Config // can be opened beside the old ones
	moved []collector.Config // want an address that one of gone still holds
}

// Reload gives a running sensor another configuration. Connections of sources
// that keep their name and address stay; sinks that did not change live on. With
// an error everything is as it was, but for what the error says.
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
	ch := compare(s.sources, c.Sources)
	fresh, err := s.openAll(ch.fresh)
	if err != nil {
		return err
	}
	if err := reconfigure(ch.kept, ch.wants); err != nil {
		return errors.Join(err, closeSources(fresh))
	}
	if err := s.forwarder.Apply(policy, c.Sinks); err != nil {
		return errors.Join(err, restore(ch.kept), closeSources(fresh))
	}
	for i, src := range ch.kept {
		src.config = ch.wants[i]
	}
	s.budget.SetMax(c.MaxQueries)
	for _, src := range ch.gone {
		s.stop(src)
	}
	moved, err := s.openAll(ch.moved) // their addresses are free only now
	s.sources = append(append(ch.kept, fresh...), moved...)
	for _, src := range append(fresh, moved...) {
		s.start(src)
	}
	return err
}

func compare(old []*source, wanted []collector.Config) change {
	var ch change
	taken := map[*source]bool{}
	for _, c := range wanted {
		switch src, at := find(old, c); {
		case src != nil:
			ch.kept, ch.wants = append(ch.kept, src), append(ch.wants, c)
			taken[src] = true
		case at:
			ch.moved = append(ch.moved, c)
		default:
			ch.fresh = append(ch.fresh, c)
		}
	}
	for _, src := range old {
		if !taken[src] {
			ch.gone = append(ch.gone, src)
		}
	}
	return ch
}

// find returns the source of the same name and address, or else whether another
// one is at the address.
func find(old []*source, c collector.Config) (same *source, at bool) {
	for _, src := range old {
		if src.config.Network != c.Network || src.config.Address != c.Address {
			continue
		}
		if src.config.Name == c.Name {
			return src, true
		}
		at = true
	}
	return nil, at
}

func (s *Sensor) openAll(configs []collector.Config) ([]*source, error) {
	var opened []*source
	for _, c := range configs {
		src, err := s.open(c)
		if err != nil {
			return nil, errors.Join(err, closeSources(opened))
		}
		opened = append(opened, src)
	}
	return opened, nil
}

func closeSources(sources []*source) error {
	var errs []error
	for _, src := range sources {
		errs = append(errs, src.listener.Close())
	}
	return errors.Join(errs...)
}

// reconfigure changes sources in place; if one refuses, those before it get their
// old configuration back.
func reconfigure(sources []*source, wants []collector.Config) error {
	for i, src := range sources {
		if err := src.listener.Reconfigure(wants[i]); err != nil {
			return errors.Join(err, restore(sources[:i+1]))
		}
	}
	return nil
}

func restore(sources []*source) error {
	var errs []error
	for _, src := range sources {
		errs = append(errs, src.listener.Reconfigure(src.config))
	}
	return errors.Join(errs...)
}
