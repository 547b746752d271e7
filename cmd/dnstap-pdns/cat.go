package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

func cat(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("cat", "[--json|--text] INPUT...", std)
	json := fs.Bool("json", false, "print one JSON object per line, as nmsgtool does")
	text := fs.Bool("text", false, "print text; the default")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case *json && *text:
		return &usageError{errors.New("--json and --text exclude each other")}
	case fs.NArg() == 0:
		return &usageError{errors.New("needs an INPUT: NMSG files, - for standard input, or udp://ADDR:PORT")}
	}
	if i := slices.IndexFunc(fs.Args(), isUDP); i >= 0 && i < fs.NArg()-1 {
		return &usageError{fmt.Errorf("%s is read until a signal, so no input after it is read: name it last", fs.Arg(i))}
	}
	p := printer{present: present.Printer{Format: present.Text}, out: bufio.NewWriterSize(std.out, outputBuffer), errors: std.err}
	if *json {
		p.present.Format = present.JSON
	}
	for _, input := range fs.Args() {
		if err := p.input(ctx, input, std); err != nil {
			return err
		}
	}
	if p.damaged > 0 {
		return fmt.Errorf("the input is damaged in %d places; everything else was printed", p.damaged)
	}
	return nil
}

// outputBuffer, in bytes, holds many lines of JSON, so that there are few writes.
const outputBuffer = 64 << 10

// A printer prints inputs one after the other, and reports damage and gaps.
type printer struct {
	present present.Printer
	out     *bufio.Writer // flushed before each read that may wait
	errors  io.Writer
	damaged int
}

func isUDP(input string) bool { return strings.HasPrefix(input, "udp://") }

func (p *printer) input(ctx context.Context, input string, std stdio) error {
	switch {
	case isUDP(input):
		return p.listen(ctx, strings.TrimPrefix(input, "udp://"))
	case input == "-":
		return p.stream("standard input", std.in)
	}
	f, err := openInput(input)
	if err != nil {
		return err
	}
	defer f.Close()
	return p.stream(conf.Escape(input), f)
}

// A flushingReader flushes the output before each read, which may wait for input.
type flushingReader struct {
	r   io.Reader
	out *bufio.Writer
}

func (f flushingReader) Read(b []byte) (int, error) {
	if err := f.out.Flush(); err != nil {
		return 0, err
	}
	return f.r.Read(b)
}

func (p *printer) stream(name string, r io.Reader) error {
	reader := nmsg.NewReader(flushingReader{r, p.out})
	reader.OnGap(func(g nmsg.Gap) { p.gap(name, g) })
	for {
		m, err := reader.Next()
		var damage *nmsg.DamageError
		switch {
		case err == io.EOF:
			return p.out.Flush()
		case errors.As(err, &damage):
			p.damage(name, damage)
			continue
		case err != nil:
			if flushErr := p.out.Flush(); flushErr != nil {
				return flushErr
			}
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := p.print(name, m); err != nil {
			return err
		}
	}
}

// receiveBuffer is the requested size of the socket buffer in bytes, because senders send in
// bursts. The kernel limits it to net.core.rmem_max.
const receiveBuffer = 4 << 20

// listen prints datagrams until a signal. A damaged datagram is reported, but is not an error,
// because any host can send one.
func (p *printer) listen(ctx context.Context, address string) error {
	defer func(damaged int) { p.damaged = damaged }(p.damaged)
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return errors.New(conf.Escape(fmt.Sprintf("listening for NMSG on udp://%s: %v", address, err))) // err repeats the address
	}
	conn := pc.(*net.UDPConn)
	defer conn.Close()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills the process
	context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	if err := conn.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("setting the receive buffer of %s: %w", conn.LocalAddr(), err)
	}
	name := "udp://" + conn.LocalAddr().String()
	fmt.Fprintf(p.errors, "listening on %s\n", name)
	var assembler nmsg.Assembler
	assembler.OnGap(func(g nmsg.Gap) { p.gap(name, g) })
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := p.datagram(&assembler, name, buf[:n], from); err != nil {
			return err
		}
	}
}

func (p *printer) datagram(a *nmsg.Assembler, name string, b []byte, from netip.AddrPort) error {
	a.Add(b, time.Now(), from)
	for {
		m, err := a.Next()
		if err == io.EOF {
			return p.out.Flush()
		}
		if err != nil {
			p.damage(name, err)
			continue
		}
		if err := p.print(name, m); err != nil {
			return err
		}
	}
}

// print prints one message. A payload that is invalid for its message type is damage.
func (p *printer) print(name string, m nmsg.Message) error {
	err := p.present.Print(p.out, m)
	var invalid *present.MessageError
	if errors.As(err, &invalid) {
		p.damage(name, invalid)
		return nil
	}
	return err
}

func (p *printer) damage(name string, err error) {
	p.damaged++
	fmt.Fprintf(p.errors, "%s: %v\n", name, err)
}

func (p *printer) gap(name string, g nmsg.Gap) {
	fmt.Fprintf(p.errors, "%s: %d containers of writer %016x are missing before number %d\n",
		name, g.Missing(), g.SequenceID, g.Got)
}
