//go:build sweep

package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// A feed10ms sends pairs of messages in bursts, and is closed at the end.
type feed10ms interface {
	send(pairs int) error
	close() error
}

// feedAtRate sends that many messages per second until stopping is closed. It sends fewer if the
// machine is too slow.
func feedAtRate(f feed10ms, rate int, stopping <-chan struct{}) error {
	const perSecond = 100 // bursts
	ticker := time.NewTicker(time.Second / perSecond)
	defer ticker.Stop()
	for {
		select {
		case <-stopping:
			return f.close()
		case <-ticker.C:
			if err := f.send(rate / 2 / perSecond); err != nil {
				f.close()
				return err
			}
		}
	}
}

// An exchangeMaker makes queries and responses, in wire form, about a new name each time.
type exchangeMaker struct {
	query, response []byte
	next            uint64
}

// renew replaces the ID and the first label of both messages.
func (p *exchangeMaker) renew() {
	const labelAt = 13 // after the header and the length of the label
	label := fmt.Sprintf("h%011d", p.next)
	for _, wire := range [][]byte{p.query, p.response} {
		binary.BigEndian.PutUint16(wire, uint16(p.next))
		copy(wire[labelAt:], label)
	}
	p.next++
}

func newExchangeMaker(t *testing.T, zone string) *exchangeMaker {
	t.Helper()
	p := &exchangeMaker{}
	query := new(dns.Msg).SetQuestion("h00000000000."+zone, dns.TypeA)
	query.RecursionDesired = false
	response := new(dns.Msg).SetReply(query)
	response.Authoritative, response.Compress = true, true // the answer's name is a pointer to the question
	response.Answer = []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: query.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60},
		A:   net.IPv4(203, 0, 113, 1),
	}}
	for _, m := range []struct {
		of   *dns.Msg
		wire *[]byte
	}{{query, &p.query}, {response, &p.response}} {
		var err error
		if *m.wire, err = m.of.Pack(); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// A tapFeed sends dnstap over one connection after the other.
type tapFeed struct {
	path  string
	pairs *exchangeMaker

	conn  net.Conn
	w     *framestream.Writer // nil: not connected
	until time.Time           // when to close the connection

	sent        uint64 // messages
	connections int
}

// connectionTime is how long a connection of a tapFeed lasts.
const connectionTime = time.Second

func (f *tapFeed) send(pairs int) (err error) {
	if f.w != nil && time.Now().After(f.until) {
		if err := f.close(); err != nil {
			return err
		}
	}
	if f.w == nil {
		if err := f.connect(); err != nil {
			return err
		}
	}
	for range pairs {
		f.pairs.renew()
		for _, kind := range []dnstap.Message_Type{dnstap.Message_RESOLVER_QUERY, dnstap.Message_RESOLVER_RESPONSE} {
			frame, err := f.frame(kind)
			if err != nil {
				return err
			}
			if _, err := f.w.WriteFrame(frame); err != nil {
				return fmt.Errorf("send dnstap: %w", err)
			}
			f.sent++
		}
	}
	return f.w.Flush()
}

func (f *tapFeed) connect() (err error) {
	if f.conn, err = net.Dial("unix", f.path); err != nil {
		return err
	}
	f.w, err = framestream.NewWriter(f.conn, &framestream.WriterOptions{
		ContentTypes: [][]byte{[]byte(contentType)}, Bidirectional: true, Timeout: waitTime,
	})
	f.until = time.Now().Add(connectionTime)
	f.connections++
	return err
}

// close sends STOP and waits for FINISH.
func (f *tapFeed) close() error {
	if f.w == nil {
		return nil
	}
	defer f.conn.Close()
	err := f.w.Close()
	f.w = nil
	return err
}

func (f *tapFeed) frame(kind dnstap.Message_Type) ([]byte, error) {
	now := time.Now()
	seconds, nanoseconds := proto.Uint64(uint64(now.Unix())), proto.Uint32(uint32(now.Nanosecond()))
	m := &dnstap.Message{
		Type:            &kind,
		SocketFamily:    dnstap.SocketFamily_INET.Enum(),
		SocketProtocol:  dnstap.SocketProtocol_UDP.Enum(),
		QueryAddress:    resolver4.AsSlice(),
		QueryPort:       proto.Uint32(4000),
		ResponseAddress: server4.AsSlice(),
		ResponsePort:    proto.Uint32(dnsPort),
		QueryTimeSec:    seconds,
		QueryTimeNsec:   nanoseconds,
	}
	if kind == dnstap.Message_RESOLVER_QUERY {
		m.QueryMessage = f.pairs.query
	} else {
		m.ResponseMessage, m.ResponseTimeSec, m.ResponseTimeNsec = f.pairs.response, seconds, nanoseconds
	}
	return proto.Marshal(&dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Message: m})
}

// A packetFeed sends packets between a resolver and a server over the loopback interface. Neither
// reads them.
type packetFeed struct {
	pairs            *exchangeMaker
	resolver, server *net.UDPConn
	sent             uint64 // packets
}

func newPacketFeed(t *testing.T, n *lab.Namespace) *packetFeed {
	t.Helper()
	return &packetFeed{
		pairs:    newExchangeMaker(t, "cdn.net."),
		resolver: n.ListenUDP(t, netip.AddrPortFrom(resolver4, 4000)),
		server:   n.ListenUDP(t, netip.AddrPortFrom(server4, dnsPort)),
	}
}

func (f *packetFeed) send(pairs int) error {
	for range pairs {
		f.pairs.renew()
		if _, err := f.resolver.WriteTo(f.pairs.query, f.server.LocalAddr()); err != nil {
			return err
		}
		if _, err := f.server.WriteTo(f.pairs.response, f.resolver.LocalAddr()); err != nil {
			return err
		}
		f.sent += 2
	}
	return nil
}

func (f *packetFeed) close() error { return nil }

// allowBuffer gives a socket a receive buffer above the limit of the system, in bytes.
func allowBuffer(t *testing.T, conn *net.UDPConn, size int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) }); err != nil {
		t.Fatal(err)
	}
	if set != nil {
		t.Fatalf("receive buffer of %d bytes: %v", size, set)
	}
}
