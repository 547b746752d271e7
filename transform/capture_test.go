package transform

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

// captures are dnstap streams of the resolvers of Debian 12 in an isolated DNS tree.
var captures = []string{
	"unbound", "unbound-noout", "unbound-2", "unbound-3", "bind", "bind-2", "bind-fwd", "pdns", "pdns-2", "kresd",
}

// loadFrames reads the dnstap messages of a capture with the reference library.
func loadFrames(tb testing.TB, name string) []*dnstap.Message {
	tb.Helper()
	f, err := os.Open(filepath.Join("testdata", "captures", name+".fstrm"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	dec, err := framestream.NewDecoder(f, &framestream.DecoderOptions{ContentType: []byte("protobuf:dnstap.Dnstap")})
	if err != nil {
		tb.Fatal(err)
	}
	var frames []*dnstap.Message
	for {
		b, err := dec.Decode()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			tb.Fatal(err)
		}
		var d dnstap.Dnstap
		if err := proto.Unmarshal(b, &d); err != nil {
			tb.Fatal(err)
		}
		frames = append(frames, d.Message)
	}
}

// loadCapture returns the messages of a capture as a dnstap source gives them to a lane.
func loadCapture(tb testing.TB, name string) []*Message {
	tb.Helper()
	var messages []*Message
	for _, frame := range loadFrames(tb, name) {
		messages = append(messages, fromFrame(frame))
	}
	return messages
}

func fromFrame(d *dnstap.Message) *Message {
	m := &Message{QueryTime: NoTime, ResponseTime: NoTime, Zone: d.QueryZone}
	switch d.GetType() {
	case dnstap.Message_RESOLVER_QUERY:
		m.Role, m.Wire = ResolverQuery, d.QueryMessage
	case dnstap.Message_RESOLVER_RESPONSE:
		m.Role, m.Wire = ResolverResponse, d.ResponseMessage
	case dnstap.Message_FORWARDER_QUERY:
		m.Role, m.Wire = ForwarderQuery, d.QueryMessage
	case dnstap.Message_FORWARDER_RESPONSE:
		m.Role, m.Wire = ForwarderResponse, d.ResponseMessage
	}
	if d.QueryTimeSec != nil {
		m.QueryTime = Time(d.GetQueryTimeSec())*1e9 + Time(d.GetQueryTimeNsec())
	}
	if d.ResponseTimeSec != nil {
		m.ResponseTime = Time(d.GetResponseTimeSec())*1e9 + Time(d.GetResponseTimeNsec())
	}
	if a, ok := netip.AddrFromSlice(d.ResponseAddress); ok {
		m.Server = netip.AddrPortFrom(a, uint16(d.GetResponsePort()))
	}
	if a, ok := netip.AddrFromSlice(d.QueryAddress); ok {
		m.Resolver = netip.AddrPortFrom(a, uint16(d.GetQueryPort()))
	}
	if d.GetSocketProtocol() != dnstap.SocketProtocol_UDP {
		m.Transport = TCP
	}
	return m
}

// testPolicy is the default policy, edited.
func testPolicy(tb failer, edits ...func(*Config)) *Policy {
	tb.Helper()
	c := Config{
		PairingTimeout: time.Minute,
		Rcodes:         []uint8{dns.RcodeSuccess, dns.RcodeNameError, dns.RcodeServerFailure, dns.RcodeRefused},
		SpecialNames:   true,
		TimeResolution: time.Second,
	}
	for _, edit := range edits {
		edit(&c)
	}
	p, err := NewPolicy(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// A failer is a testing.TB or a rapid.T.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}
