package nmsgjson

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
)

func BenchmarkAppend(b *testing.B) {
	messages := nmsgtest.Read(b, "../testdata/unbound-dnsqr.nmsg")
	var e Encoder
	var line []byte
	var err error
	octets := 0
	b.ReportAllocs()
	for b.Loop() {
		octets = 0
		for _, m := range messages {
			if line, err = e.Append(line[:0], m); err != nil {
				b.Fatal(err)
			}
			octets += len(line)
		}
	}
	b.SetBytes(int64(octets))
}
