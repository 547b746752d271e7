package packet

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// tcpPacket returns an IP packet with a segment.
func tcpPacket(t testing.TB, f flow, seq uint32, edit func(*layers.TCP), payload []byte) []byte {
	t.Helper()
	tcp := &layers.TCP{SrcPort: layers.TCPPort(f.src.Port()), DstPort: layers.TCPPort(f.dst.Port()), Seq: seq, ACK: true, Window: 512}
	if edit != nil {
		edit(tcp)
	}
	network := f.ip(layers.IPProtocolTCP)
	if err := tcp.SetNetworkLayerForChecksum(network.(gopacket.NetworkLayer)); err != nil {
		t.Fatal(err)
	}
	return bytesOf(t, network, tcp, gopacket.Payload(payload))
}

func syn(tcp *layers.TCP) { tcp.SYN = true }
func fin(tcp *layers.TCP) { tcp.FIN = true }

func withOption(tcp *layers.TCP) {
	tcp.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)}}
}

// framed returns a message with its length before it (RFC 1035 section 4.2.2).
func framed(wire []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
}

// conversation returns a connection with one query, whose response comes in two segments.
func conversation(t testing.TB, f flow, question, reply []byte) [][]byte {
	q, r := framed(question), framed(reply)
	half := len(r) / 2
	return [][]byte{
		tcpPacket(t, f, 1000, syn, nil),
		tcpPacket(t, f.back(), 7000, syn, nil),
		tcpPacket(t, f, 1001, withOption, q),
		tcpPacket(t, f.back(), 7001, nil, nil),
		tcpPacket(t, f.back(), 7001, withOption, r[:half]),
		tcpPacket(t, f.back(), 7001+uint32(half), fin, r[half:]),
		tcpPacket(t, f, 1001+uint32(len(q)), fin, nil),
	}
}

func TestMessagesOverTCP(t *testing.T) {
	for _, f := range []flow{queryFlow(resolver4, server4), queryFlow(resolver6, server6)} {
		question, reply := questionWire(t, 1), bigAnswer(t, 3000)
		want := []transform.Message{query(f, transform.TCP, question), answer(f.back(), transform.TCP, reply)}
		packets := conversation(t, f, question, reply)
		d := New(testConfig)
		check(t, dissect(d, packets...), want...)
		if s := d.Stats().Streams; s.Messages != 2 || s.Segments != uint64(len(packets)) || s.Ended != 1 {
			t.Errorf("%+v", s)
		}
		var fragmented [][]byte // a segment in fragments
		for i, p := range packets {
			fragmented = append(fragmented, fragmentsOf(p, uint32(i), 512)...)
		}
		check(t, dissect(New(testConfig), fragmented...), want...)
	}
}

func TestTCPThatIsNotOutwardIsNotRead(t *testing.T) {
	for _, f := range []flow{queryFlow(client4, resolver4), queryFlow(client4, server4), queryFlow(resolver6, resolver6.Next())} {
		d := New(testConfig)
		check(t, dissect(d, conversation(t, f, questionWire(t, 1), answerWire(t, 1))...))
		if s := d.Stats(); s.Other != 7 || s.Streams.Segments != 0 {
			t.Errorf("%v: %+v", f, s)
		}
	}
}

// TestMessagesOverTCPBetweenTwoPorts53: a client may query the resolver itself from port 53.
func TestMessagesOverTCPBetweenTwoPorts53(t *testing.T) {
	question, reply := questionWire(t, 1), answerWire(t, 1)
	for _, ends := range [][2]netip.Addr{{resolver4, server4}, {resolver6, server6}} {
		f := flow{netip.AddrPortFrom(ends[0], portDNS), netip.AddrPortFrom(ends[1], portDNS)}
		check(t, dissect(New(testConfig), conversation(t, f, question, reply)...),
			query(f, transform.TCP, question), answer(f.back(), transform.TCP, reply))
		got := dissect(New(testConfig), conversation(t, f.back(), question, reply)...)
		if len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.NotOutward, transform.NotOutward}) {
			t.Errorf("%v: messages %+v, dropped %v; want both not_outward", f.dst, got.Messages, got.Dropped)
		}
	}
}

func TestInvalidSegmentsAreMalformed(t *testing.T) {
	f := queryFlow(resolver4, server4)
	b := tcpPacket(t, f, 1001, nil, framed(questionWire(t, 1)))
	offset := func(words byte) []byte {
		c := append([]byte(nil), b...)
		c[ipv4Len+12] = words << 4
		return c
	}
	cutHeader := append([]byte(nil), b[:ipv4Len+tcpLen-1]...)
	binary.BigEndian.PutUint16(cutHeader[2:], uint16(len(cutHeader)))
	for name, p := range map[string][]byte{"a header too short": offset(4), "a header beyond the packet": offset(15), "half a header": cutHeader} {
		if name == "a header beyond the packet" {
			p = p[:ipv4Len+tcpLen+4]
			binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		}
		got := dissect(New(testConfig), p)
		if len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) {
			t.Errorf("%s: messages %d, dropped %v; want one malformed", name, len(got.Messages), got.Dropped)
		}
	}
}

func TestIncompleteMessagesAreMalformed(t *testing.T) {
	f := queryFlow(resolver4, server4).back()
	d := New(testConfig)
	got := dissect(d, tcpPacket(t, f, 7000, syn, nil), tcpPacket(t, f, 7001, nil, framed(bigAnswer(t, 3000))[:1000]))
	check(t, got)
	d.Finish(got)
	if !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) {
		t.Errorf("dropped %v, want one malformed", got.Dropped)
	}
}

// TestCutSegmentsLoseOnlyTheirMessage: a segment that was captured in part loses its message,
// not the later ones.
func TestCutSegmentsLoseOnlyTheirMessage(t *testing.T) {
	f := queryFlow(resolver4, server4).back()
	first, second := bigAnswer(t, 1000), answerWire(t, 2)
	d, got := New(testConfig), &recorder{}
	cut := tcpPacket(t, f, 7001, nil, framed(first))
	for _, c := range []CapturedPacket{
		{Data: tcpPacket(t, f, 7000, syn, nil)},
		{Data: cut[:200], Length: len(cut)},
		{Data: tcpPacket(t, f, 7001+uint32(len(framed(first))), nil, framed(second))},
	} {
		c.Length, c.Time = max(c.Length, len(c.Data)), at
		d.Frame(raw, &c, got)
	}
	if !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) || d.Stats().Cut != 1 {
		t.Errorf("dropped %v, %d cut; want one malformed, one cut", got.Dropped, d.Stats().Cut)
	}
	got.Dropped = nil
	check(t, got, answer(f, transform.TCP, second))
}

// TestAddAddsEveryCount checks that Add adds every counter of the struct.
func TestAddAddsEveryCount(t *testing.T) {
	var one Stats
	count(reflect.ValueOf(&one).Elem(), 1)
	sum := one
	sum.Add(one)
	var two Stats
	count(reflect.ValueOf(&two).Elem(), 2)
	if diff := cmp.Diff(two, sum, cmpopts.IgnoreTypes(TopSenders{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// count sets every number in a struct.
func count(v reflect.Value, n uint64) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			if f.Type() == reflect.TypeFor[TopSenders]() {
				continue // TestSendersAreMerged
			}
			count(f, n)
		case reflect.Array:
			for k := range f.Len() {
				f.Index(k).SetUint(n)
			}
		case reflect.Int:
			f.SetInt(int64(n))
		default:
			f.SetUint(n)
		}
	}
}
