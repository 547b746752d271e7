package sensor

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var benchResolvers = []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32"), netip.MustParsePrefix("2001:db8:53::53/128")}

// BenchmarkPacketToBatch measures the whole path from a capture file to datagrams, for the
// transactions of BenchmarkFrameToBatch as packets.
func BenchmarkPacketToBatch(b *testing.B) {
	for name, produce := range packetLoads {
		b.Run(name, func(b *testing.B) {
			file, packets := captureOf(b, produce, benchFrames)
			f := startForwarder(b)
			b.ReportAllocs()
			b.SetBytes(int64(len(file)))
			began := cpuTime()
			for b.Loop() {
				replayCapture(b, file, f.Lane("bench"))
			}
			if n := f.Ledger().Total.Records; n == 0 {
				b.Fatal("no records")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N*packets), "cpu-ns/packet")
		})
	}
}

// packetLoads makes the loads of frameLoads as packets.
var packetLoads = map[string]func(b *testing.B, p *workload.Packets, packets int){
	"simple": func(b *testing.B, p *workload.Packets, packets int) { p.Simple(capturedPairs(b), packets) },
	"busy":   func(b *testing.B, p *workload.Packets, packets int) { p.Busy(newBusy(b, packets)) },
}

// replayCapture passes the packets of a capture file to a lane, and closes it.
func replayCapture(b *testing.B, file []byte, lane transform.Lane) {
	p, err := pcap.NewReplay(pcap.Config{Resolvers: benchResolvers}, lane)
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Read(b.Context(), bytes.NewReader(file)); err != nil {
		b.Fatal(err)
	}
	p.Close()
}

func captureOf(b *testing.B, produce func(*testing.B, *workload.Packets, int), size int) (file []byte, packets int) {
	path := filepath.Join(b.TempDir(), "load.pcap")
	err := workload.WritePackets(path, func(p *workload.Packets) {
		produce(b, p, size)
		packets = p.N
	})
	if err != nil {
		b.Fatal(err)
	}
	if file, err = os.ReadFile(path); err != nil {
		b.Fatal(err)
	}
	return file, packets
}
