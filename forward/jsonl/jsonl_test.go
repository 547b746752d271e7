package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgjson"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is the time of the records.
const at = transform.Time(1_700_000_000_123_456_789)

func record(tb testing.TB, name string) *transform.Record {
	return forwardtest.Record(tb, name, at, 20)
}

func unanswered(tb testing.TB) *transform.Record {
	r := record(tb, "www.example.")
	r.HasQuery, r.Query = true, r.Response
	r.HasResponse, r.Response, r.ResponseTime = false, nil, transform.NoTime
	return r
}

func appendTo(t testing.TB, f Format, b []byte, r *transform.Record) []byte {
	t.Helper()
	b, err := f.Append(b, r, nmsg.IDs{Source: 1, Operator: 2, Group: 3})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestALineIsThatOfNMSG compares with the line of the payload that a reader of NMSG returns, which
// is what cat --json prints.
func TestALineIsThatOfNMSG(t *testing.T) {
	for _, typ := range nmsg.MessageTypes() {
		for name, r := range map[string]*transform.Record{"answered": record(t, "www.example."), "unanswered": unanswered(t)} {
			f := Format{Message: typ}
			if f.Accepts(r) != typ.Accepts(r) {
				t.Errorf("%v, %s: accepts %v", typ, name, f.Accepts(r))
			}
			if !f.Accepts(r) {
				continue
			}
			got := appendTo(t, f, []byte("before\n"), r)
			if want := "before\n" + printed(t, typ, r); string(got) != want {
				t.Errorf("%v, %s:\n%s\nwant\n%s", typ, name, got, want)
			}
		}
	}
}

// printed returns the line of a record that went through a container.
func printed(t *testing.T, typ nmsg.MessageType, r *transform.Record) string {
	t.Helper()
	_, p, err := nmsg.AppendPayload(nil, typ, nmsg.IDs{Source: 1, Operator: 2, Group: 3}, r)
	if err != nil {
		t.Fatal(err)
	}
	var c nmsg.Container
	b := c.Seal(c.Add(c.Begin(nil), p), 1)
	m, err := nmsg.NewReader(bytes.NewReader(b)).Next()
	if err != nil {
		t.Fatal(err)
	}
	line, err := new(nmsgjson.Encoder).Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

func TestTimesAreTruncatedToTheResolution(t *testing.T) {
	line := appendTo(t, Format{Resolution: time.Minute}, nil, record(t, "www.example."))
	var got struct {
		Time    string
		Message struct {
			QuerySec  []int64 `json:"query_time_sec"`
			QueryNsec []int64 `json:"query_time_nsec"`
			Sec       []int64 `json:"response_time_sec"`
			Nsec      []int64 `json:"response_time_nsec"`
		}
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	m := got.Message
	if got.Time != "2023-11-14 22:13:00.000000000" || len(m.Sec) != 1 || m.Sec[0] != 1_699_999_980 || m.Nsec[0] != 0 {
		t.Errorf("%+v in %s", got, line)
	}
}

// TestALongLineIsTooBig uses a response whose names are compressed to two bytes each.
func TestALongLineIsTooBig(t *testing.T) {
	long := strings.Repeat(strings.Repeat("\\000", 60)+".", 3) + "example."
	m := new(dns.Msg).SetQuestion(long, dns.TypeNS)
	m.Response, m.Compress = true, true
	for range 2500 {
		m.Answer = append(m.Answer, &dns.NS{Hdr: dns.RR_Header{Name: long, Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: long})
	}
	wire, err := m.Pack()
	if err != nil || len(wire) >= 1<<16 {
		t.Fatalf("%d bytes, %v", len(wire), err)
	}
	r := record(t, "www.example.")
	r.Response = wire
	b, err := Format{}.Append([]byte("before"), r, nmsg.IDs{})
	if string(b) != "before" || !errors.Is(err, nmsg.ErrTooBig) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	r.Response = make([]byte, 1<<16)
	if b, err := (Format{}).Append([]byte("before"), r, nmsg.IDs{}); string(b) != "before" || !errors.Is(err, nmsg.ErrTooBig) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// TestLanesEncodeAtTheSameTime lets the race detector look at the shared memory.
func TestLanesEncodeAtTheSameTime(t *testing.T) {
	names := []string{"a.example.", "bb.example.", "ccc.example.", "dddd.example."}
	var lanes sync.WaitGroup
	for _, name := range names {
		r := record(t, name)
		want := printed(t, nmsg.DNSQR, r)
		lanes.Go(func() {
			var line []byte
			for range 200 {
				line = appendTo(t, Format{}, line[:0], r)
				if string(line) != want {
					t.Errorf("%s, want %s", line, want)
					return
				}
			}
		})
	}
	lanes.Wait()
}

// TestExactlyWholeLinesAreWhole cuts a file at every byte, and appends what a crash may leave.
func TestExactlyWholeLinesAreWhole(t *testing.T) {
	var b []byte
	ends := []int{0}
	for range 3 {
		b = appendTo(t, Format{}, b, record(t, "www.example."))
		ends = append(ends, len(b))
	}
	tails := map[string][]byte{
		"nothing":            nil,
		"zeros":              make([]byte, 4096),
		"zeros and a line":   append(make([]byte, 100), "{}\n"...),
		"junk":               []byte("junk\n"),
		"a line without end": []byte(`{"time":`),
	}
	for cut := range len(b) + 1 {
		want := 0
		for _, end := range ends {
			if end <= cut {
				want = end
			}
		}
		for name, tail := range tails {
			got, err := Format{}.Whole(bytes.NewReader(append(bytes.Clone(b[:cut]), tail...)))
			if err != nil || int(got) != want {
				t.Errorf("cut at %d, then %s: %d bytes are whole, %v, want %d", cut, name, got, err, want)
			}
		}
	}
}

func TestAVeryLongLineIsNotWhole(t *testing.T) {
	for length, want := range map[int]int{maxLine: 3 + maxLine, maxLine + 1: 3, 2 * maxLine: 3} {
		b := append([]byte("{}\n"), bytes.Repeat([]byte{'1'}, length-1)...)
		got, err := Format{}.Whole(bytes.NewReader(append(b, '\n')))
		if err != nil || int(got) != want {
			t.Errorf("a line of %d bytes: %d are whole, %v, want %d", length, got, err, want)
		}
	}
}

func TestErrorsOfTheFileAreReturned(t *testing.T) {
	failed := errors.New("failed")
	r := io.MultiReader(strings.NewReader("{}\n{"), iotest.ErrReader(failed))
	if _, err := (Format{}).Whole(r); !errors.Is(err, failed) {
		t.Error(err)
	}
}

func FuzzWhole(f *testing.F) {
	f.Add(appendTo(f, Format{}, nil, record(f, "www.example.")))
	f.Add([]byte("{}\n{\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Format{}.Whole(bytes.NewReader(b))
		if err != nil || n > int64(len(b)) {
			t.Fatalf("%d bytes of %d, %v", n, len(b), err)
		}
		for line := range bytes.Lines(b[:n]) {
			if !json.Valid(line) || !bytes.HasSuffix(line, []byte("\n")) {
				t.Fatalf("%q is not a line", line)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, typ := range nmsg.MessageTypes() {
		b.Run(typ.String(), func(b *testing.B) {
			f, r := Format{Message: typ, Resolution: time.Second}, record(b, "www.example.")
			var line []byte
			b.ReportAllocs()
			for b.Loop() {
				line = appendTo(b, f, line[:0], r)
			}
			b.SetBytes(int64(len(line)))
		})
	}
}
