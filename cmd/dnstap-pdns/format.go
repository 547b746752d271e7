package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
)

// A format is a file format with its first bytes.
type format struct {
	magic   string
	packets bool   // or else dnstap
	refusal string // the error, if the format is not supported
}

const unsupportedCapture = "is a capture in an unsupported format: convert it with editcap -F pcapng"

// formats returns the formats that are recognised. A format with a refusal is not supported.
func formats() []format {
	return []format{
		{magic: "\x00\x00\x00\x00"},                // Frame Streams: a control frame
		{magic: "\xd4\xc3\xb2\xa1", packets: true}, // pcap, microseconds, little-endian
		{magic: "\xa1\xb2\xc3\xd4", packets: true},
		{magic: "\x4d\x3c\xb2\xa1", packets: true}, // pcap, nanoseconds, little-endian
		{magic: "\xa1\xb2\x3c\x4d", packets: true},
		{magic: "\x0a\x0d\x0d\x0a", packets: true}, // pcapng: a section header

		{magic: "\x34\xcd\xb2\xa1", refusal: unsupportedCapture}, // pcap as Kuznetzov modified it
		{magic: "\xa1\xb2\xcd\x34", refusal: unsupportedCapture},
		{magic: "snoo", refusal: unsupportedCapture}, // snoop
		{magic: "GMBU", refusal: unsupportedCapture}, // Microsoft's Network Monitor
		{magic: "NMSG", refusal: "is an NMSG file: print it with dnstap-pdns cat"},
		{magic: "\x04\x22\x4d\x18", refusal: "is compressed with lz4, which is not supported: uncompress it first"},
		{magic: "\x1f\x9d", refusal: "is compressed with compress, which is not supported: uncompress it first"},
		{magic: "PK\x03\x04", refusal: "is a zip archive: unpack it first"},
	}
}

const magicLen = 4 // bytes of each supported format

// formatOf returns the format of an input, or an error if it is not supported.
func formatOf(r *bufio.Reader) (format, error) {
	prefix, err := r.Peek(magicLen)
	if errors.Is(err, io.EOF) {
		return format{}, errors.New("is empty or too short for a dnstap or packet file")
	}
	if err != nil {
		return format{}, err
	}
	for _, f := range formats() {
		if !strings.HasPrefix(string(prefix), f.magic) {
			continue
		}
		if f.refusal != "" {
			return format{}, errors.New(f.refusal)
		}
		return f, nil
	}
	return format{}, errors.New("is neither a dnstap file (Frame Streams, as fstrm_capture writes) nor a packet file (pcap or pcapng, as tcpdump writes)")
}
