package nmsgtest

import (
	"path/filepath"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// Fuzzed returns the payload of a fuzzer's arguments. If shape is even, data is the response of a
// dnsobs message, so that the fuzzer reaches DNS at once; else data is the message.
func Fuzzed(shape uint8, sec int64, nsec uint32, data []byte) nmsg.Message {
	var m nmsg.Message
	switch shape % 8 {
	case 1:
		m = Base(nmsg.NumberDNSQR, data)
	case 3:
		m = Base(nmsg.NumberDNSTap, data)
	case 5:
		m = Base(nmsg.NumberDNSObs, data)
	case 7:
		m = SIE(nmsg.NumberDNSDedupe, data)
	default:
		m = DNSObs(data, data, data)
	}
	if shape > 200 {
		m.Vendor = uint32(shape)
	}
	m.Sec, m.Nsec = sec, nsec
	m.Source, m.Operator, m.Group = nsec, nsec>>8, nsec>>16
	return m
}

// Seed adds arguments for Fuzzed to the seed corpus: the Vectors in dir, RRs and Hostile.
func Seed(f *testing.F, dir string) {
	f.Helper()
	shapes := map[uint32]uint8{nmsg.NumberDNSQR: 1, nmsg.NumberDNSTap: 3, nmsg.NumberDNSObs: 5, nmsg.NumberDNSDedupe: 7}
	for _, name := range Vectors {
		for i, m := range Read(f, filepath.Join(dir, name+".nmsg")) {
			if i%20 == 0 {
				f.Add(shapes[m.Type], m.Sec, m.Nsec, m.Data)
			}
		}
	}
	f.Add(uint8(0), int64(0), uint32(0), Pack(f, RRs...))
	f.Add(uint8(255), int64(-1), uint32(1), []byte("opaque"))
	for _, s := range Hostile {
		for _, m := range HostileMessages(s)[:6] {
			f.Add(shapes[m.Type], m.Sec, m.Nsec, m.Data)
		}
	}
}
