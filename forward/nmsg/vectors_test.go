package nmsg

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cloneMessage returns m with data that stays valid after the next call of the reader.
func cloneMessage(m Message) Message {
	m.Data = bytes.Clone(m.Data)
	return m
}

// readAll reads a stream to its end, and returns messages and damage.
func readAll(t testing.TB, r *Reader) (messages []Message, damage []*DamageError) {
	t.Helper()
	for {
		m, err := r.Next()
		switch err := err.(type) {
		case nil:
			messages = append(messages, cloneMessage(m))
		case *DamageError:
			damage = append(damage, err)
		default:
			if err != io.EOF {
				t.Fatal(err)
			}
			return messages, damage
		}
	}
}

// readWhole reads a stream without damage.
func readWhole(t testing.TB, b []byte) []Message {
	t.Helper()
	messages, damage := readAll(t, NewReader(bytes.NewReader(b)))
	for _, d := range damage {
		t.Errorf("damage: %v", d)
	}
	return messages
}

// printed is a line of nmsgtool's JSON.
type printed struct {
	Time    string
	Vname   string
	Mname   string
	Message map[string]any
}

func printedBy(t *testing.T, name string) []printed {
	t.Helper()
	var all []printed
	lines := bufio.NewScanner(bytes.NewReader(vector(t, name)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var p printed
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestVectorsReadAsNmsgtoolPrintsThem(t *testing.T) {
	for _, v := range []struct{ nmsg, json string }{
		{"unbound-dnsqr.nmsg", "unbound-dnsqr.json"},
		{"unbound-dnsqr-zlib.nmsg", "unbound-dnsqr.json"},
		{"dnsobs.nmsg", "dnsobs.json"},
		{"dnstap-layout.nmsg", "dnstap-layout.json"},
	} {
		t.Run(v.nmsg, func(t *testing.T) {
			messages := readWhole(t, vector(t, v.nmsg))
			want := printedBy(t, v.json)
			if len(messages) != len(want) || len(want) == 0 {
				t.Fatalf("%d messages, nmsgtool prints %d", len(messages), len(want))
			}
			for i := range messages {
				checkPrinted(t, &messages[i], &want[i])
			}
		})
	}
}

func checkPrinted(t *testing.T, m *Message, want *printed) {
	t.Helper()
	vname, mname, ok := m.Name()
	if !ok || vname != want.Vname || mname != want.Mname {
		t.Errorf("message is %s:%s, want %s:%s", vname, mname, want.Vname, want.Mname)
	}
	if got := time.Unix(m.Sec, int64(m.Nsec)).UTC().Format("2006-01-02 15:04:05.000000000"); got != want.Time {
		t.Errorf("time %s, want %s", got, want.Time)
	}
	var got map[string]any
	switch mname {
	case "dnsqr":
		q, err := DecodeDNSQR(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		got = presentDNSQR(&q)
	case "dnsobs":
		o, err := DecodeDNSObs(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		got = map[string]any{
			"time": float64(o.Time), "response_ip": o.ResponseIP.String(),
			"response": base64.StdEncoding.EncodeToString(o.Response),
		}
	}
	for key := range got {
		if diff := cmp.Diff(want.Message[key], got[key]); diff != "" {
			t.Errorf("%s (-nmsgtool +got):\n%s", key, diff)
		}
	}
}

// presentDNSQR returns the values that nmsgtool prints without names and types.
func presentDNSQR(q *QueryResponse) map[string]any {
	got := map[string]any{
		"type": q.Type.String(), "query_ip": q.QueryIP.String(), "response_ip": q.ResponseIP.String(),
		"query_port": float64(q.QueryPort), "response_port": float64(q.ResponsePort), "id": float64(q.ID),
		"query_packet": texts(q.QueryPacket), "response_packet": texts(q.ResponsePacket),
		"query_time_sec": numbers(q.QueryTimeSec), "query_time_nsec": numbers(q.QueryTimeNsec),
		"response_time_sec": numbers(q.ResponseTimeSec), "response_time_nsec": numbers(q.ResponseTimeNsec),
	}
	if q.UDPChecksum != nil {
		got["udp_checksum"] = q.UDPChecksum.String()
	}
	if q.Timeout != nil {
		got["timeout"] = *q.Timeout
	}
	if msg, ok := q.Query(); ok {
		got["query"] = base64.StdEncoding.EncodeToString(msg)
	}
	if msg, ok := q.Response(); ok {
		got["response"] = base64.StdEncoding.EncodeToString(msg)
	}
	return got
}

func texts(packets [][]byte) []any {
	all := []any{}
	for _, p := range packets {
		all = append(all, base64.StdEncoding.EncodeToString(p))
	}
	return all
}

func numbers[N int32 | int64](from []N) []any {
	all := []any{}
	for _, n := range from {
		all = append(all, float64(n))
	}
	return all
}

// datagrams returns the UDP payloads to port 9430 in a classic little-endian pcap of
// Ethernet frames that carry IPv4.
func datagrams(t testing.TB, pcap []byte) [][]byte {
	t.Helper()
	const ethernet, ethernetLen = 1, 14
	le := binary.LittleEndian
	if le.Uint32(pcap) != 0xa1b2c3d4 || le.Uint32(pcap[20:]) != ethernet {
		t.Fatalf("not a little-endian pcap of Ethernet: % x", pcap[:24])
	}
	var all [][]byte
	for pcap = pcap[24:]; len(pcap) > 0; {
		n := le.Uint32(pcap[8:])
		ip := pcap[16+ethernetLen : 16+n]
		if udp := ip[int(ip[0]&15)*4:]; ip[9] == protoUDP && binary.BigEndian.Uint16(udp[2:]) == 9430 {
			all = append(all, udp[udpHeaderLen:binary.BigEndian.Uint16(udp[4:])])
		}
		pcap = pcap[16+n:]
	}
	return all
}

var sender = netip.MustParseAddrPort("127.0.0.1:41699")

// assembled feeds datagrams to a, and returns messages and errors.
func assembled(a *Assembler, datagrams [][]byte) (messages []Message, errs []error) {
	for _, d := range datagrams {
		a.Add(d, time.Unix(0, 0), sender)
		for {
			m, err := a.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			messages = append(messages, cloneMessage(m))
		}
	}
	return messages, errs
}

// counts counts equal messages, for comparisons that ignore the order.
func counts(messages []Message) map[string]int {
	bag := make(map[string]int)
	for _, m := range messages {
		bag[fmt.Sprintf("%+v", m)]++
	}
	return bag
}

// keys returns a set of messages.
func keys(messages []Message) map[string]bool {
	set := make(map[string]bool)
	for m := range counts(messages) {
		set[m] = true
	}
	return set
}

func shuffled[T any](from []T) []T {
	to := append([]T{}, from...)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
	return to
}

func TestDatagramsInAnyOrderGiveTheSameMessages(t *testing.T) {
	want := readWhole(t, vector(t, "unbound-dnsqr.nmsg"))
	inOrder := datagrams(t, vector(t, "udp-mtu512.pcap"))
	reversed := append([][]byte{}, inOrder...)
	slices.Reverse(reversed)

	for _, order := range []struct {
		name string
		sent [][]byte
	}{{"in order", inOrder}, {"reversed", reversed}, {"shuffled", shuffled(inOrder)}} {
		t.Run(order.name, func(t *testing.T) {
			var a Assembler
			got, errs := assembled(&a, order.sent)
			if len(errs) > 0 {
				t.Error(errs)
			}
			if diff := cmp.Diff(counts(want), counts(got)); diff != "" {
				t.Errorf("messages (-file +datagrams):\n%s", diff)
			}
		})
	}
	t.Run("shuffled, each twice", func(t *testing.T) {
		var a Assembler
		got, errs := assembled(&a, shuffled(append(inOrder, inOrder...)))
		if len(errs) > 0 {
			t.Error(errs)
		}
		if diff := cmp.Diff(keys(want), keys(got)); diff != "" {
			t.Errorf("messages (-file +datagrams):\n%s", diff)
		}
	})
}
