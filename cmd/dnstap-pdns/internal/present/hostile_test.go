package present

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
)

func TestControlCharactersAreEscaped(t *testing.T) {
	inputs := append([]string{}, nmsgtest.Hostile...)
	for c := range 256 {
		inputs = append(inputs, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'}))
	}
	for _, s := range inputs {
		for i, m := range nmsgtest.HostileMessages(s) {
			text := textOf(t, m)
			if strings.Contains(text, "no readable DNS message") && i != 1 {
				t.Errorf("%q in message %d is not read at all:\n%s", s, i, text)
			}
		}
	}
}

// TestHostileNamesStayInTheirField has names that contain line ends and records.
func TestHostileNamesStayInTheirField(t *testing.T) {
	for _, s := range nmsgtest.Hostile {
		m := nmsgtest.HostileMessages(s)[0]
		if got := recordLines(textOf(t, m)); len(got) != nmsgtest.HostileRecords {
			t.Errorf("%q makes %d record lines of %d:\n%s", s, len(got), nmsgtest.HostileRecords, strings.Join(got, "\n"))
		}
	}
}

// TestAMessageWithManyRRsetsIsShown ends soon only if printing takes no quadratic time.
func TestAMessageWithManyRRsetsIsShown(t *testing.T) {
	wire := make([]byte, 12, 1<<16)
	for n := 0; len(wire)+11 < 1<<16; n++ {
		wire = append(wire, nmsgtest.Record(uint16(1000+n), dns.ClassINET, 0, nil)...)
		wire[6], wire[7] = byte((n+1)>>8), byte(n+1)
	}
	textOf(t, nmsgtest.DNSObs([]byte{0}, wire, nil))
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestPrintDistinguishesABadMessageFromABadWriter(t *testing.T) {
	var p Printer
	good := nmsgtest.DNSObs([]byte{0}, nil, nil)
	if err := p.Print(failingWriter{io.ErrClosedPipe}, good); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want the writer's error", err)
	}
	err := p.Print(io.Discard, nmsgtest.Base(nmsg.NumberDNSObs, nil))
	if bad := new(MessageError); !errors.As(err, &bad) || bad.Type != "base:dnsobs" {
		t.Errorf("got %v, want a MessageError", err)
	}
	if want := "unreadable base:dnsobs message: "; !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %q, want %q and the reason", err, want)
	}
}
