package samples

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// read returns the records of a unit in their order, with a Sample for each unreadable part.
func read(c unit) (all []Sample) {
	switch {
	case bytes.HasPrefix(c.bytes, []byte("{")):
		return []Sample{{c.sink, shortened(string(c.bytes))}}
	case !bytes.HasPrefix(c.bytes, []byte(nmsg.Magic)):
		return []Sample{{c.sink, textOfFrame(c.bytes)}}
	}
	r := nmsg.NewReader(bytes.NewReader(c.bytes))
	for {
		m, err := r.Next()
		switch _, damaged := errors.AsType[*nmsg.DamageError](err); {
		case err == nil:
			all = append(all, Sample{c.sink, textOf(m)})
		case damaged:
			all = append(all, Sample{c.sink, "an unreadable part"})
		default: // the end: reading from memory has no other errors
			return all
		}
	}
}

// Bounds of the text of a record.
const (
	maxLines = 20
	maxLine  = 300 // characters
)

// textOf returns a record as dnstap-pdns cat prints it, shortened.
func textOf(m nmsg.Message) string {
	text, err := present.AppendText(nil, m)
	if err != nil {
		return "an unreadable record"
	}
	return shortened(string(text))
}

const lengthLen = 4 // bytes before the Dnstap in a frame

// textOfFrame returns the record in a frame of dnstap as that in an NMSG message.
func textOfFrame(frame []byte) string {
	var d dnstap.Dnstap
	if len(frame) < lengthLen || proto.Unmarshal(frame[lengthLen:], &d) != nil {
		return "an unreadable part"
	}
	m := nmsg.Message{Vendor: nmsg.VendorBase, Type: nmsg.NumberDNSTap, Data: frame[lengthLen:]}
	switch in := d.GetMessage(); {
	case in.GetQueryTimeSec() > 0:
		m.Sec, m.Nsec = int64(in.GetQueryTimeSec()), in.GetQueryTimeNsec()
	default:
		m.Sec, m.Nsec = int64(in.GetResponseTimeSec()), in.GetResponseTimeNsec()
	}
	return textOf(m)
}

// shortened returns the first lines of a text, and the beginning of long lines.
func shortened(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if more := len(lines) - maxLines; more > 1 {
		lines = append(lines[:maxLines], fmt.Sprintf("  ... and %d lines more", more))
	}
	for i, l := range lines {
		if len(l) > maxLine {
			lines[i] = l[:maxLine] + " ..."
		}
	}
	return strings.Join(lines, "\n")
}
