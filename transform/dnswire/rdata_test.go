package dnswire

import "testing"

func TestRdataOutsideAMessage(t *testing.T) {
	for _, tc := range []struct {
		typ   uint16
		rdata string
		ok    bool
	}{
		{typeA, "\x01\x02\x03\x04", true}, {typeA, "\x01\x02\x03", false}, {typeA, "", false},
		{typeNS, "\x02ns\x00", true}, {typeNS, "\x02Ns\x00", false}, {typeNS, "\xc0\x0c", false}, {typeNS, "\x02ns\x00\x00", false}, {typeNS, "\x02ns", false},
		{typeNSEC, "\x02Ns\x00\x00\x01\x40", true}, // its letter case is data
		{typeTXT, "\x01A", true}, {typeTXT, "\x02A", false},
		{65280, "Any", true}, {65280, "", true},
	} {
		if got := IsRdata(tc.typ, []byte(tc.rdata)); got != tc.ok {
			t.Errorf("type %d, %q: %v", tc.typ, tc.rdata, got)
		}
	}
}

func TestIsLowerAgreesWithLower(t *testing.T) {
	for n := range 20 {
		for i := range n {
			for c := range 256 {
				b := make([]byte, n)
				b[i] = byte(c)
				is := IsLower(b)
				if changed := Lower(b); is == changed {
					t.Errorf("octet %#x at %d of %d: IsLower %v, Lower %v", c, i, n, is, changed)
				}
			}
		}
	}
}
