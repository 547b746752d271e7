package selftest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

const (
	attempts = 3
	askTime  = 3 * time.Second // for each attempt
)

// Ask queries the resolver for the IPv4 address of the name, as its clients do, and returns
// the response code. If the name of the resolver cannot be resolved, the error is a [net.DNSError].
// After another error the resolver may still query servers.
func Ask(ctx context.Context, resolver, name string) (rcode string, err error) {
	query := new(dns.Msg).SetQuestion(name, dns.TypeA)
	for range attempts {
		var answer *dns.Msg
		answer, err = exchange(ctx, "udp", resolver, query)
		if err == nil && answer.Truncated {
			answer, err = exchange(ctx, "tcp", resolver, query)
		}
		unresolved, isUnresolved := errors.AsType[*net.DNSError](err)
		switch {
		case isUnresolved:
			return "", unresolved
		case err == nil:
			return dns.RcodeToString[answer.Rcode], nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case errors.Is(err, syscall.ECONNREFUSED):
			return "", errors.New("no process listens there")
		}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "", fmt.Errorf("no answer in %v", attempts*askTime)
	}
	return "", err
}

func exchange(ctx context.Context, network, resolver string, query *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: askTime}
	answer, _, err := client.ExchangeContext(ctx, query, resolver)
	return answer, err
}
