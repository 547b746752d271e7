package collector

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	framestream "github.com/farsightsec/golang-framestream"
)

func TestHandshake(t *testing.T) {
	ready := func(types ...string) []byte { return controlBytes(framestream.CONTROL_READY, types...) }
	startOf := func(types ...string) []byte { return controlBytes(framestream.CONTROL_START, types...) }
	manyTypes := make([]string, 20)
	for i := range manyTypes {
		manyTypes[i] = "a-type-of-others"
	}
	manyTypes[19] = ours

	const foreign = `is for content type ["protobuf:other"]; only "protobuf:dnstap.Dnstap" is read here`
	tests := []struct {
		name   string
		in     []byte
		answer bool   // ACCEPT is sent
		err    string // empty: done
	}{
		{"unidirectional", start, false, ""},
		{"unidirectional without a content type", startOf(), false, ""},
		{"bidirectional", join(ready(ours), start), true, ""},
		{"bidirectional without content types", join(ready(), startOf()), true, ""},
		{"READY with several types, one ours", join(ready("protobuf:other", ours), start), true, ""},
		{"READY of nearly 512 bytes", join(ready(manyTypes...), start), true, ""},

		{"nothing", nil, false, "EOF"},
		{"READY of another type", join(ready("protobuf:other"), start), false, "at byte 0: READY " + foreign},
		{"READY of an empty type", ready(""), false,
			`at byte 0: READY is for content type [""]; only "protobuf:dnstap.Dnstap" is read here`},
		{"START of another type", startOf("protobuf:other"), false, "at byte 0: START " + foreign},
		{"START of another type after READY", join(ready(ours), startOf("protobuf:other")), true, "at byte 42: START " + foreign},
		{"START of two types", startOf(ours, "protobuf:other"), false, "at byte 0: START names more than one content type"},
		{"READY twice", join(ready(ours), ready(ours)), true, "at byte 42: READY instead of START"},
		{"STOP first", stop, false, "at byte 0: STOP instead of START"},
		{"ACCEPT first", controlBytes(framestream.CONTROL_ACCEPT, ours), false, "at byte 0: ACCEPT instead of START"},
		{"data first", sampleFrame(), false, "at byte 0: data frame of 120 bytes before START"},
		{"data after READY", join(ready(ours), sampleFrame()), true, "at byte 42: data frame of 120 bytes before START"},
		{"an unknown protocol", []byte("EHLO resolver.example\r\n"), false, "at byte 0: data frame of 1162366031 bytes before START"},
		{"unknown control frame", controlOf(length(77)), false, "at byte 0: control frame of unknown type 77"},
		{"control frame of 600 bytes", controlOf(make([]byte, 600)), false,
			"at byte 0: control frame of 600 bytes: 4 to 512 are possible"},
		{"cut within READY", ready(ours)[:20], false, "at byte 0: the stream ends within a frame"},
		{"ended after READY", ready(ours), true, "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkHandshake(t, bytes.NewReader(tt.in), tt.answer, tt.err)
			checkHandshake(t, iotest.OneByteReader(bytes.NewReader(tt.in)), tt.answer, tt.err)
			for at := range tt.in {
				parts := io.MultiReader(bytes.NewReader(tt.in[:at]), bytes.NewReader(tt.in[at:]))
				checkHandshake(t, parts, tt.answer, tt.err)
			}
		})
	}
}

func checkHandshake(t *testing.T, in io.Reader, answered bool, wantErr string) {
	t.Helper()
	var answer bytes.Buffer
	bidirectional, err := handshake(newFrameReader(in, 1<<20), &answer)
	switch {
	case wantErr == "" && err != nil, wantErr != "" && (err == nil || err.Error() != wantErr):
		t.Fatalf("got error %v, want %q", err, wantErr)
	case wantErr == "" && bidirectional != answered:
		t.Fatalf("bidirectional: %v, want %v", bidirectional, answered)
	}
	var want []byte
	if answered {
		want = controlBytes(framestream.CONTROL_ACCEPT, ours)
	}
	if !bytes.Equal(answer.Bytes(), want) {
		t.Fatalf("answered %q, want %q", answer.Bytes(), want)
	}
}

func TestFileIsNotAnswered(t *testing.T) {
	in := join(controlBytes(framestream.CONTROL_READY, ours), start)
	_, err := handshake(newFrameReader(bytes.NewReader(in), 1<<20), nil)
	if err == nil || !strings.Contains(err.Error(), "READY instead of START") {
		t.Errorf("got %v", err)
	}
}

func TestHandshakeWithAPeerThatIsGone(t *testing.T) {
	in := bytes.NewReader(controlBytes(framestream.CONTROL_READY, ours))
	_, err := handshake(newFrameReader(in, 1<<20), brokenPipe{})
	if !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "sending ACCEPT") {
		t.Errorf("got %v", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzHandshake reads arbitrary bytes as the beginning of a connection. The handshake must
// end, and answer only READY for dnstap.
func FuzzHandshake(f *testing.F) {
	f.Add(join(controlBytes(framestream.CONTROL_READY, ours), start))
	f.Add(start)
	f.Add(controlOf(length(4), length(1), length(0)))
	f.Add(sampleFrame())
	f.Fuzz(func(t *testing.T, in []byte) {
		var whole, pieces bytes.Buffer
		_, err := handshake(newFrameReader(bytes.NewReader(in), 4096), &whole)
		_, pieceErr := handshake(newFrameReader(iotest.OneByteReader(bytes.NewReader(in)), 4096), &pieces)
		if errorText(err) != errorText(pieceErr) || !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
			t.Fatalf("whole: %v, byte by byte: %v", err, pieceErr)
		}
		if accept := controlBytes(framestream.CONTROL_ACCEPT, ours); whole.Len() > 0 && !bytes.Equal(whole.Bytes(), accept) {
			t.Fatalf("answered %q", whole.Bytes())
		}
	})
}
