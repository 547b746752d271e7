package conf

import "github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"

// ids reads a block sensor. An absent attribute has the value in otherwise.
func (s *section) ids(otherwise nmsg.IDs) nmsg.IDs {
	id := func(name string, otherwise uint32) uint32 {
		if !s.isWritten(name) {
			return otherwise
		}
		return uint32(s.readNumber(name))
	}
	return nmsg.IDs{
		Source:   id("source", otherwise.Source),
		Operator: id("operator", otherwise.Operator),
		Group:    id("group", otherwise.Group),
	}
}

// idsOfSources returns the ids of the sources that have a block sensor, by name. Those of a Kafka
// source are for payloads without, and do not depend on the ids of this sensor.
func idsOfSources(sources []*section, otherwise nmsg.IDs) map[string]nmsg.IDs {
	all := map[string]nmsg.IDs{}
	for _, s := range sources {
		in := s.innerBlock("sensor")
		switch {
		case in == nil:
		case s.schema.typ == "kafka":
			all[s.name] = in.ids(nmsg.IDs{})
		default:
			all[s.name] = in.ids(otherwise)
		}
	}
	return all
}
