package fstrm

import (
	"bytes"
	"testing"

	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
)

// FuzzReadControl compares with the library, which refuses an empty last content type.
func FuzzReadControl(f *testing.F) {
	for _, kind := range []uint32{framestream.CONTROL_READY, framestream.CONTROL_ACCEPT, framestream.CONTROL_START, framestream.CONTROL_STOP, framestream.CONTROL_FINISH} {
		f.Add(controlFrame(kind))
	}
	accept := framestream.ControlFrame{ControlType: framestream.CONTROL_ACCEPT, ContentTypes: [][]byte{[]byte("a"), nil, []byte("b")}}
	var several bytes.Buffer
	if err := accept.Encode(&several); err != nil {
		f.Fatal(err)
	}
	f.Add(several.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := readControl(bytes.NewReader(b))
		var want framestream.ControlFrame
		wantErr := want.DecodeEscape(bytes.NewReader(b))
		if n := len(got.ContentTypes); n > 0 && len(got.ContentTypes[n-1]) == 0 {
			return
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, the library: %v", err, wantErr)
		}
		if diff := cmp.Diff(want, got); err == nil && diff != "" {
			t.Errorf("(-library +got):\n%s", diff)
		}
	})
}
