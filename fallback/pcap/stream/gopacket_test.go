package stream

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/reassembly"
	"pgregory.net/rapid"
)

// reassembled collects the octets of a stream from gopacket's reassembly.
type reassembled struct{ data []byte }

func (c *reassembled) New(_, _ gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	return c
}

func (c *reassembled) Accept(*layers.TCP, gopacket.CaptureInfo, reassembly.TCPFlowDirection, reassembly.Sequence, *bool, reassembly.AssemblerContext) bool {
	return true
}

func (c *reassembled) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	n, _ := sg.Lengths()
	c.data = append(c.data, sg.Fetch(n)...)
}

func (c *reassembled) ReassemblyComplete(reassembly.AssemblerContext) bool { return true }

type captured gopacket.CaptureInfo

func (c captured) GetCaptureInfo() gopacket.CaptureInfo { return gopacket.CaptureInfo(c) }

// byGopacket returns the messages of one direction, reassembled by gopacket.
func byGopacket(segments []Segment) []string {
	var c reassembled
	a := reassembly.NewAssembler(reassembly.NewStreamPool(&c))
	addresses := gopacket.NewFlow(layers.EndpointIPv4, []byte{192, 0, 2, 1}, []byte{10, 0, 0, 1})
	for _, s := range segments {
		tcp := &layers.TCP{SrcPort: 53, DstPort: 4000, Seq: s.Seq, SYN: s.SYN, ACK: true}
		tcp.SetInternalPortsForTesting()
		tcp.BaseLayer = layers.BaseLayer{Payload: s.Payload}
		a.AssembleWithContext(addresses, tcp, captured{Timestamp: time.Unix(0, int64(s.Time))})
	}
	a.FlushAll()
	var out []string
	for b := c.data; len(b) >= 2; {
		n := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+n {
			break
		}
		out = append(out, string(b[2:2+n]))
		b = b[2+n:]
	}
	return out
}

func TestSameMessagesAsGopacket(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		isn := rapid.Uint32Max(1<<31).Draw(rt, "isn")
		_, segments := drawStream(rt, t, isn)
		if rapid.Bool().Draw(rt, "reordered") {
			segments = shuffled(rt, segments)
		}
		segments = append([]Segment{syn(isn)}, segments...)
		table, got := New(Limits{StreamBytes: 4 << 20}), new(recordingSink)
		takeAll(rt, table, got, segments...)
		if diff := cmp.Diff(byGopacket(segments), got.messages); diff != "" {
			rt.Fatalf("messages (-gopacket +got):\n%s", diff)
		}
	})
}
