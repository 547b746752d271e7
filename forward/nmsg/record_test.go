package nmsg

import (
	"bytes"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var (
	name      = []byte("\x03www\x07example\x03com\x00")
	zone      = []byte("\x07example\x03com\x00")
	query     = append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x03www\x07example\x03com\x00\x00\x01\x00\x01"...)
	response  = append([]byte{0, 0, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x03www\x07example\x03com\x00\x00\x01\x00\x01"...)
	server4   = netip.MustParseAddrPort("192.0.2.1:53")
	server6   = netip.MustParseAddrPort("[2001:db8::1]:53")
	queryTime = transform.Time(1_700_000_000_250_000_000)
)

// record returns a zeroed record with query and response over UDP and IPv4; tests change it.
func record() transform.Record {
	return transform.Record{
		Server:       server4,
		Resolver:     netip.MustParseAddrPort("0.0.0.0:0"),
		Zeroed:       true,
		HasResponse:  true,
		HasQuery:     true,
		Name:         name,
		Type:         1,
		Class:        1,
		Zone:         zone,
		QueryTime:    queryTime,
		ResponseTime: queryTime + 5_000_000,
		Query:        query,
		Response:     response,
	}
}

func onIPv6(r *transform.Record) {
	r.Server, r.Resolver = server6, netip.MustParseAddrPort("[::]:0")
}

func unanswered(r *transform.Record) {
	r.HasResponse, r.Response, r.ResponseTime = false, nil, transform.NoTime
}

func responseOnly(r *transform.Record) { r.HasQuery, r.Query = false, nil }

func overTCP(r *transform.Record) { r.Transport = transform.TCP }

func responseOf(size int) func(*transform.Record) {
	return func(r *transform.Record) {
		r.Response = append(bytes.Clone(response), make([]byte, size-len(response))...)
	}
}

func recordWith(changes ...func(*transform.Record)) *transform.Record {
	r := record()
	for _, change := range changes {
		change(&r)
	}
	return &r
}
