package collector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"testing/iotest"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// readStream reads a stream from after its handshake.
func readStream(src io.Reader, maxFrame int) (*stream, *recorder, error) {
	lane := &recorder{}
	s := &stream{frames: newFrameReader(src, maxFrame), lane: lane}
	return s, lane, s.run()
}

func errorText(err error) string {
	if err == nil {
		return "STOP"
	}
	return err.Error()
}

func length(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// controlOf returns a control frame with this body, which may be malformed.
func controlOf(body ...[]byte) []byte {
	all := join(body...)
	return join(length(0), length(uint32(len(all))), all)
}

func TestStreamOfGoodAndBadFrames(t *testing.T) {
	const maxFrame = 1000
	good := sampleFrame()
	unread := marshal(sample())
	noDnstap := frame([]byte("none"))
	malformed := func(n int) []transform.Reason { return slices.Repeat([]transform.Reason{transform.Malformed}, n) }
	tests := []struct {
		name     string
		in       []byte
		messages int
		drops    []transform.Reason
		err      string // as errorText
	}{
		{"nothing", nil, 0, nil, "EOF"},
		{"frames and STOP", join(good, good, stop), 2, nil, "STOP"},
		{"frames without STOP", join(good, good), 2, nil, "EOF"},
		{"bytes after STOP", join(good, stop, good, []byte("junk")), 1, nil, "STOP"},
		{"STOP with a content type", join(good, controlBytes(framestream.CONTROL_STOP, ours)), 1, nil, "STOP"},
		{"frame of one byte", join(frame([]byte{0}), good, stop), 1, []transform.Reason{transform.Malformed}, "STOP"},
		{"garbage between frames", join(good, frame([]byte("no protobuf")), good, stop), 2, []transform.Reason{transform.Malformed}, "STOP"},
		{"dnstap without a message", join(frame([]byte{15 << 3, 1}), good), 1, []transform.Reason{transform.Malformed}, "EOF"},
		{"oversized, then good", join(frame(make([]byte, maxFrame+1)), good, stop), 1, []transform.Reason{transform.Oversize}, "STOP"},
		{"as large as may be", join(frame(make([]byte, maxFrame)), good, stop), 1, []transform.Reason{transform.Malformed}, "STOP"},
		{"16 MiB, cut", join(good, length(16<<20), make([]byte, 100)), 1, []transform.Reason{transform.Oversize},
			"at byte 124: the stream ends within a frame"},
		{"16 MiB + 1", join(good, length(16<<20+1), good, good), 1, nil,
			"at byte 124: data frame of 16777217 bytes: at most 16777216 are possible"},
		{"4 GiB - 1", join(good, length(math.MaxUint32), good, good), 1, nil,
			"at byte 124: data frame of 4294967295 bytes: at most 16777216 are possible"},
		{"99 unreadable frames in a row, twice", join(bytes.Repeat(noDnstap, 99), good, bytes.Repeat(noDnstap, 99), good, stop), 2,
			malformed(198), "STOP"},
		{"100 unreadable frames in a row", join(good, bytes.Repeat(noDnstap, 100), good, stop), 1,
			malformed(100), "at byte 916: 100 data frames in a row are not dnstap"},
		{"frames above the limit between unreadable ones",
			join(bytes.Repeat(noDnstap, 60), frame(make([]byte, maxFrame+1)), bytes.Repeat(noDnstap, 60)), 0,
			slices.Concat(malformed(60), []transform.Reason{transform.Oversize}, malformed(40)),
			"at byte 1797: 100 data frames in a row are not dnstap"},
		{"dnstap without a message, 100 times", join(bytes.Repeat(frame([]byte{15 << 3, 1}), 100), good, stop), 1,
			malformed(100), "STOP"},
		{"cut within a frame", join(good, good[:len(good)-1]), 1, []transform.Reason{transform.Malformed},
			"at byte 124: the stream ends within a frame"},
		{"cut within a length", join(good, good[:2]), 1, []transform.Reason{transform.Malformed},
			"at byte 124: the stream ends within a frame"},
		{"cut after a length", join(good, good[:4]), 1, []transform.Reason{transform.Malformed},
			"at byte 124: the stream ends within a frame"},
		{"cut within STOP", join(good, stop[:7]), 1, nil, "at byte 124: the stream ends within a frame"},
		{"empty control frame", join(good, controlOf(), good), 1, nil,
			"at byte 124: control frame of 0 bytes: 4 to 512 are possible"},
		{"control frame of 3 bytes", join(good, controlOf([]byte{0, 0, 3}), good), 1, nil,
			"at byte 124: control frame of 3 bytes: 4 to 512 are possible"},
		{"control frame of 513 bytes", join(good, controlOf(make([]byte, 513)), good), 1, nil,
			"at byte 124: control frame of 513 bytes: 4 to 512 are possible"},
		{"control frame of 4 GiB - 1", join(good, length(0), length(math.MaxUint32)), 1, nil,
			"at byte 124: control frame of 4294967295 bytes: 4 to 512 are possible"},
		{"unknown control frame", join(good, controlOf(length(6)), good), 1, nil,
			"at byte 124: control frame of unknown type 6"},
		{"control frame of type 0", join(good, controlOf(length(0)), good), 1, nil,
			"at byte 124: control frame of unknown type 0"},
		{"START again", join(good, start, good), 1, nil, "at byte 124: START after START"},
		{"READY after START", join(controlBytes(framestream.CONTROL_READY, ours), good), 0, nil, "at byte 0: READY after START"},
		{"ACCEPT after START", controlBytes(framestream.CONTROL_ACCEPT), 0, nil, "at byte 0: ACCEPT after START"},
		{"FINISH after START", controlBytes(framestream.CONTROL_FINISH), 0, nil, "at byte 0: FINISH after START"},
		{"control field of unknown kind", controlOf(length(3), length(2), length(0)), 0, nil,
			"at byte 0: unknown field 2 in STOP"},
		{"control field beyond its frame", controlOf(length(3), length(1), length(9), []byte("x")), 0, nil,
			"at byte 0: STOP declares a content type of 9 bytes, but contains 1"},
		{"extra bytes in a control frame", controlOf(length(3), []byte("extra")), 0, nil,
			"at byte 0: 5 extra bytes at the end of STOP"},
	}
	if len(sampleFrame()) != 124 || len(unread) != 120 {
		t.Fatalf("the offsets below expect a sample frame of 124 bytes; it has %d", len(good))
	}
	readers := map[string]func(io.Reader) io.Reader{
		"at once":       func(r io.Reader) io.Reader { return r },
		"byte by byte":  iotest.OneByteReader,
		"half reads":    iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
	}
	for _, tt := range tests {
		for how, reader := range readers {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				s, lane, err := readStream(reader(bytes.NewReader(tt.in)), maxFrame)
				lane.check(t)
				messages, drops := lane.seen()
				if len(messages) != tt.messages || !cmp.Equal(drops, tt.drops) {
					t.Errorf("got %d messages and drops %v, want %d and %v", len(messages), drops, tt.messages, tt.drops)
				}
				if got := errorText(err); got != tt.err {
					t.Errorf("ended with %q, want %q", got, tt.err)
				}
				if got := int(s.account.frames); got != len(messages)+len(drops) {
					t.Errorf("counted %d frames, of %d", got, len(messages)+len(drops))
				}
			})
		}
	}
}

func TestOneBurstPerRead(t *testing.T) {
	file, frames := capture(t, "unbound.fstrm")
	reads := &countingReader{r: bytes.NewReader(file[len(start):])}
	_, lane, err := readStream(reads, 256<<10)
	if err != nil {
		t.Fatal(err)
	}
	messages, _ := lane.seen()
	if len(messages) != len(frames) || lane.bursts != reads.n {
		t.Errorf("%d messages in %d bursts from %d reads, want %d messages, as many bursts as reads",
			len(messages), lane.bursts, reads.n, len(frames))
	}

	_, lane, _ = readStream(iotest.OneByteReader(bytes.NewReader(join(sampleFrame(), stop))), 256<<10)
	if lane.bursts != 1 {
		t.Errorf("a frame in many reads made %d bursts", lane.bursts)
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	c.n++
	return c.r.Read(p)
}

func TestBufferGrowsForALargeFrameAndShrinksAfterIt(t *testing.T) {
	big := sample()
	big.Extra = make([]byte, 200<<10)
	bigFrame := frame(marshal(big))
	in := join(sampleFrame(), bigFrame, bigFrame, sampleFrame())

	var sizes []int
	lane := &recorder{}
	s := &stream{frames: newFrameReader(bytes.NewReader(in), 256<<10), lane: lane}
	s.afterBurst = func() { sizes = append(sizes, len(s.frames.buf)) }
	if err := s.run(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	want := []int{bufferSize, len(bigFrame), len(bigFrame), bufferSize}
	if !cmp.Equal(sizes, want) {
		t.Errorf("buffers of %v bytes, want %v", sizes, want)
	}
	messages, _ := lane.seen()
	if len(messages) != 4 {
		t.Fatalf("%d messages of 4", len(messages))
	}
	for i, m := range messages {
		if diff := cmp.Diff(sampleMessage(), m, compare); diff != "" {
			t.Errorf("message %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestOversizedFrameIsNeverHeld(t *testing.T) {
	const size = 8 << 20
	s, lane, err := readStream(io.MultiReader(
		bytes.NewReader(length(size)), io.LimitReader(zeros{}, size), bytes.NewReader(sampleFrame())), 4096)
	messages, drops := lane.seen()
	if !errors.Is(err, io.EOF) || len(messages) != 1 || !cmp.Equal(drops, []transform.Reason{transform.Oversize}) {
		t.Errorf("got %d messages, drops %v, %v", len(messages), drops, err)
	}
	if len(s.frames.buf) != bufferSize {
		t.Errorf("the buffer has %d bytes", len(s.frames.buf))
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestReaderWithoutProgressIsAnError(t *testing.T) {
	_, _, err := readStream(emptyReader{}, 4096)
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v", err)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestFailingReadCountsTheCutFrame(t *testing.T) {
	failure := errors.New("input/output error")
	_, lane, err := readStream(io.MultiReader(bytes.NewReader(sampleFrame()[:50]), iotest.ErrReader(failure)), 4096)
	_, drops := lane.seen()
	if !errors.Is(err, failure) || !cmp.Equal(drops, []transform.Reason{transform.Malformed}) {
		t.Errorf("got %v, %v", drops, err)
	}
}

// FuzzFrames reads arbitrary bytes as a stream, at once and in pieces. The result must not
// depend on the pieces, each data frame must be counted once, and nothing else counted.
func FuzzFrames(f *testing.F) {
	good := sampleFrame()
	f.Add(join(good, good, stop), uint16(64), uint8(3))
	f.Add(join(frame(make([]byte, 900)), good), uint16(800), uint8(1))
	f.Add(join(good, length(math.MaxUint32), good), uint16(300), uint8(7))
	f.Add(join(good, start, good), uint16(300), uint8(200))
	f.Add(join(bytes.Repeat(frame([]byte("none")), 101), good), uint16(300), uint8(9))
	f.Add(controlOf(length(3), length(1), length(0)), uint16(1), uint8(2))
	f.Add(good[:len(good)-1], uint16(1000), uint8(50))
	f.Fuzz(func(t *testing.T, in []byte, maxFrame uint16, piece uint8) {
		limit := int(maxFrame) + 1
		s, lane, err := readStream(bytes.NewReader(in), limit)
		lane.check(t)
		messages, drops := lane.seen()
		if want := dataFrames(in, limit); int(s.account.frames) != want || len(messages)+len(drops) != want {
			t.Fatalf("%d messages and %d drops, %d counted, of %d frames", len(messages), len(drops), s.account.frames, want)
		}
		_, pieces, pieceErr := readStream(&pieceReader{in, int(piece) + 1}, limit)
		pieces.check(t)
		gotMessages, gotDrops := pieces.seen()
		if diff := cmp.Diff(messages, gotMessages, compare); diff != "" {
			t.Fatalf("messages (-whole +pieces):\n%s", diff)
		}
		if !cmp.Equal(drops, gotDrops) || errorText(err) != errorText(pieceErr) {
			t.Fatalf("whole: %v, %v; in pieces: %v, %v", drops, err, gotDrops, pieceErr)
		}
	})
}

// dataFrames counts the data frames that begin in b before the first control frame or broken
// framing, including one whose length is incomplete.
func dataFrames(b []byte, limit int) (n int) {
	for unreadable := 0; len(b) > 0 && unreadable < maxUnreadable; {
		if len(b) < 4 {
			return n + 1
		}
		size := uint64(binary.BigEndian.Uint32(b))
		if size == 0 || size > longestFrame {
			return n
		}
		n++
		b = b[4:]
		body := b[:min(size, uint64(len(b)))]
		b = b[len(body):]
		switch {
		case size > uint64(limit):
		case proto.Unmarshal(body, new(dnstap.Dnstap)) != nil:
			unreadable++
		default:
			unreadable = 0
		}
	}
	return n
}

type pieceReader struct {
	rest []byte
	size int
}

func (p *pieceReader) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
