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
	"slices"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

var catUsage = usage{
	name:      "cat",
	arguments: "INPUT...",
	does:      "Prints NMSG files, or NMSG datagrams as they arrive.",
	details: "INPUT is an NMSG file, also one that is being written (.NAME.part), a folder with files NAME.nmsg, - for standard\n" +
		"input, or udp://ADDR:PORT to listen on until a signal.",
	examples: []string{"dnstap-pdns cat --json /var/lib/dnstap-pdns", "dnstap-pdns cat --follow /var/lib/dnstap-pdns",
		"dnstap-pdns cat udp://127.0.0.1:9430"},
	exits: []string{"every input was printed", "an input could not be read or is damaged, or the output could not be written", "bad usage"},
}

func cat(ctx context.Context, args []string, std stdio) error {
	o := newOptions(catUsage, std)
	json := o.flag("json", "print one JSON object per line, as nmsgtool does")
	text := o.flag("text", "print text; the default")
	follow := o.flag("follow", "print a file as it grows, or the newest file of a folder and the files after it, until a signal")
	if err := o.parse(args, anyNumber); err != nil {
		return err
	}
	inputs := o.Args()
	if err := checkCat(inputs, *json && *text, *follow); err != nil {
		return &usageError{err}
	}
	p := printer{present: present.Printer{Format: present.Text}, out: bufio.NewWriterSize(std.out, outputBuffer), errors: std.err}
	if *json {
		p.present.Format = present.JSON
	}
	if *follow {
		ctx, stop := untilSignal(ctx)
		defer stop()
		return p.follow(ctx, inputs[0])
	}
	for _, input := range inputs {
		if err := p.input(ctx, input, std); err != nil {
			return err
		}
	}
	return p.result()
}

// checkCat returns an error for inputs that cannot be read, or not with these options.
func checkCat(inputs []string, twoFormats, follow bool) error {
	switch i := slices.IndexFunc(inputs, isUDP); {
	case twoFormats:
		return errors.New("--json and --text exclude each other")
	case len(inputs) == 0:
		return errors.New("needs an INPUT: NMSG files or their folder, - for standard input, or udp://ADDR:PORT")
	case follow && (len(inputs) > 1 || i == 0 || inputs[0] == "-"):
		return errors.New("--follow takes one file or one folder")
	case slices.Contains(inputs, "udp://"):
		return errors.New("udp:// has no address: name the one to listen on, as in udp://127.0.0.1:9430")
	case i >= 0 && i < len(inputs)-1:
		return fmt.Errorf("%s is read until a signal, so no input after it is read: name it last", inputs[i])
	}
	return nil
}

// result returns an error if the input was damaged.
func (p *printer) result() error {
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
		return p.stream("standard input", std.in, func() bool { return false })
	}
	if info, err := os.Stat(input); err == nil && info.IsDir() {
		return p.folder(input)
	}
	return p.file(nmsgFile{path: input, final: input})
}

// folder prints all NMSG files of a folder in the order of their names. A file that is not finished
// is printed under the name that it will get.
func (p *printer) folder(path string) error {
	files, err := nmsgFiles(path)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no NMSG file (NAME.nmsg)", conf.Escape(path))
	}
	for _, f := range files {
		if err := p.file(f); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) file(f nmsgFile) error {
	open, path, err := f.open()
	if err != nil {
		return err
	}
	defer open.Close()
	return p.stream(conf.Escape(path), open, func() bool { return isUnfinished(path) })
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

// stream prints what r contains. If unfinished returns true, a container that is
// not complete ends it and is not damage.
func (p *printer) stream(name string, r io.Reader, unfinished func() bool) error {
	reader := nmsg.NewReader(flushingReader{r, p.out})
	reader.OnGap(func(g nmsg.Gap) { p.gap(name, g) })
	for {
		m, err := reader.Next()
		var damage *nmsg.DamageError
		switch {
		case err == io.EOF:
			return p.out.Flush()
		case errors.As(err, &damage):
			if errors.Is(damage, io.ErrUnexpectedEOF) && unfinished() {
				fmt.Fprintf(p.errors, "%s: %v: it is being written\n", name, damage)
				return p.out.Flush()
			}
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
	ctx, stop := untilSignal(ctx)
	defer stop()
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

// print prints one message. It reports a payload that is invalid for its message type as damage.
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
