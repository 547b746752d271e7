package ring

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	sampleSize = 2048 // octets of a sampled packet that are read
	samplePoll = 100 * time.Millisecond
)

// Sample receives UDP packets to port 53 and packets in tunnels, of any host, and passes them to
// take, until ctx ends or limit packets were passed. It uses sockets without a ring, so that it
// does not disturb a capture. It skips interfaces that are not up.
func Sample(ctx context.Context, interfaces []string, limit int, take func(*Packet)) (err error) {
	program, err := sampleFilter()
	if err != nil {
		return err
	}
	code, err := kernelForm(program)
	if err != nil {
		return err
	}
	var polled []unix.PollFd
	defer func() {
		for _, p := range polled {
			err = errors.Join(err, opError("close a packet socket", unix.Close(int(p.Fd))))
		}
	}()
	for _, name := range interfaces {
		state, index := stateOf(name)
		if state != up {
			continue
		}
		s, err := newSocket()
		if err != nil {
			return err
		}
		polled = append(polled, unix.PollFd{Fd: int32(s), Events: unix.POLLIN})
		if err := errors.Join(s.attachFilter(code), s.bind(index)); err != nil {
			return fmt.Errorf("interface %s: %w", name, err)
		}
	}
	buf := make([]byte, sampleSize)
	for n := 0; n < limit && ctx.Err() == nil; {
		if _, err := unix.Poll(polled, int(samplePoll/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return opError("wait for packets", err)
		}
		for _, p := range polled {
			if n < limit && p.Revents != 0 && socket(p.Fd).receive(buf, take) {
				n++
			}
		}
	}
	return nil
}

// receive passes one packet to take. It returns false if there is none.
func (s socket) receive(buf []byte, take func(*Packet)) bool {
	length, from, err := unix.Recvfrom(int(s), buf, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	link, ok := from.(*unix.SockaddrLinklayer)
	if err != nil || !ok { // an interface that goes down is an error of the capture
		return false
	}
	take(&Packet{
		Data:     buf[:min(length, len(buf))],
		Protocol: link.Protocol<<8 | link.Protocol>>8,
		Length:   length,
		Time:     transform.Time(time.Now().UnixNano()),
	})
	return true
}
