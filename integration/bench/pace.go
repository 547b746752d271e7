package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// A writing is how a resolver writes frames: it collects them until one of the limits is reached.
type writing struct {
	name   string
	frames int  // at most; 0: no limit
	octets int  // about; 0: no limit
	single bool // each frame by its own system call
}

// How resolvers write more than a few dozen frames a second. Unbound wakes its dnstap thread when 32
// messages wait, which writes each by its own writev (DTIO_MSG_FOR_WAKEUP in dnstap/dtstream.c). BIND
// uses libfstrm, which collects 8 KiB (FSTRM_IOTHR_BUFFER_HINT_DEFAULT).
var writings = []writing{
	{name: "Unbound", frames: 32, single: true},
	{name: "BIND", octets: 8192},
}

// A pacer writes frames at a rate, as a resolver does.
type pacer struct {
	writing
	from  *bufio.Reader // frames, each after its length
	to    io.Writer
	batch []byte // frames that are collected
	ends  []int  // of each frame in batch
}

// send writes frames at a rate for a time. A batch is written when its last frame is due, or as soon as
// the receiver lets it. Rate 0 waits.
func (p *pacer) send(rate int, d time.Duration) (frames int, err error) {
	began := time.Now()
	for rate > 0 {
		if err := p.collect(); err != nil {
			return frames, err
		}
		due := time.Duration(frames+len(p.ends)) * time.Second / time.Duration(rate)
		if due > d {
			break // it is written by the next call
		}
		sleepUntil(began.Add(due))
		frames += len(p.ends)
		if err := p.write(); err != nil {
			return frames, err
		}
	}
	sleepUntil(began.Add(d))
	return frames, nil
}

// skip writes frames as fast as possible.
func (p *pacer) skip(frames int) error {
	for frames > 0 {
		if err := p.collect(); err != nil {
			return err
		}
		frames -= len(p.ends)
		if err := p.write(); err != nil {
			return err
		}
	}
	return nil
}

// collect reads a batch, unless there is one that is not written yet.
func (p *pacer) collect() error {
	if len(p.ends) > 0 {
		return nil
	}
	for len(p.ends) == 0 || len(p.ends) != p.frames && (p.octets == 0 || len(p.batch) < p.octets) {
		head, err := p.from.Peek(4)
		if err != nil {
			return err
		}
		start := len(p.batch)
		p.batch = append(p.batch, make([]byte, 4+binary.BigEndian.Uint32(head))...)
		if _, err := io.ReadFull(p.from, p.batch[start:]); err != nil {
			return err
		}
		p.ends = append(p.ends, len(p.batch))
	}
	return nil
}

// write writes the batch.
func (p *pacer) write() (err error) {
	if !p.single {
		p.ends = append(p.ends[:0], len(p.batch))
	}
	start := 0
	for _, end := range p.ends {
		if _, err = p.to.Write(p.batch[start:end]); err != nil {
			break
		}
		start = end
	}
	p.batch, p.ends = p.batch[:0], p.ends[:0]
	return err
}

// sleepUntil sleeps in the kernel: a timer of Go has steps of a millisecond, in which a busy resolver
// writes three times.
func sleepUntil(t time.Time) {
	for d := time.Until(t); d > 0; d = time.Until(t) {
		wait := unix.NsecToTimespec(d.Nanoseconds())
		unix.Nanosleep(&wait, nil) // a signal may end it
	}
}
