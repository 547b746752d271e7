package present

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
)

func FuzzAppendText(f *testing.F) {
	nmsgtest.Seed(f, vectors)
	f.Fuzz(func(t *testing.T, shape uint8, sec int64, nsec uint32, data []byte) {
		got, err := AppendText(nil, nmsgtest.Fuzzed(shape, sec, nsec, data))
		if err != nil {
			if len(got) != 0 {
				t.Fatalf("an error (%v) left something: %q", err, got)
			}
			return
		}
		nmsgtest.CheckPlain(t, got)
	})
}
