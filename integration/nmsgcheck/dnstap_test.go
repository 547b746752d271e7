package nmsgcheck

import (
	"fmt"
	"strings"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

// TestDnstapLayoutIsScrubbed checks a file with scrubbed dnstap messages: with and without zone,
// over UDP and TCP, answered or not.
func TestDnstapLayoutIsScrubbed(t *testing.T) {
	got := records(t, readFile(t, "testdata/dnstap-layout.nmsg"))
	want := []string{"www.bank.com. 1 0 bank.com.", "no.bank.com. 28 3 bank.com.", "old.bank.com. 16 2 ", "dead.bank.com. 1 0 bank.com."}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i, r := range got {
		if err := r.CheckScrubbed(); err != nil {
			t.Error(err)
		}
		if text := fmt.Sprint(r.Name, " ", r.Type, " ", r.Rcode, " ", r.Zone); text != want[i] {
			t.Errorf("record %d: got %q, want %q", i, text, want[i])
		}
	}
}

// TestUnscrubbedDnstapIsFound checks that each forbidden or missing part of a dnstap is found.
func TestUnscrubbedDnstapIsFound(t *testing.T) {
	response, query := records(t, readFile(t, "testdata/dnstap-layout.nmsg"))[0], records(t, readFile(t, "testdata/dnstap-layout.nmsg"))[3]
	for finding, c := range map[string]struct {
		of     Record
		change func(*dnstap.Dnstap)
	}{
		"field 1 is not allowed":          {response, func(d *dnstap.Dnstap) { d.Identity = []byte("ns1") }},
		"field 2 is not allowed":          {response, func(d *dnstap.Dnstap) { d.Version = []byte("unbound") }},
		"field 3 is not allowed":          {response, func(d *dnstap.Dnstap) { d.Extra = []byte("x") }},
		"with query true, response true":  {response, func(d *dnstap.Dnstap) { d.Message.QueryMessage = query.QueryWire }},
		"with query false, response true": {query, func(d *dnstap.Dnstap) { d.Message.QueryMessage, d.Message.ResponseMessage = nil, response.Wire }},
		"response time false":             {response, func(d *dnstap.Dnstap) { d.Message.ResponseTimeSec, d.Message.ResponseTimeNsec = nil, nil }},
		"field 12 without field 13":       {response, func(d *dnstap.Dnstap) { d.Message.ResponseTimeNsec = nil }},
		"field 4 is missing":              {response, func(d *dnstap.Dnstap) { d.Message.QueryAddress = nil }},
		"resolver 192.0.2.53":             {response, func(d *dnstap.Dnstap) { d.Message.QueryAddress = []byte{192, 0, 2, 53} }},
		"resolver ::":                     {response, func(d *dnstap.Dnstap) { d.Message.QueryAddress = make([]byte, 16) }},
		"resolver's port 1":               {response, func(d *dnstap.Dnstap) { d.Message.QueryPort = proto.Uint32(1) }},
		"socket_protocol 3":               {response, func(d *dnstap.Dnstap) { d.Message.SocketProtocol = dnstap.SocketProtocol_DOT.Enum() }},
		"socket_family 2":                 {response, func(d *dnstap.Dnstap) { d.Message.SocketFamily = dnstap.SocketFamily_INET6.Enum() }},
		"a query without its time":        {query, func(d *dnstap.Dnstap) { d.Message.QueryTimeSec, d.Message.QueryTimeNsec = nil, nil }},
		"query time":                      {response, func(d *dnstap.Dnstap) { *d.Message.QueryTimeSec -= 5 }},
		"response time":                   {response, func(d *dnstap.Dnstap) { *d.Message.ResponseTimeNsec = 5 }},
		"bytes after the last record":     {response, func(d *dnstap.Dnstap) { d.Message.ResponseMessage = append(d.Message.ResponseMessage, 0) }},
		"1 records, the header counts 2":  {response, func(d *dnstap.Dnstap) { d.Message.ResponseMessage[7]++ }},
	} {
		d := new(dnstap.Dnstap)
		if err := proto.Unmarshal(c.of.Payload.Message, d); err != nil {
			t.Fatal(err)
		}
		c.change(d)
		p := c.of.Payload
		var err error
		if p.Message, err = proto.Marshal(d); err != nil {
			t.Fatal(err)
		}
		r, err := Decode(p)
		if err == nil {
			err = r.CheckScrubbed()
		}
		if err == nil || !strings.Contains(err.Error(), finding) {
			t.Errorf("got %v, want %q", err, finding)
		}
	}
}
