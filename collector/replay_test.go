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
		{"data after STOP", join(start, good, stop, start, good, stop), 1,
			"reading Frame Streams: at byte 178: the stream continues after STOP"},
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
