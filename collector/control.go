package collector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
)

// A controlFrame is the body of a Frame Streams control frame (fstrm/control.h):
//
//	uint32 kind
//	{ uint32 field, uint32 length, bytes[length] } ...    the only field there is: a content type
type controlFrame struct {
	kind  uint32
	types [][]byte // content types, borrowed from the body
}

func parseControl(body []byte) (controlFrame, error) {
	if len(body) < 4 {
		return controlFrame{}, fmt.Errorf("control frame of %d bytes, which is too short", len(body))
	}
	c := controlFrame{kind: binary.BigEndian.Uint32(body)}
	if c.kind < framestream.CONTROL_ACCEPT || c.kind > framestream.CONTROL_FINISH {
		return c, fmt.Errorf("control frame of unknown type %d", c.kind)
	}
	for rest := body[4:]; len(rest) > 0; {
		if len(rest) < 8 {
			return c, fmt.Errorf("%d stray bytes at the end of %v", len(rest), c)
		}
		field, length := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
		rest = rest[8:]
		if field != framestream.CONTROL_FIELD_CONTENT_TYPE {
			return c, fmt.Errorf("unknown field %d in %v", field, c)
		}
		if uint64(length) > uint64(len(rest)) {
			return c, fmt.Errorf("%v says that its content type has %d bytes, and holds %d", c, length, len(rest))
		}
		c.types = append(c.types, rest[:length])
		rest = rest[length:]
	}
	return c, nil
}

// checkType returns an error unless the frame speaks of dnstap. A frame without a
// content type leaves it open, which Frame Streams allows.
func (c controlFrame) checkType() error {
	if c.kind == framestream.CONTROL_START && len(c.types) > 1 {
		return errors.New("START names more than one content type")
	}
	ours := func(t []byte) bool { return bytes.Equal(t, dnstap.FSContentType) }
	if len(c.types) > 0 && !slices.ContainsFunc(c.types, ours) {
		return fmt.Errorf("%v is for content type %q; only %q is read here", c, c.types, dnstap.FSContentType)
	}
	return nil
}

// String returns the frame's name as Frame Streams has it.
func (c controlFrame) String() string {
	switch c.kind {
	case framestream.CONTROL_ACCEPT:
		return "ACCEPT"
	case framestream.CONTROL_START:
		return "START"
	case framestream.CONTROL_STOP:
		return "STOP"
	case framestream.CONTROL_READY:
		return "READY"
	default:
		return "FINISH"
	}
}

// writeControl sends a control frame in one write.
func writeControl(w io.Writer, kind uint32, types ...[]byte) error {
	var b bytes.Buffer
	frame := framestream.ControlFrame{ControlType: kind, ContentTypes: types}
	if err := frame.Encode(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
