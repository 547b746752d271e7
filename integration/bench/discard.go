package main

import (
	"net"
	"sync"
)

// discard is a UDP receiver on loopback that counts datagrams and discards them.
type discard struct {
	conn *net.UDPConn
	n    int64
	done chan struct{} // closed when reading has ended
	once sync.Once
}

func newDiscard() (*discard, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadBuffer(8 << 20); err != nil {
		return nil, err
	}
	d := &discard{conn: conn, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		buf := make([]byte, 65536)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			d.n++
		}
	}()
	return d, nil
}

func (d *discard) addr() string { return d.conn.LocalAddr().String() }

// close stops reading and returns the number of datagrams.
func (d *discard) close() int64 {
	d.once.Do(func() { d.conn.Close() })
	<-d.done
	return d.n
}
