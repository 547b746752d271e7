package nmsg_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A record becomes a payload, a container, a compressed container, and is read back.
func Example() {
	record := transform.Record{
		Server:       netip.MustParseAddrPort("192.0.2.1:53"),
		Resolver:     netip.MustParseAddrPort("0.0.0.0:0"),
		Zeroed:       true,
		HasResponse:  true,
		Name:         []byte("\x07example\x03com\x00"),
		Type:         1,
		Class:        1,
		QueryTime:    transform.NoTime,
		ResponseTime: 1_700_000_000_000_000_000,
		Response:     append([]byte{0, 0, 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x07example\x03com\x00\x00\x01\x00\x01"...),
	}
	_, payload, err := nmsg.AppendPayload(nil, nmsg.DNSQR, nmsg.IDs{Source: 7}, &record)
	if err != nil {
		fmt.Println(err)
		return
	}

	const sequenceID = 42 // random, one per sink
	var open nmsg.Container
	container := open.Begin(nil)
	container = open.Add(container, payload)
	container = open.Seal(container, sequenceID)
	nmsg.SetSequence(container, sequenceID, 0)

	var deflater nmsg.Deflater
	file, err := deflater.Append(nil, container)
	if err != nil {
		fmt.Println(err)
		return
	}

	r := nmsg.NewReader(bytes.NewReader(file))
	for {
		m, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		q, err := nmsg.DecodeDNSQR(m.Data)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(m.Sec, m.Source, q.Type, q.ResponseIP, q.QueryIP)
	}
	// Output: 1700000000 7 UDP_RESPONSE_ONLY 192.0.2.1 0.0.0.0
}
