package present

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readMessages reads the payloads of a file of plain containers. It stands apart
// from nmsg's reader so that what is compared here is the output alone.
func readMessages(t testing.TB, name string) []nmsg.Message {
	t.Helper()
	var messages []nmsg.Message
	for b := readFile(t, name); len(b) > 0; {
		const header = 10
		if string(b[:4]) != "NMSG" || b[4] != 0 || b[5] != 2 {
			t.Fatalf("%s: no plain container of version 2: % x", name, b[:header])
		}
		end := header + int(binary.BigEndian.Uint32(b[6:]))
		eachField(t, b[header:end], func(num protowire.Number, _ uint64, payload []byte) {
			if num == 1 {
				messages = append(messages, readPayload(t, payload))
			}
		})
		b = b[end:]
	}
	return messages
}

func readPayload(t testing.TB, payload []byte) nmsg.Message {
	var m nmsg.Message
	eachField(t, payload, func(num protowire.Number, v uint64, b []byte) {
		switch num {
		case 1:
			m.Vendor = uint32(v)
		case 2:
			m.Type = uint32(v)
		case 3:
			m.Sec = int64(v)
		case 4:
			m.Nsec = uint32(v)
		case 5:
			m.Data = b
		case 7:
			m.Source = uint32(v)
		case 8:
			m.Operator = uint32(v)
		case 9:
			m.Group = uint32(v)
		}
	})
	return m
}

func eachField(t testing.TB, b []byte, visit func(num protowire.Number, v uint64, b []byte)) {
	t.Helper()
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
		var v uint64
		var data []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v32 uint32
			v32, n = protowire.ConsumeFixed32(b)
			v = uint64(v32)
		case protowire.BytesType:
			data, n = protowire.ConsumeBytes(b)
		}
		if n <= 0 {
			t.Fatalf("field %d of wire type %d: %v", num, typ, protowire.ParseError(n))
		}
		visit(num, v, data)
		b = b[n:]
	}
}
