// Command gonmsg decodes the NMSG containers on its standard input with Farsight's Go library
// and prints the payloads as JSON, one per line, and at the end the library's counters. It is
// built in GOPATH mode against Debian's golang-github-farsightsec-go-nmsg-dev, and so is not part
// of the module.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/farsightsec/go-nmsg"
	"github.com/farsightsec/go-nmsg/nmsg_base"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// dnsobs is the type of base:dnsobs, which the library does not decode: its payloads are printed
// undecoded.
const dnsobs = 14

type line struct {
	Payload json.RawMessage       `json:",omitempty"`
	Message json.RawMessage       `json:",omitempty"`
	Counted *nmsg.InputStatistics `json:",omitempty"`
}

func main() {
	if err := dump(json.NewEncoder(os.Stdout), nmsg.NewInput(os.Stdin, 1<<20)); err != nil {
		fmt.Fprintf(os.Stderr, "gonmsg: %v\n", err)
		os.Exit(1)
	}
}

func dump(out *json.Encoder, in nmsg.Input) error {
	for {
		p, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return out.Encode(line{Counted: in.Stats()})
		}
		if err != nil {
			return err
		}
		var l line
		if l.Payload, err = print(p); err != nil {
			return err
		}
		if p.GetVid() != 1 || p.GetMsgtype() != dnsobs {
			if l.Message, err = decode(p); err != nil {
				return err
			}
		}
		if err := out.Encode(l); err != nil {
			return err
		}
	}
}

func decode(p *nmsg.NmsgPayload) (json.RawMessage, error) {
	m, err := p.Message()
	if err != nil {
		return nil, err
	}
	if tap, ok := m.(*nmsg_base.Dnstap); ok {
		if inner := tap.GetMessage(); len(inner.ProtoReflect().GetUnknown()) > 0 {
			return nil, errors.New("dnstap: the message has fields that are not dnstap's")
		}
	}
	return print(m)
}

// print returns protobuf's own JSON, with enumerations as numbers.
func print(m proto.Message) (json.RawMessage, error) {
	if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		return nil, fmt.Errorf("%T has unknown fields: %x", m, unknown)
	}
	return protojson.MarshalOptions{UseProtoNames: true, UseEnumNumbers: true}.Marshal(m)
}
