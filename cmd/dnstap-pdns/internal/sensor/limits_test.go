package sensor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An answer is a response of a server with a size near a limit.
type answer struct {
	name     string
	server   netip.Addr
	protocol dnstap.SocketProtocol
	size     int
}

// answers returns answers of sizes at and just above each limit.
func answers() []answer {
	var all []answer
	for _, server := range []string{"198.51.100.53", "2001:db8::53"} {
		for _, protocol := range []dnstap.SocketProtocol{dnstap.SocketProtocol_UDP, dnstap.SocketProtocol_TCP} {
			for _, size := range []int{65507, 65508, 65527, 65528, 65535, 65536} {
				name := fmt.Sprintf("n%d.example.com.", len(all))
				all = append(all, answer{name, netip.MustParseAddr(server), protocol, size})
			}
		}
	}
	return all
}

// carried reports whether a message type can contain the answer.
func (a *answer) carried(message nmsg.MessageType) bool {
	switch {
	case message != nmsg.DNSQR:
		return a.size <= 65535
	case a.server.Is4():
		return a.size <= 65507
	default:
		return a.size <= 65527
	}
}

// messages returns the query, and a response of exactly size bytes: TXT records, the last of
// which has the missing length, and a name at the end.
func (a *answer) messages(t *testing.T, id uint16) (query, response []byte) {
	t.Helper()
	m := new(dns.Msg).SetQuestion(a.name, dns.TypeTXT)
	m.Id, m.RecursionDesired, m.Compress = id, false, true
	query = pack(t, m)
	m.Response, m.Authoritative = true, true
	m.Ns = []dns.RR{&dns.NS{Hdr: header("example.com.", dns.TypeNS), Ns: "ns1.example.net."}}
	const around, longest = 13, 255 // of a string, in a record whose owner name is a pointer
	for missing := a.size - len(pack(t, m)); missing > 0; {
		n := min(longest, missing-around)
		if rest := missing - around - n; rest > 0 && rest < around {
			n -= around
		}
		txt := strings.Repeat("Text that Fills up. ", 13)[:n]
		m.Answer = append(m.Answer, &dns.TXT{Hdr: header(a.name, dns.TypeTXT), Txt: []string{txt}})
		missing -= around + n
	}
	response = pack(t, m)
	if len(response) != a.size {
		t.Fatalf("the test made a message of %d bytes, wanted %d", len(response), a.size)
	}
	return query, response
}

func header(name string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: typ, Class: dns.ClassINET, Ttl: 300}
}

// pack packs a message, which may be slightly longer than DNS allows.
func pack(t *testing.T, m *dns.Msg) []byte {
	t.Helper()
	wire, err := m.PackBuffer(make([]byte, 1<<17))
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// send sends a query and its response as dnstap.
func (r *resolver) send(t *testing.T, a *answer, query, response []byte) {
	t.Helper()
	family := dnstap.SocketFamily_INET6
	if a.server.Is4() {
		family = dnstap.SocketFamily_INET
	}
	asked := &dnstap.Message{
		Type: dnstap.Message_RESOLVER_QUERY.Enum(), SocketFamily: &family, SocketProtocol: &a.protocol,
		ResponseAddress: a.server.AsSlice(), ResponsePort: proto.Uint32(53),
		QueryTimeSec: proto.Uint64(1_790_000_000), QueryTimeNsec: proto.Uint32(1), QueryMessage: query,
	}
	answered := proto.CloneOf(asked)
	answered.Type, answered.QueryMessage = dnstap.Message_RESOLVER_RESPONSE.Enum(), nil
	answered.ResponseTimeSec, answered.ResponseTimeNsec, answered.ResponseMessage = proto.Uint64(1_790_000_000), proto.Uint32(2), response
	for _, m := range []*dnstap.Message{asked, answered} {
		frame, err := proto.Marshal(&dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Message: m})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.w.WriteFrame(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// responseIn returns the response in an NMSG message.
func responseIn(m *nmsg.Message) ([]byte, error) {
	switch _, name, _ := m.Name(); name {
	case "dnsqr":
		q, err := nmsg.DecodeDNSQR(m.Data)
		response, _ := q.Response()
		return response, err
	case "dnsobs":
		o, err := nmsg.DecodeDNSObs(m.Data)
		return o.Response, err
	case "dnstap":
		d := new(dnstap.Dnstap)
		err := proto.Unmarshal(m.Data, d)
		return d.Message.GetResponseMessage(), err
	}
	return nil, fmt.Errorf("message type %d", m.Type)
}

// A receiver collects the responses in datagrams.
type receiver struct {
	conn *net.UDPConn
	mtu  int
	done chan struct{}

	mu  sync.Mutex
	got [][]byte
	err error
}

func receive(t *testing.T, mtu int) *receiver {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{conn: conn, mtu: mtu, done: make(chan struct{})}
	go r.run()
	t.Cleanup(func() {
		conn.Close()
		<-r.done
	})
	return r
}

func (r *receiver) run() {
	defer close(r.done)
	var assembler nmsg.Assembler
	buf := make([]byte, 1<<16)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return // closed
		}
		assembler.Add(buf[:n], time.Now(), from)
		r.mu.Lock()
		if n > r.mtu {
			r.err = errors.Join(r.err, fmt.Errorf("a datagram of %d bytes, mtu %d", n, r.mtu))
		}
		for {
			m, err := assembler.Next()
			if err == io.EOF {
				break
			}
			r.take(&m, err)
		}
		r.mu.Unlock()
	}
}

func (r *receiver) take(m *nmsg.Message, err error) {
	var response []byte
	if err == nil {
		response, err = responseIn(m)
	}
	r.err = errors.Join(r.err, err)
	r.got = append(r.got, bytes.Clone(response))
}

func (r *receiver) received() ([][]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got), r.err
}

func responsesInFile(t *testing.T, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all [][]byte
	for r := nmsg.NewReader(f); ; {
		m, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		response, err := responseIn(&m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(response))
	}
}

// TestEachMessageTypeCarriesWhatItsLimitAllows sends responses at the limits from the socket
// of the resolver to files and, in fragments, to datagrams. They arrive unchanged except for
// the DNS ID. Only the sinks of a message type lose responses that exceed its limit.
func TestEachMessageTypeCarriesWhatItsLimitAllows(t *testing.T) {
	config := sourceBlock("a", "a.sock")
	receivers := map[nmsg.MessageType]*receiver{}
	for i, message := range nmsg.MessageTypes() {
		r := receive(t, []int{1280, 8192, 65507}[i])
		receivers[message] = r
		config += fmt.Sprintf(`
sink "nmsg" "%s-file" {
  to      = "file://DIR/%[1]s.nmsg"
  message = "%[1]s"
  rotate  = "0s"
}
sink "nmsg" "%[1]s-udp" {
  to      = "udp://%[2]s"
  message = "%[1]s"
  mtu     = %[3]d
  flush   = "1ms"
}
`, message, r.conn.LocalAddr(), r.mtu)
	}
	h := start(t, config)
	from := h.connect(t, "a.sock")
	want := map[nmsg.MessageType][][]byte{}
	tooBig := map[nmsg.MessageType]uint64{}
	beyond := 0
	for i, a := range answers() {
		query, response := a.messages(t, uint16(1+i))
		from.send(t, &a, query, response)
		clear(response[:2])
		for _, message := range nmsg.MessageTypes() {
			switch {
			case a.carried(message):
				want[message] = append(want[message], response)
			case a.size <= 65535:
				tooBig[message]++
			}
		}
		if a.size > 65535 {
			beyond++
		}
		awaitResponses(t, receivers, want) // the buffer of a socket holds only one
	}
	from.close(t)
	h.stop()

	l := h.Ledger()
	checkLedger(t, l, 2*len(answers()))
	if n := l.Total.Dropped[transform.Malformed]; n != uint64(beyond) {
		t.Errorf("%d messages are malformed, want the %d that are longer than DNS allows", n, beyond)
	}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		name, _, _ := strings.Cut(s.Name, "-")
		message, err := nmsg.ParseMessageType(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Delivered != uint64(len(want[message])) || s.Lost[forward.TooBig] != tooBig[message] {
			t.Errorf("sink %s: %d delivered, %d too big, want %d and %d", s.Name, s.Delivered, s.Lost[forward.TooBig], len(want[message]), tooBig[message])
		}
	}
	for message, r := range receivers {
		got, err := r.received()
		if err != nil {
			t.Errorf("%v over UDP: %v", message, err)
		}
		checkResponses(t, message.String()+" over UDP", want[message], got)
		checkResponses(t, message.String()+" in a file", want[message], responsesInFile(t, filepath.Join(h.dir, message.String()+".nmsg")))
	}
	if tooBig[nmsg.DNSQR] == 0 || beyond == 0 {
		t.Error("nothing was too big: the test shows nothing")
	}
}

// awaitResponses waits until each receiver has as many responses as due contains.
func awaitResponses(t *testing.T, receivers map[nmsg.MessageType]*receiver, due map[nmsg.MessageType][][]byte) {
	t.Helper()
	for message, r := range receivers {
		eventually(t, fmt.Sprintf("%d messages of type %v over UDP", len(due[message]), message), func() bool {
			got, err := r.received()
			if err != nil {
				t.Fatal(err)
			}
			return len(got) >= len(due[message])
		})
	}
}

func checkResponses(t *testing.T, where string, want, got [][]byte) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d messages, want %d", where, len(got), len(want))
		return
	}
	for i := range want {
		if !bytes.Equal(want[i], got[i]) {
			t.Errorf("%s: message %d, of %d bytes, is not the one of %d that was sent", where, i, len(got[i]), len(want[i]))
		}
	}
}
