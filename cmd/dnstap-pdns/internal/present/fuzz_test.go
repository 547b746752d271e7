package present

import (
	"bytes"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// fuzzMessage lets the fuzzer reach DNS at once: an even shape wraps data as the
// response of a dnsobs message, an odd one is data as it stands.
func fuzzMessage(shape uint8, sec int64, nsec uint32, data []byte) nmsg.Message {
	var m nmsg.Message
	switch shape % 6 {
	case 1:
		m = base(typeDNSQR, data)
	case 3:
		m = base(typeDNSTap, data)
	case 5:
		m = base(typeDNSObs, data)
	default:
		m = observation(data, data, data)
	}
	if shape > 200 {
		m.Vendor = uint32(shape)
	}
	m.Sec, m.Nsec = sec, nsec
	m.Source, m.Operator, m.Group = nsec, nsec>>8, nsec>>16
	return m
}

func seed(f *testing.F) {
	f.Helper()
	shapes := map[uint32]uint8{typeDNSQR: 1, typeDNSTap: 3, typeDNSObs: 5}
	for _, name := range []string{"unbound-dnsqr", "dnstap-layout", "dnsobs"} {
		for i, m := range readMessages(f, name+".nmsg") {
			if i%20 == 0 {
				f.Add(shapes[m.Type], m.Sec, m.Nsec, m.Data)
			}
		}
	}
	f.Add(uint8(0), int64(0), uint32(0), pack(f, everyType...))
	f.Add(uint8(255), int64(-1), uint32(1), []byte("opaque"))
	for _, s := range hostile {
		for _, m := range hostileMessages(s)[:4] {
			f.Add(shapes[m.Type], m.Sec, m.Nsec, m.Data)
		}
	}
}

func FuzzAppendJSON(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, shape uint8, sec int64, nsec uint32, data []byte) {
		before := []byte("before\n")
		got, err := AppendJSON(before, fuzzMessage(shape, sec, nsec, data))
		line, ok := bytes.CutPrefix(got, before)
		if !ok || err != nil && len(line) != 0 {
			t.Fatalf("what was there is gone, or an error (%v) left something: %q", err, got)
		}
		if err == nil {
			checkJSON(t, line)
		}
	})
}

func FuzzAppendText(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, shape uint8, sec int64, nsec uint32, data []byte) {
		got, err := AppendText(nil, fuzzMessage(shape, sec, nsec, data))
		if err != nil {
			if len(got) != 0 {
				t.Fatalf("an error (%v) left something: %q", err, got)
			}
			return
		}
		checkPlain(t, got)
	})
}
