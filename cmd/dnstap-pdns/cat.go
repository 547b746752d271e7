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
	json := fs.Bool("json", false, "one JSON object a line, as nmsgtool prints it")
	text := fs.Bool("text", false, "for people; the default")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case *json && *text:
		return &usageError{errors.New("--json and --text exclude each other")}
	case fs.NArg() == 0:
		return &usageError{errors.New("wants NMSG files, - for standard input, or udp://ADDR:PORT")}
	}
	if i := slices.IndexFunc(fs.Args(), isUDP); i >= 0 && i < fs.NArg()-1 {
		return &usageError{fmt.Errorf("%s is listened to until a signal comes, so that nothing is read behind it", fs.Arg(i))}
	}
	p := printer{present: present.Printer{Format: present.Text}, out: bufio.NewWriterSize(std.out, outputBuffer), complaints: std.err}
	if *json {
		p.present.Format = present.JSON
	}
	for _, input := range fs.Args() {
		if err := p.input(ctx, input, std); err != nil {
			return err
		}
	}
	if p.damaged > 0 {
		return fmt.Errorf("%d damaged places in what was read; the rest is printed", p.damaged)
	}
	return nil
}

// outputBuffer is large enough for many lines of JSON, so that there are few writes.
const outputBuffer = 64 << 10

// A printer prints inputs one after the other, and says what is wrong with them.
type printer struct {
	present    present.Printer
	out        *bufio.Writer // flushed before anything is waited for
	complaints io.Writer
	damaged    int
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

// A promptReader shows what is printed before it may have to wait for more.
type promptReader struct {
	r   io.Reader
	out *bufio.Writer
}

func (p promptReader) Read(b []byte) (int, error) {
	if err := p.out.Flush(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

func (p *printer) stream(name string, r io.Reader) error {
	reader := nmsg.NewReader(promptReader{r, p.out})
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
			if failed := p.out.Flush(); failed != nil {
				return failed
			}
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := p.print(name, m); err != nil {
			return err
		}
	}
}

// receiveBuffer is asked for: senders pass on what they have in bursts. The kernel
// grants what net.core.rmem_max allows.
const receiveBuffer = 4 << 20

// listen prints what arrives until a signal comes. A damaged datagram, which anybody
// can send, is told like damage elsewhere, but no failure.
func (p *printer) listen(ctx context.Context, address string) error {
	defer func(damaged int) { p.damaged = damaged }(p.damaged)
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return errors.New(conf.Escape(fmt.Sprintf("listening for NMSG on udp://%s: %v", address, err))) // twice the address
	}
	conn := pc.(*net.UDPConn)
	defer conn.Close()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal kills
	context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	if err := conn.SetReadBuffer(receiveBuffer); err != nil {
		return fmt.Errorf("asking for a receive buffer: %w", err)
	}
	name := "udp://" + conn.LocalAddr().String()
	fmt.Fprintf(p.complaints, "listening on %s\n", name)
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

// print prints one message; one that is not what its type says is damage.
func (p *printer) print(name string, m nmsg.Message) error {
	err := p.present.Print(p.out, m)
	var unreadable *present.MessageError
	if errors.As(err, &unreadable) {
		p.damage(name, unreadable)
		return nil
	}
	return err
}

func (p *printer) damage(name string, err error) {
	p.damaged++
	fmt.Fprintf(p.complaints, "%s: %v\n", name, err)
}

func (p *printer) gap(name string, g nmsg.Gap) {
	fmt.Fprintf(p.complaints, "%s: %d containers of writer %016x are missing before number %d\n",
		name, g.Missing(), g.SequenceID, g.Got)
}
