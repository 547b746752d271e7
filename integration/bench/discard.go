package main

import "net"

// discard is a UDP receiver on loopback that discards datagrams.
type discard struct {
	conn *net.UDPConn
	done chan struct{} // closed when reading has ended
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
		}
	}()
	return d, nil
}

func (d *discard) addr() string { return d.conn.LocalAddr().String() }

// close stops reading.
func (d *discard) close() {
	d.conn.Close()
	<-d.done
}
