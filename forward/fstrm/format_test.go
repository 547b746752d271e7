package fstrm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// at is the time of the records.
const at = transform.Time(1_700_000_000_123_456_789)

func answered(tb testing.TB) *transform.Record {
	r := forwardtest.Record(tb, "www.example.", at, 100)
	copy(r.Response, []byte{0, 0}) // as the scrubber does
	return r
}

func unanswered(tb testing.TB) *transform.Record {
	r := answered(tb)
	r.HasQuery, r.Query = true, r.Response
	r.HasResponse, r.Response, r.ResponseTime = false, nil, transform.NoTime
	return r
}

// readAll reads the frames of a file with the library.
func readAll(t *testing.T, b []byte) (all []*dnstap.Dnstap) {
	t.Helper()
	r, err := framestream.NewReader(bytes.NewReader(b), &framestream.ReaderOptions{ContentTypes: [][]byte{dnstap.FSContentType}})
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, maxFrame)
	for {
		n, err := r.ReadFrame(frame)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		d := new(dnstap.Dnstap)
		if err := proto.Unmarshal(frame[:n], d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
}

func appendTo(t testing.TB, f Format, b []byte, r *transform.Record) []byte {
	t.Helper()
	b, err := f.Append(b, r, nmsg.IDs{Source: 1})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestAFrameContainsTheDnstapOfNMSG compares with base:dnstap, which is compared with vectors.
func TestAFrameContainsTheDnstapOfNMSG(t *testing.T) {
	for name, r := range map[string]*transform.Record{"answered": answered(t), "unanswered": unanswered(t)} {
		_, m, err := nmsg.AppendMessage(nil, nmsg.DNSTap, nmsg.IDs{}, r)
		if err != nil {
			t.Fatal(err)
		}
		want := append(binary.BigEndian.AppendUint32([]byte("before"), uint32(len(m.Data))), m.Data...)
		if got := appendTo(t, Format{}, []byte("before"), r); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", name, got, want)
		}
	}
}

func TestAFileIsReadByTheLibrary(t *testing.T) {
	f := Format{Identity: "sensor", Version: "1.2"}
	b := appendTo(t, f, appendTo(t, f, f.Begin(), answered(t)), unanswered(t))
	got := readAll(t, append(b, f.End()...))
	sec, nsec := uint64(1_700_000_000), uint32(123_456_789)
	want := []*dnstap.Dnstap{
		{
			Identity: []byte("sensor"), Version: []byte("1.2"), Type: dnstap.Dnstap_MESSAGE.Enum(),
			Message: &dnstap.Message{
				Type: dnstap.Message_RESOLVER_RESPONSE.Enum(), ResponseTimeSec: &sec, ResponseTimeNsec: &nsec, ResponseMessage: answered(t).Response,
			},
		},
		{
			Identity: []byte("sensor"), Version: []byte("1.2"), Type: dnstap.Dnstap_MESSAGE.Enum(),
			Message: &dnstap.Message{Type: dnstap.Message_RESOLVER_QUERY.Enum(), QueryMessage: answered(t).Response},
		},
	}
	want[0].Message.QueryTimeSec, want[0].Message.QueryTimeNsec = &sec, &nsec
	want[1].Message.QueryTimeSec, want[1].Message.QueryTimeNsec = &sec, &nsec
	for _, d := range want {
		d.Message.SocketFamily, d.Message.SocketProtocol = dnstap.SocketFamily_INET.Enum(), dnstap.SocketProtocol_UDP.Enum()
		d.Message.QueryAddress, d.Message.ResponseAddress = make([]byte, 4), []byte{198, 51, 100, 53}
		d.Message.QueryPort, d.Message.ResponsePort = proto.Uint32(0), proto.Uint32(53)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}

func TestTimesAreTruncatedToTheResolution(t *testing.T) {
	for resolution, want := range map[time.Duration]transform.Time{
		0: at, time.Second: 1_700_000_000e9, time.Minute: 1_699_999_980e9, time.Hour: 1_699_999_200e9,
	} {
		f := Format{Resolution: resolution}
		r := answered(t)
		m := readAll(t, append(appendTo(t, f, f.Begin(), r), f.End()...))[0].Message
		for _, got := range []transform.Time{
			transform.Time(m.GetQueryTimeSec()*1e9) + transform.Time(m.GetQueryTimeNsec()),
			transform.Time(m.GetResponseTimeSec()*1e9) + transform.Time(m.GetResponseTimeNsec()),
		} {
			if got != want {
				t.Errorf("%v: time %d, want %d", resolution, got, want)
			}
		}
		if r.QueryTime != at {
			t.Error("the record was changed")
		}
	}
}

func TestATooBigRecordAppendsNothing(t *testing.T) {
	r := answered(t)
	r.Response = make([]byte, 1<<16)
	b, err := Format{}.Append([]byte("before"), r, nmsg.IDs{})
	if string(b) != "before" || !errors.Is(err, nmsg.ErrTooBig) {
		t.Errorf("%q, %v", b, err)
	}
}

func TestNoAllocationPerRecord(t *testing.T) {
	var format forward.RecordFormat = Format{Identity: "sensor", Resolution: time.Minute}
	framer := format.NewFramer(0)
	batch := &forward.Batch{Buf: make([]byte, 0, forward.BatchSize), Units: make([]forward.Unit, 0, 1000)}
	r, scratch := answered(t), make([]byte, 0, 1000)
	if n := testing.AllocsPerRun(100, func() {
		batch.Buf, batch.Units = batch.Buf[:0], batch.Units[:0]
		for range 100 {
			b, err := format.Append(scratch[:0], r, nmsg.IDs{})
			if err != nil || !framer.Add(batch, b) {
				t.Fatal("not appended")
			}
		}
		framer.Seal(batch)
		framer.Number(batch)
	}); n != 0 {
		t.Errorf("%v allocations for 100 records", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	f, r := Format{Resolution: time.Second}, answered(b)
	var frame []byte
	b.ReportAllocs()
	for b.Loop() {
		frame = appendTo(b, f, frame[:0], r)
	}
	b.SetBytes(int64(len(frame)))
}
