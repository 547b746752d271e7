package pcap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/capfile"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// testConfig has the resolver whose outward traffic testdata/unbound.pcap contains.
var testConfig = Config{Resolvers: []netip.Prefix{
	netip.MustParsePrefix("192.0.2.53/32"), netip.MustParsePrefix("2001:db8:53::53/128"),
}}

func unbound(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/unbound.pcap")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replay reads files one after the other and returns their joined errors.
func replay(t *testing.T, files ...io.Reader) (*recorder, packet.Stats, error) {
	t.Helper()
	lane := &recorder{t: t}
	p, err := NewReplay(testConfig, lane)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range files {
		err = errors.Join(err, p.Read(t.Context(), r))
	}
	stats := p.Close()
	if !lane.closed {
		t.Error("the lane was not closed")
	}
	return lane, stats, err
}

// packetsOf reads a capture with gopacket.
func packetsOf(t testing.TB, file []byte) (all []packet.CapturedPacket, infos []gopacket.CaptureInfo, link layers.LinkType) {
	t.Helper()
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all, infos, r.LinkType()
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, packet.CapturedPacket{Data: data, Length: info.Length, Time: transform.Time(info.Timestamp.UnixNano())})
		infos = append(infos, info)
	}
}

// asPcap writes the packets as a pcap file with the byte order and unit.
func asPcap(t *testing.T, file []byte, order binary.AppendByteOrder, nano bool) []byte {
	packets, _, link := packetsOf(t, file)
	magic, unit := uint32(0xa1b2c3d4), transform.Time(1000)
	if nano {
		magic, unit = 0xa1b23c4d, 1
	}
	out := order.AppendUint32(nil, magic)
	out = order.AppendUint16(order.AppendUint16(out, 2), 4)
	out = order.AppendUint32(append(out, make([]byte, 8)...), 262144)
	out = order.AppendUint32(out, uint32(link))
	for _, p := range packets {
		out = order.AppendUint32(out, uint32(p.Time/1e9))
		out = order.AppendUint32(out, uint32(p.Time%1e9/unit))
		out = order.AppendUint32(out, uint32(len(p.Data)))
		out = append(order.AppendUint32(out, uint32(p.Length)), p.Data...)
	}
	return out
}

// asPcapng writes the packets as a pcapng section, with a second interface whose link layer
// is not supported.
func asPcapng(t testing.TB, file []byte) []byte {
	t.Helper()
	packets, infos, link := packetsOf(t, file)
	var out bytes.Buffer
	w, err := pcapgo.NewNgWriter(&out, link)
	if err != nil {
		t.Fatal(err)
	}
	other, err := w.AddInterface(pcapgo.NgInterface{Name: "wifi", LinkType: layers.LinkTypeIEEE802_11})
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		for _, index := range []int{0, other} {
			info := infos[i]
			info.InterfaceIndex = index
			if err := w.WritePacket(info, p.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCaptureFormatsGiveTheSameMessages(t *testing.T) {
	file := unbound(t)
	want, _, err := replay(t, bytes.NewReader(file))
	if err != nil || len(want.messages) < 200 {
		t.Fatalf("%d messages, error %v", len(want.messages), err)
	}
	for _, c := range []struct {
		name    string
		file    []byte
		unknown uint64
	}{
		{"microseconds, little-endian", asPcap(t, file, binary.LittleEndian, false), 0},
		{"microseconds, big-endian", asPcap(t, file, binary.BigEndian, false), 0},
		{"nanoseconds, little-endian", asPcap(t, file, binary.LittleEndian, true), 0},
		{"nanoseconds, big-endian", asPcap(t, file, binary.BigEndian, true), 0},
		{"pcapng", asPcapng(t, file), 384},
		{"pcapng, two sections", append(asPcapng(t, file)[:0:0], asPcapng(t, file)...), 384},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, stats, err := replay(t, bytes.NewReader(c.file))
			if err != nil {
				t.Fatal(err)
			}
			equal := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
			if diff := cmp.Diff(want.messages, got.messages, equal); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want.dropped, got.dropped); diff != "" || stats.UnknownLink != c.unknown {
				t.Errorf("dropped (-want +got):\n%s\nunknown link layers %d, want %d", diff, stats.UnknownLink, c.unknown)
			}
		})
	}
}

func TestCutCapturesGiveThePacketsBeforeTheCut(t *testing.T) {
	file := unbound(t)[:4000]
	ng := asPcapng(t, unbound(t))[:4000]
	for _, whole := range [][]byte{file, ng} {
		last := 0
		for n := 0; n < len(whole); n += 7 { // no divisor of the sizes of headers, so each field is cut somewhere
			lane, _, err := replay(t, bytes.NewReader(whole[:n]))
			if len(lane.messages)+len(lane.dropped) < last {
				t.Fatalf("%d bytes: %d messages, %d with less", n, len(lane.messages), last)
			}
			last = len(lane.messages)
			if n == 0 && (err == nil || !strings.Contains(err.Error(), "nothing to read")) {
				t.Errorf("an empty file: error %v", err)
			}
			if err != nil && n > 200 && !strings.Contains(err.Error(), "at byte") {
				t.Errorf("%d bytes: %v has no offset", n, err)
			}
			if errors.Is(err, capfile.ErrCutOff) != (len(lane.dropped) > 0 && lane.dropped[len(lane.dropped)-1] == transform.Malformed) {
				t.Errorf("%d bytes: error %v, dropped %v", n, err, lane.dropped)
			}
		}
		if last < 10 {
			t.Errorf("only %d messages came before the cut", last)
		}
	}
}

func TestDamagedCapturesEndWithAnError(t *testing.T) {
	file, ng := unbound(t), asPcapng(t, unbound(t))
	with := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, c := range []struct {
		name, want string
		file       []byte
	}{
		{"a length of 4 GB", "capture length", with(file, 24+8, 0xff, 0xff, 0xff, 0x7f)},
		{"a captured length above the limit", "capture length", with(file, 24+8, 0xff, 0x0f, 0, 0)},
		{"an unsupported link layer", "type 105", with(file, 20, 105)},
		{"another version", "version", with(file, 4, 9)},
		{"pcapng with a wrong byte order", "", with(ng, 8, 1, 2, 3, 4)},
		{"a block of 4 GB", "", with(ng, 4, 0xff, 0xff, 0xff, 0xff)},
		{"no capture", "", []byte("this text is not a capture file of any kind")},
	} {
		lane, _, err := replay(t, bytes.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
		if len(lane.messages) > 0 {
			t.Errorf("%s: %d messages", c.name, len(lane.messages))
		}
	}
}

func TestInvalidLengthsDoNotFillMemory(t *testing.T) {
	ng := asPcapng(t, unbound(t))[:4000]
	at := bytes.Index(ng, []byte{6, 0, 0, 0}) // an enhanced packet block
	if at < 0 {
		t.Fatal("no packet block")
	}
	invalid := bytes.Clone(ng[:at+28])
	binary.LittleEndian.PutUint32(invalid[at+20:], 1<<31-100) // of its packet
	long := bytes.Clone(invalid)
	binary.LittleEndian.PutUint32(long[at+4:], 1<<31) // of itself
	for name, b := range map[string][]byte{"a packet": invalid, "a block": long} {
		_, _, err := replay(t, io.MultiReader(bytes.NewReader(b), zeros{}))
		if err == nil || !strings.Contains(err.Error(), "at byte") {
			t.Errorf("%s of 2 GB: error %v", name, err)
		}
	}
}

// ngBlock returns a little-endian pcapng block.
func ngBlock(kind uint32, body []byte) []byte { return ngBlockIn(binary.LittleEndian, kind, body) }

// TestNamesAndSecretsAreNotKept: memory does not grow by blocks of names and secrets, as it does
// in gopacket.
func TestNamesAndSecretsAreNotKept(t *testing.T) {
	ng := asPcapng(t, unbound(t))
	head := int(binary.LittleEndian.Uint32(ng[4:]))
	names := ngBlock(4, bytes.Repeat([]byte{1, 0, 8, 0, 192, 0, 2, 1, 'a', 'b', 'c', 0}, 80_000)) // 1 MB
	secrets := ngBlock(10, append([]byte{'K', 'S', 'L', 'T', 0, 0, 15, 0}, make([]byte, 1<<20)...))
	stream := []io.Reader{bytes.NewReader(ng[:head])}
	for range 100 {
		stream = append(stream, bytes.NewReader(names), bytes.NewReader(secrets))
	}
	stream = append(stream, bytes.NewReader(ng[head:]))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	lane, _, err := replay(t, io.MultiReader(stream...))
	runtime.ReadMemStats(&after)
	if err != nil || len(lane.messages) < 200 {
		t.Errorf("%d messages, error %v", len(lane.messages), err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 20<<20 {
		t.Errorf("%d MiB were allocated for 200 MB of skipped blocks", grown>>20)
	}
}

func TestTooManyInterfacesAreRefused(t *testing.T) {
	ng := asPcapng(t, unbound(t))
	head := int(binary.LittleEndian.Uint32(ng[4:]))
	stream := bytes.Clone(ng[:head])
	for range 1024 + 1 {
		stream = append(stream, ngBlock(1, []byte{1, 0, 0, 0, 0, 0, 4, 0})...)
	}
	_, _, err := replay(t, bytes.NewReader(append(stream, ng[head:]...)))
	if err == nil || !strings.Contains(err.Error(), "more than 1024 interfaces") {
		t.Errorf("error %v", err)
	}
}

// zeros is a reader that never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestReplayEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	lane := &recorder{t: t}
	first := unbound(t)[:4000]
	r := io.MultiReader(bytes.NewReader(first), cancelled{cancel, why})
	p, err := NewReplay(testConfig, lane)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Read(ctx, r); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	if len(lane.messages) == 0 || lane.open {
		t.Errorf("%d messages, within a burst %v", len(lane.messages), lane.open)
	}
}

// cancelled ends the context at its first read.
type cancelled struct {
	cancel context.CancelCauseFunc
	why    error
}

func (c cancelled) Read([]byte) (int, error) {
	c.cancel(c.why)
	return 0, c.why
}

func TestReplayNeedsResolvers(t *testing.T) {
	if _, err := NewReplay(Config{}, discardLane{}); !errors.Is(err, errNoResolvers) {
		t.Errorf("error %v", err)
	}
}

func TestDecapsulationNeedsSources(t *testing.T) {
	c := testConfig
	c.Decapsulate = true
	if _, err := NewReplay(c, discardLane{}); !errors.Is(err, errNoTunnelSources) {
		t.Errorf("error %v", err)
	}
	c.DecapsulateFrom = []netip.Prefix{{}}
	if _, err := NewReplay(c, discardLane{}); err == nil || !strings.Contains(err.Error(), "tunnel source") {
		t.Errorf("an invalid source: error %v", err)
	}
	c.DecapsulateFrom, c.DecapsulateTo = testConfig.Resolvers, []netip.Prefix{{}}
	if _, err := NewReplay(c, discardLane{}); err == nil || !strings.Contains(err.Error(), "tunnel destination") {
		t.Errorf("an invalid destination: error %v", err)
	}
}

// TestForgedTunnelsGiveNoMessage replays a query and its response that a host on the
// Internet put into VXLAN itself: from 198.51.100.66 to 203.0.113.200.
func TestForgedTunnelsGiveNoMessage(t *testing.T) {
	file, err := os.ReadFile("testdata/forged-through-vxlan.pcap")
	if err != nil {
		t.Fatal(err)
	}
	prefixes := func(list ...string) (all []netip.Prefix) {
		for _, p := range list {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	for name, c := range map[string]struct {
		from, to []netip.Prefix
		messages int
		refused  uint64
	}{
		"no decapsulation":              {nil, nil, 0, 0},
		"another source":                {prefixes("10.9.9.1/32"), nil, 0, 2},
		"another destination":           {prefixes("198.51.100.66/32"), prefixes("203.0.113.201/32"), 0, 2},
		"another family's destination":  {prefixes("198.51.100.66/32"), prefixes("::/0"), 0, 2},
		"this source":                   {prefixes("198.51.100.66/32"), nil, 2, 0},
		"this source and destination":   {prefixes("10.9.9.1/32", "198.51.100.0/24"), prefixes("203.0.113.200/32"), 2, 0},
		"this destination, from others": {prefixes("10.9.9.1/32"), prefixes("203.0.113.200/32"), 0, 2},
	} {
		cfg := testConfig
		cfg.Decapsulate, cfg.DecapsulateFrom, cfg.DecapsulateTo = c.from != nil, c.from, c.to
		lane := &recorder{t: t}
		p, err := NewReplay(cfg, lane)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Read(t.Context(), bytes.NewReader(file)); err != nil {
			t.Error(err)
		}
		if s := p.Close(); len(lane.messages) != c.messages || len(lane.dropped) > 0 || s.TunnelsRefused != c.refused {
			t.Errorf("%s: %d messages, want %d; %d tunnels refused, want %d; dropped %v",
				name, len(lane.messages), c.messages, s.TunnelsRefused, c.refused, lane.dropped)
		}
	}
}

// TestPacketsComeAsTheyArrive replays a pipe: the lane gets a whole packet before more is
// written.
func TestPacketsComeAsTheyArrive(t *testing.T) {
	file := unbound(t)
	packets, _, _ := packetsOf(t, file)
	r, w := io.Pipe()
	lane := signallingLane{discardLane{}, make(chan bool)}
	p, err := NewReplay(testConfig, lane)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.Read(t.Context(), r) }()
	w.Write(file[:24])
	at := 24
	for _, p := range packets[:20] {
		end := at + 16 + len(p.Data)
		w.Write(file[at:end])
		<-lane.ended
		at = end
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A signallingLane signals the end of each burst.
type signallingLane struct {
	discardLane
	ended chan bool
}

func (l signallingLane) End() { l.ended <- true }

func FuzzReplay(f *testing.F) {
	file := unbound(f)
	f.Add(file[:3000])
	f.Add(asPcapng(f, file)[:3000])
	packets, _, _ := packetsOf(f, file)
	le, be := binary.LittleEndian, binary.BigEndian
	f.Add(ngSection(be, 1, 2, []byte{0, 9, 0, 1, 0, 0, 0, 0}, ngPackets(be, packets[:10], second, 4)))
	f.Add(append(ngSection(le, 1, 3, nil, nil), ngSection(le, 1, 0, nil, ngPackets(le, packets[:10], microsecond, 0))...))
	short := bytes.Clone(file[:3000])
	le.PutUint32(short[24+12:], 1) // the first packet's length
	f.Add(short)
	f.Fuzz(func(t *testing.T, b []byte) {
		lane, stats, err := replay(t, bytes.NewReader(b))
		if n := uint64(len(lane.messages)); n > stats.Packets+stats.Streams.Messages {
			t.Errorf("%d messages of %d packets, error %v", n, stats.Packets, err)
		}
	})
}

func BenchmarkReplay(b *testing.B) {
	file := unbound(b)
	packets, _, _ := packetsOf(b, file)
	header, body := file[:24], file[24:]
	const times = 100
	stream := append(bytes.Clone(header), bytes.Repeat(body, times)...)
	b.ReportAllocs()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		p, err := NewReplay(testConfig, discardLane{})
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Read(b.Context(), bytes.NewReader(stream)); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*times*len(packets)), "ns/packet")
}

// A discardLane keeps nothing.
type discardLane struct{}

func (discardLane) Begin()                                   {}
func (discardLane) Take(*transform.Message) transform.Reason { return transform.Kept }
func (discardLane) Drop(transform.Reason)                    {}
func (discardLane) End()                                     {}
func (discardLane) Close()                                   {}

// TestQuerySendersOfAFile: they are found without resolvers, also in a file that is cut off.
func TestQuerySendersOfAFile(t *testing.T) {
	file := unbound(t)
	for _, b := range [][]byte{file, file[:len(file)-10]} {
		all := QuerySenders(t.Context(), bytes.NewReader(b))
		if len(all) != 2 || all[0].Addr != testConfig.Resolvers[0].Addr() || all[1].Addr != testConfig.Resolvers[1].Addr() {
			t.Errorf("got %v", all)
		}
	}
	if all := QuerySenders(t.Context(), strings.NewReader("no capture")); len(all) != 0 {
		t.Errorf("of no capture: got %v", all)
	}
}
