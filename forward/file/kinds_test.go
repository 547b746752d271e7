package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/jsonl"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A kind is a format, and a reader of its complete files that is not of this package.
type kind struct {
	format forward.RecordFormat
	names  func(b []byte) ([]string, error) // the query names; an error if the file is not complete
	size   int64                            // of files that make enough moments for a crash, but not too many
}

var (
	nmsgKind  = kind{forward.NMSG{Message: nmsg.DNSQR}, namesInNMSG, 20_000}
	fstrmKind = kind{fstrm.Format{}, namesInFrames, 20_000}
	jsonKind  = kind{jsonl.Format{Message: nmsg.DNSQR}, namesInLines, 150_000}
)

// sink returns a sink that writes files of that kind.
func (k kind) sink(dir string, c Config) forward.SinkConfig {
	s := fileSink(dir, "out.x", c)
	s.Format = k.format
	return s
}

func (k kind) begin() []byte {
	f := newFormat(k.format)
	return f.begin
}

// wholeNames returns the names in the whole units of an unfinished file.
func (k kind) wholeNames(b []byte) ([]string, error) {
	f := newFormat(k.format)
	whole, err := f.units.Whole(bytes.NewReader(b))
	if err != nil || f.isEmpty(whole) {
		return nil, err
	}
	return k.names(append(bytes.Clone(b[:whole]), f.end...))
}

func namesInNMSG(b []byte) ([]string, error) {
	names, _, err := forwardtest.Names(b)
	return names, err
}

func namesInFrames(b []byte) (names []string, err error) {
	var stop bytes.Buffer
	if err := framestream.ControlStop.Encode(&stop); err != nil {
		return nil, err
	}
	if !bytes.HasSuffix(b, stop.Bytes()) {
		return nil, errors.New("no STOP at the end")
	}
	r, err := framestream.NewReader(bytes.NewReader(b), &framestream.ReaderOptions{ContentTypes: [][]byte{dnstap.FSContentType}})
	if err != nil {
		return nil, err
	}
	frame := make([]byte, 1<<20)
	for {
		n, err := r.ReadFrame(frame)
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return names, err
		}
		var d dnstap.Dnstap
		if err := proto.Unmarshal(frame[:n], &d); err != nil {
			return names, err
		}
		response := d.GetMessage().GetResponseMessage()
		if len(response) < 12 {
			return names, fmt.Errorf("a response of %d octets", len(response))
		}
		name, _, _ := bytes.Cut(response[12:], []byte{0})
		names = append(names, string(name))
	}
}

func namesInLines(b []byte) (names []string, err error) {
	if !bytes.HasSuffix(b, []byte("\n")) {
		return nil, errors.New("the last line has no end")
	}
	for line := range bytes.Lines(b) {
		var l struct {
			Message struct{ QName string }
		}
		if err := json.Unmarshal(line, &l); err != nil {
			return names, err
		}
		names = append(names, l.Message.QName)
	}
	return names, nil
}
