package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// A format is how a file's first bytes tell what it is.
type format struct {
	magic   string
	packets bool   // else dnstap
	refusal string // why it is not taken, if so
}

const tooOld = "is a capture in a form that is not read; editcap -F pcapng makes one of it that is"

// formats are what an input may turn out to be.
func formats() []format {
	return []format{
		{magic: "\x00\x00\x00\x00"},                // Frame Streams: a control frame
		{magic: "\xd4\xc3\xb2\xa1", packets: true}, // pcap, microseconds, little-endian
		{magic: "\xa1\xb2\xc3\xd4", packets: true},
		{magic: "\x4d\x3c\xb2\xa1", packets: true}, // pcap, nanoseconds, little-endian
		{magic: "\xa1\xb2\x3c\x4d", packets: true},
		{magic: "\x0a\x0d\x0d\x0a", packets: true}, // pcapng: a section header

		{magic: "\x34\xcd\xb2\xa1", refusal: tooOld}, // pcap as Kuznetzov modified it
		{magic: "\xa1\xb2\xcd\x34", refusal: tooOld},
		{magic: "snoo", refusal: tooOld}, // snoop
		{magic: "GMBU", refusal: tooOld}, // Microsoft's Network Monitor
		{magic: "NMSG", refusal: "is an NMSG file; dnstap-pdns cat prints those"},
		{magic: "\x04\x22\x4d\x18", refusal: "is compressed with lz4, which is not read; uncompress it before"},
		{magic: "\x1f\x9d", refusal: "is compressed with compress, which is not read; uncompress it before"},
		{magic: "PK\x03\x04", refusal: "is a zip archive; unpack it before"},
	}
}

const leastInput = 4 // bytes by which any of the formats that are read is known

// formatOf tells what an input is; if it is nothing that replay takes, by an error.
func formatOf(r *bufio.Reader) (format, error) {
	begins, err := r.Peek(leastInput)
	if errors.Is(err, io.EOF) {
		return format{}, errors.New("is empty or too short for a dnstap or packet file")
	}
	if err != nil {
		return format{}, err
	}
	for _, f := range formats() {
		if !strings.HasPrefix(string(begins), f.magic) {
			continue
		}
		if f.refusal != "" {
			return format{}, errors.New(f.refusal)
		}
		return f, nil
	}
	return format{}, errors.New("is neither a dnstap file (Frame Streams, as fstrm_capture writes it) nor packets (pcap or pcapng, as tcpdump does)")
}
