package present

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

var hostile = []string{
	"\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\x1b]8;;http://evil.test\x1b\\", "\r\n", "\u202egnp.exe", "\xff\xfe\x80",
	"\u009b31m", "\u2066x\u2069", "\u2028", "\ufeff", "\U000e0041",
	"<script>alert(1)</script>", "&amp;", "%s%n%!d(MISSING)", "${IFS}$(id)`id`", "\x00\x7f\x08", `"};{"`, `\u001b`, "; rm", "é",
}

// hostileMessages carry s wherever a payload has room for it.
func hostileMessages(s string) []nmsg.Message {
	label := append([]byte{byte(len(s))}, s...)
	name := append(bytes.Clone(label), 0)
	text := bytes.Clone(label)
	option := append([]byte{0, 15, 0, byte(2 + len(s)), 0, 0}, s...)
	svc := append(append(append([]byte{0, 1}, name...), 0, 1, 0, byte(len(text))), text...)
	response := answers(
		record(dns.TypeNS, dns.ClassINET, 1, name),
		record(dns.TypeTXT, dns.ClassINET, 1, text),
		record(dns.TypeSVCB, dns.ClassINET, 1, svc),
		record(dns.TypeCAA, dns.ClassINET, 1, append([]byte{0}, append(text, s...)...)),
		record(dns.TypeURI, dns.ClassINET, 1, append([]byte{0, 1, 0, 1}, s...)),
		record(65000, dns.ClassINET, 1, []byte(s)),
		record(dns.TypeA, dns.ClassCHAOS, 1, []byte(s)),
		record(dns.TypeOPT, 4096, 0, append(option, append([]byte{0, 10, 0, byte(len(s))}, s...)...)),
		append(bytes.Clone(name), record(dns.TypeA, 64000, 1, []byte(s))[1:]...),
	)
	tap := fields{}.bytes(1, []byte(s)).bytes(2, []byte(s)).bytes(3, []byte(s)).varint(15, 1)
	message := fields{}.varint(1, 4).bytes(4, []byte(s)).bytes(5, []byte(s)).bytes(11, []byte(s)).bytes(14, response)
	return []nmsg.Message{
		observation(name, response, name),
		observation([]byte(s), []byte(s), []byte(s)),
		base(typeDNSTap, tap.bytes(14, message)),
		base(typeDNSQR, queryResponse().bytes(8, []byte(s)).bytes(12, []byte(s)).bytes(15, []byte(s)).bytes(18, []byte(s))),
		{Vendor: 99, Type: 99, Data: []byte(s)},
	}
}

func TestNothingHostileIsPrinted(t *testing.T) {
	inputs := append([]string{}, hostile...)
	for c := range 256 {
		inputs = append(inputs, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'}))
	}
	for _, s := range inputs {
		for i, m := range hostileMessages(s) {
			line, err := AppendJSON(nil, m)
			if err != nil {
				t.Fatalf("%q in message %d: %v", s, i, err)
			}
			checkJSON(t, line)
			text, err := AppendText(nil, m)
			if err != nil {
				t.Fatalf("%q in message %d: %v", s, i, err)
			}
			checkPlain(t, text)
			if strings.Contains(string(text), "no readable DNS message") && i != 1 {
				t.Errorf("%q in message %d is not read at all:\n%s", s, i, text)
			}
		}
	}
}

// checkJSON fails unless b is one line of JSON in printable ASCII.
func checkJSON(t *testing.T, b []byte) {
	t.Helper()
	checkPlain(t, b)
	if bytes.IndexByte(b, '\n') != len(b)-1 {
		t.Fatalf("more than one line: %q", b)
	}
	if !json.Valid(b) {
		t.Fatalf("no JSON: %s", b)
	}
}

// A hostile name must not look like a second record or the end of a line.
func TestHostileTextStaysInItsField(t *testing.T) {
	for _, s := range hostile {
		m := hostileMessages(s)[0]
		if got := recordLines(textOf(t, m)); len(got) != 8 {
			t.Errorf("%q makes %d record lines of 8:\n%s", s, len(got), strings.Join(got, "\n"))
		}
		var line struct {
			Message struct {
				Response struct {
					Answer []struct{ Rdata []string }
				} `json:"response_json"`
			}
		}
		got, err := AppendJSON(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &line); err != nil {
			t.Fatal(err)
		}
		if n := len(line.Message.Response.Answer); n != 8 {
			t.Errorf("%q makes %d RRsets of 8", s, n)
		}
	}
}

// Many records in one message must not take for ever.
func TestAMessageFullOfRRsetsIsShown(t *testing.T) {
	wire := make([]byte, headerLen, 1<<16)
	for n := 0; len(wire)+11 < 1<<16; n++ {
		wire = append(wire, record(uint16(1000+n), dns.ClassINET, 0, nil)...)
		wire[6], wire[7] = byte((n+1)>>8), byte(n+1)
	}
	checkPlain(t, []byte(textOf(t, observation([]byte{0}, wire, nil))))
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestPrintTellsABadMessageFromABadWriter(t *testing.T) {
	var p Printer
	good := observation([]byte{0}, nil, nil)
	if err := p.Print(failingWriter{io.ErrClosedPipe}, good); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the writer's error", err)
	}
	err := p.Print(io.Discard, base(typeDNSObs, nil))
	if bad := new(MessageError); !errors.As(err, &bad) || bad.Type != typeDNSObs {
		t.Errorf("got %v, want a MessageError", err)
	}
	if want := "unreadable base:dnsobs message: "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %q, want %q and the reason", err, want)
	}
}
