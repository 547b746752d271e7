package collector

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestReplayOfCapturesAgreesWithTheLibrary(t *testing.T) {
	for _, name := range captures() {
		t.Run(name, func(t *testing.T) {
			file, frames := capture(t, name)
			lane := &recorder{}
			if err := Replay(context.Background(), bytes.NewReader(file), testConfig("", ""), lane); err != nil {
				t.Fatal(err)
			}
			lane.check(t)
			messages, drops := lane.seen()
			if len(drops) > 0 || !lane.isClosed() {
				t.Errorf("drops %v; closed %v", drops, lane.isClosed())
			}
			var want []transform.Message
			for _, b := range frames {
				want = append(want, oracle(b).Message)
			}
			if diff := cmp.Diff(want, messages, compare); diff != "" {
				t.Errorf("(-library +ours):\n%s", diff)
			}
		})
	}
}

func TestTypesOfCapturesAreCounted(t *testing.T) {
	pinned := map[string]TypeCounts{
		"unbound.fstrm": {3: 125, 4: 108, 5: 62, 6: 60},
		"bind.fstrm":    {1: 1, 3: 116, 4: 99, 5: 61, 6: 62},
		"pdns.fstrm":    {3: 76, 4: 74},
		"kresd.fstrm":   {5: 62, 6: 62},
	}
	for _, name := range captures() {
		file, frames := capture(t, name)
		var want TypeCounts
		for _, b := range frames {
			var d dnstap.Dnstap
			if err := proto.Unmarshal(b, &d); err != nil {
				t.Fatal(err)
			}
			want[d.Message.GetType()]++
		}
		s, _, err := readStream(bytes.NewReader(file[len(start):]), 256<<10)
		if err != nil {
			t.Fatal(err)
		}
		if s.account.types != want || s.account.frames != uint64(len(frames)) {
			t.Errorf("%s: got %v of %d, want %v of %d", name, s.account.types, s.account.frames, want, len(frames))
		}
		if want != pinned[name] {
			t.Errorf("%s has changed: %v", name, want)
		}
	}
}

func TestReplayOfDamage(t *testing.T) {
	good := sampleFrame()
	tests := []struct {
		name     string
		in       []byte
		messages int
		err      string
	}{
		{"whole", join(start, good, good, stop), 2, ""},
		{"without STOP", join(start, good), 1, ""},
		{"no frame", start, 0, ""},
		{"empty", nil, 0, "reading Frame Streams: there is nothing to read"},
		{"another file format", []byte("NMTP\x00\x02 and so on"), 0,
			"reading Frame Streams: at byte 0: data frame of 1313690704 bytes before START"},
		{"another content type", controlBytes(framestream.CONTROL_START, "protobuf:other"), 0,
			`reading Frame Streams: at byte 0: START is for content type ["protobuf:other"]; only "protobuf:dnstap.Dnstap" is read here`},
		{"cut", join(start, good, good[:77]), 1, "reading Frame Streams: at byte 166: the stream ends within a frame"},
		{"cut in an oversized frame", join(start, good, frame(make([]byte, 300<<10))[:5000]), 1,
			"reading Frame Streams: at byte 166: the stream ends within a frame"},
		{"broken after a large read", join(start, bytes.Repeat(good, 1000), controlOf()), 1000,
			"reading Frame Streams: at byte 124042: control frame of 0 bytes: 4 to 512 are possible"},
		{"data after STOP", join(start, good, stop, good), 1,
			"reading Frame Streams: at byte 178: data frame of 120 bytes before START"},
		{"text after STOP", join(start, good, stop, []byte("text")), 1,
			"reading Frame Streams: at byte 178: data frame of 1952807028 bytes before START"},
		{"two bytes after STOP", join(start, good, stop, []byte("\r\n")), 1,
			"reading Frame Streams: at byte 178: the stream ends within a frame"},
		{"STOP twice", join(start, good, stop, stop, start, good), 1, "reading Frame Streams: at byte 178: STOP instead of START"},
		{"READY after STOP", join(start, good, stop, controlBytes(framestream.CONTROL_READY, ours), start, good), 1,
			"reading Frame Streams: at byte 178: READY instead of START"},
		{"FINISH twice", join(start, good, stop, finish, finish, start, good), 1,
			"reading Frame Streams: at byte 190: FINISH instead of START"},
		{"FINISH without STOP", join(start, good, finish, start, good), 1,
			"reading Frame Streams: at byte 166: FINISH after START"},
		{"another content type after STOP", join(start, good, stop, controlBytes(framestream.CONTROL_START, "protobuf:other")), 1,
			`reading Frame Streams: at byte 178: START is for content type ["protobuf:other"]; only "protobuf:dnstap.Dnstap" is read here`},
		{"another content type without STOP", join(start, good, controlBytes(framestream.CONTROL_START, "protobuf:other")), 1,
			`reading Frame Streams: at byte 166: START is for content type ["protobuf:other"]; only "protobuf:dnstap.Dnstap" is read here`},
		{"cut in the second file", join(start, good, stop, start, good, good[:77]), 2,
			"reading Frame Streams: at byte 344: the stream ends within a frame"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lane := &recorder{}
			err := Replay(context.Background(), bytes.NewReader(tt.in), testConfig("", ""), lane)
			lane.check(t)
			if got := strings.TrimPrefix(errorText(err), "STOP"); got != tt.err {
				t.Errorf("got error %q, want %q", got, tt.err)
			}
			if messages, _ := lane.seen(); len(messages) != tt.messages || !lane.isClosed() {
				t.Errorf("%d messages of %d; closed: %v", len(messages), tt.messages, lane.isClosed())
			}
		})
	}
}

// Concatenated files are read as the files one after the other are, in reads of any size.
func TestReplayOfConcatenatedFiles(t *testing.T) {
	var whole, withoutStop, withFinish []byte
	var want []transform.Message
	for _, name := range captures() {
		file, frames := capture(t, name)
		for _, b := range frames {
			want = append(want, oracle(b).Message)
		}
		whole = join(whole, file)
		cut, ok := bytes.CutSuffix(file, stop)
		if !ok {
			t.Fatalf("%s does not end with STOP", name)
		}
		withoutStop = join(withoutStop, cut)
		withFinish = join(withFinish, file, finish)
	}
	for name, in := range map[string][]byte{"whole": whole, "without STOP": withoutStop, "with FINISH": withFinish} {
		for _, size := range []int{1, 37, len(in)} {
			lane := &recorder{}
			if err := Replay(context.Background(), &pieceReader{in, size}, testConfig("", ""), lane); err != nil {
				t.Fatalf("%s, %d bytes at a time: %v", name, size, err)
			}
			lane.check(t)
			messages, drops := lane.seen()
			if diff := cmp.Diff(want, messages, compare); diff != "" || len(drops) > 0 || !lane.isClosed() {
				t.Errorf("%s, %d bytes at a time: drops %v, closed %v (-want +got):\n%s", name, size, drops, lane.isClosed(), diff)
			}
		}
	}
}

// FuzzReplay reads arbitrary bytes as a file, at once and in pieces. It must end, with the same
// result.
func FuzzReplay(f *testing.F) {
	good := sampleFrame()
	f.Add(join(start, good, stop, start, good), uint8(3))
	f.Add(join(start, good, start, good, stop, finish, start), uint8(0))
	f.Add(join(start, stop, good), uint8(9))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		var whole, pieces recorder
		err := Replay(context.Background(), bytes.NewReader(in), testConfig("", ""), &whole)
		pieceErr := Replay(context.Background(), &pieceReader{in, int(piece) + 1}, testConfig("", ""), &pieces)
		whole.check(t)
		pieces.check(t)
		if errorText(err) != errorText(pieceErr) {
			t.Fatalf("whole: %v, in pieces: %v", err, pieceErr)
		}
		if diff := cmp.Diff(whole.messages, pieces.messages, compare); diff != "" || !cmp.Equal(whole.drops, pieces.drops) {
			t.Fatalf("drops %v and %v, messages (-whole +pieces):\n%s", whole.drops, pieces.drops, diff)
		}
	})
}

func TestReplayRefusesNoFrameSize(t *testing.T) {
	lane := &recorder{}
	err := Replay(context.Background(), bytes.NewReader(start), Config{}, lane)
	if err == nil || !lane.isClosed() {
		t.Errorf("got %v; closed: %v", err, lane.isClosed())
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	t.Run("between reads", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		lane := &cancellingLane{cancel: cancel}
		in := &pieceReader{join(start, bytes.Repeat(sampleFrame(), 1000)), 500}
		if err := Replay(ctx, in, testConfig("", ""), lane); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if messages, drops := lane.seen(); len(messages) > 10 || len(drops) > 0 || !lane.isClosed() {
			t.Errorf("%d messages, drops %v", len(messages), drops)
		}
	})
	t.Run("within a read", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		if _, err := w.Write(join(start, sampleFrame(), sampleFrame()[:20])); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		lane := &cancellingLane{cancel: cancel}
		if err := Replay(ctx, r, testConfig("", ""), lane); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if messages, drops := lane.seen(); len(messages) != 1 || len(drops) > 0 || !lane.isClosed() {
			t.Errorf("%d messages, drops %v", len(messages), drops)
		}
	})
}

// A cancellingLane ends the context at the end of the first burst.
type cancellingLane struct {
	recorder
	cancel context.CancelFunc
}

func (c *cancellingLane) End() {
	c.recorder.End()
	c.cancel()
}

// A frameRecorder is a lane that keeps the frames of messages.
type frameRecorder struct {
	recorder
	frames [][]byte
}

func (r *frameRecorder) Take(m *transform.Message) transform.Reason {
	r.frames = append(r.frames, bytes.Clone(m.Frame))
	return r.recorder.Take(m)
}

func TestMessagesHaveTheirFrames(t *testing.T) {
	for _, name := range captures() {
		file, want := capture(t, name)
		lane := &frameRecorder{}
		if err := Replay(context.Background(), bytes.NewReader(file), testConfig("", ""), lane); err != nil {
			t.Fatal(err)
		}
		lane.check(t)
		if diff := cmp.Diff(want, lane.frames); diff != "" {
			t.Errorf("%s (-library +ours):\n%s", name, diff)
		}
	}
}
