package nmsgtest

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// Vectors names the files in forward/nmsg/testdata for which nmsgtool's JSON is known.
var Vectors = []string{"unbound-dnsqr", "dnsobs", "dnstap-layout"}

// Read returns the payloads of an NMSG file.
func Read(t testing.TB, path string) (all []nmsg.Message) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for r := nmsg.NewReader(bytes.NewReader(b)); ; {
		m, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		m.Data = bytes.Clone(m.Data)
		all = append(all, m)
	}
}
