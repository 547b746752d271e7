package conf

import (
	"errors"
	"net"
	"slices"

	"github.com/zclconf/go-cty/cty"

	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	kafkasink "github.com/dnstap-pdns/dnstap-pdns/forward/kafka"
)

// topic reads what a sink needs to send to a topic of Kafka. files are those of its block tls; nil:
// there is none.
func (s *section) topic(to target, files *certs.ClientFiles) (c kafkasink.Config) {
	if !s.appliesTo(to, "it applies only to kafka:// targets", []forward.Scheme{forward.Kafka}, "sasl") {
		return c
	}
	c.Brokers = s.cluster(files)
	if to.Scheme != forward.Kafka {
		return c
	}
	c.Brokers.Addresses, c.Topic = to.Topic()
	if files == nil {
		s.warnIfUnencrypted(to, protection(c.Brokers.SASL))
	}
	return c
}

// kafkaSource reads a source of a topic of Kafka.
func (s *section) kafkaSource() kafka.Config {
	c := kafka.Config{
		Name:    s.name,
		Brokers: s.cluster(s.clientTLS()),
		Topic:   readText(s, "topic", forward.ParseTopic),
		Group:   readText(s, "group", parseAccountName),
		Commit:  s.readDuration("commit"),
	}
	c.Brokers.Addresses = readList(s, "brokers", forward.ParseBroker)
	set := s.settings["brokers"]
	if set.value != cty.NilVal && set.value.LengthInt() == 0 {
		s.refuse(set, set.at, "without the address of a broker the others cannot be found")
	}
	if c.Brokers.TLS == nil && slices.ContainsFunc(c.Brokers.Addresses, isRemote) {
		s.warn(unencryptedSource, set.at, "brokers: records arrive without encryption, and any host on the way can read or change them",
			protection(c.Brokers.SASL))
	}
	return c
}

// cluster reads how the brokers are reached, except their addresses.
func (s *section) cluster(files *certs.ClientFiles) brokers.Config {
	c := brokers.Config{TLS: files}
	if in := s.innerBlock("sasl"); in != nil {
		in.require("user", "without it the brokers do not know who connects")
		in.require("password", "without it the brokers cannot verify the user")
		c.SASL = brokers.SASL{
			Mechanism: readText(in, "mechanism", parseMechanism),
			User:      readText(in, "user", parseAccountName),
			Password:  in.readSecret("password"),
		}
	}
	return c
}

// protection returns the advice where TLS is missing.
func protection(user brokers.SASL) string {
	const advice = "et tls {}, or use brokers on this machine, by loopback addresses."
	switch user.Mechanism {
	case "":
		return "S" + advice
	case "PLAIN":
		return "The password leaves without encryption too: s" + advice
	}
	return "The password can be guessed from what leaves: s" + advice
}

// isRemote reports whether a broker may be another machine.
func isRemote(broker string) bool {
	host, _, _ := net.SplitHostPort(broker)
	return !isLoopback(host)
}

func parseMechanism(v string) (string, error) {
	if !slices.Contains(brokers.Mechanisms(), v) {
		return "", errors.New("unknown value")
	}
	return v, nil
}

// longestName is the limit of the names of users and groups in bytes.
const longestName = 255

// parseAccountName reads the name of a user or a consumer group.
func parseAccountName(v string) (string, error) {
	if v == "" || len(v) > longestName || hasControl(v) {
		return "", errors.New("it is empty or too long, or contains a control character")
	}
	return v, nil
}
