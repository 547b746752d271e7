package main

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"

	framestream "github.com/farsightsec/golang-framestream"
)

// TestGeneratorDropsWhatDoesNotFit offers frames to a receiver that reads nothing until all were offered.
// The receiver must get every frame that was not dropped.
func TestGeneratorDropsWhatDoesNotFit(t *testing.T) {
	const frames, size = 5000, 1000
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	offered, read := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { read <- n }()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r, err := framestream.NewReader(conn, &framestream.ReaderOptions{ContentTypes: [][]byte{[]byte(contentType)}, Bidirectional: true})
		if err != nil {
			return
		}
		<-offered
		for frame := make([]byte, size); ; n++ {
			if _, err := r.ReadFrame(frame); err == io.EOF {
				return
			} else if err != nil {
				t.Errorf("frame %d: %v", n, err)
				return
			}
		}
	}()
	c, err := connect(context.Background(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	g, err := newGenerator(c)
	if err != nil {
		t.Fatal(err)
	}
	var load []byte
	for range frames {
		load = append(binary.BigEndian.AppendUint32(load, size), make([]byte, size)...)
	}
	_, err = g.offer(context.Background(), load, frames, 100_000_000)
	close(offered)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.finish(); err != nil {
		t.Fatal(err)
	}
	if n := <-read; g.dropped == 0 || uint64(n)+g.dropped != frames || n < queueFrames {
		t.Errorf("%d frames read and %d dropped of %d", n, g.dropped, frames)
	}
}

// TestLossesOfALedger reads the losses of all sinks and causes.
func TestLossesOfALedger(t *testing.T) {
	const ledger = `level=INFO msg=ledger read=1200 records=500 dropped.local=3 source.bench.read=1200 sink.a.offered=500 sink.a.lost.queue_full=20 sink.a.lost.too_large=1 sink.b.lost.queue_full=300`
	if read, lost := framesRead(ledger), lostRecords(ledger); read != 1200 || lost != 321 {
		t.Errorf("read %d, lost %d; want 1200, 321", read, lost)
	}
	if read := framesRead("level=INFO msg=stopped"); read != 0 {
		t.Errorf("read %d without a ledger", read)
	}
}

// TestLossesOfCaptures reads what programs that capture print when they end.
func TestLossesOfCaptures(t *testing.T) {
	for i, output := range []string{
		"msg=packets source=bench kernel.received=92 kernel.dropped=8 packets=92 other=0",
		"92 packets captured\n100 packets received by filter\n8 packets dropped by kernel",
		"total drops: 8\ntap: 100 recv 8 drop 108 total ptdrop 0",
	} {
		if n, err := capturers[i].lost(100, output); n != 8 || err != nil {
			t.Errorf("%s: lost %d, %v; want 8", capturers[i].name, n, err)
		}
	}
}
