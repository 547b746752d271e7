package samples

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/jsonl"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// answered returns a container with a record whose response has these answers.
func answered(t *testing.T, answers ...string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("shop.example.", dns.TypeTXT)
	m.Response, m.RecursionDesired, m.Id = true, false, 0
	for _, a := range answers {
		rr, err := dns.NewRR(a)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	r := recordOf(wire)
	_, p, err := nmsg.AppendPayload(nil, nmsg.DNSQR, nmsg.IDs{}, r)
	if err != nil {
		t.Fatal(err)
	}
	var c nmsg.Container
	return c.Seal(c.Add(c.Begin(nil), p), 1)
}

// recordOf returns a record with this response.
func recordOf(response []byte) *transform.Record {
	return &transform.Record{
		Server: netip.MustParseAddrPort("192.0.2.1:53"), Resolver: netip.MustParseAddrPort("0.0.0.0:0"), Zeroed: true,
		HasResponse: true, Name: []byte("\x04shop\x07example\x00"), Type: dns.TypeTXT, Class: 1,
		QueryTime: transform.NoTime, ResponseTime: 1_700_000_000_000_000_000, Response: response,
	}
}

// TestARecordIsShownWithItsAnswers up to maxLines and maxLine.
func TestARecordIsShownWithItsAnswers(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("shop.example. 300 IN TXT n%d", i))
	}
	long := `shop.example. 300 IN TXT "` + strings.Repeat("x", 250) + `" "` + strings.Repeat("y", 250) + `"`
	for name, c := range map[string]struct {
		answers []string
		lines   int
		holds   string
	}{
		"none":   {nil, 1, " shop.example. TXT NOERROR"},
		"one":    {many[:1], 3, `shop.example. 300 IN TXT "n0"`},
		"many":   {many, maxLines + 1, "\n  ... and 22 lines more"},
		"a long": {[]string{long}, 3, "yyy ..."},
	} {
		t.Run(name, func(t *testing.T) {
			var set observers.Set
			s := New(&set)
			s.Show(true)
			set.Sent("out", answered(t, c.answers...), false)
			latest, _ := s.Latest()
			if len(latest) != 1 {
				t.Fatalf("%v", latest)
			}
			lines := strings.Split(latest[0].Text, "\n")
			for _, l := range lines {
				if len(l) > maxLine+len(" ...") {
					t.Errorf("%d characters in a line", len(l))
				}
			}
			if len(lines) != c.lines || !strings.Contains(latest[0].Text, c.holds) {
				t.Errorf("%d lines, want %d with %q:\n%s", len(lines), c.lines, c.holds, latest[0].Text)
			}
		})
	}
}

// TestRecordsOfOtherFormatsAreShown as those in NMSG, or as the line that was sent.
func TestRecordsOfOtherFormatsAreShown(t *testing.T) {
	response, err := new(dns.Msg).SetQuestion("shop.example.", dns.TypeTXT).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		format forward.RecordFormat
		want   string
	}{
		{fstrm.Format{}, "2023-11-14 22:13:20 dnstap RESOLVER_RESPONSE 192.0.2.1 shop.example. TXT"},
		{jsonl.Format{Message: nmsg.DNSObs}, `{"time":"2023-11-14 22:13:20`},
	} {
		unit, err := c.format.Append(nil, recordOf(response), nmsg.IDs{})
		if err != nil {
			t.Fatal(err)
		}
		var set observers.Set
		s := New(&set)
		s.Show(true)
		set.Sent("out", unit, true)
		latest, _ := s.Latest()
		if len(latest) != 1 || !strings.HasPrefix(latest[0].Text, c.want) || !strings.Contains(latest[0].Text, "shop.example.") {
			t.Errorf("%T: got %q, want %q", c.format, latest, c.want)
		}
	}
	for _, bytes := range []string{"x", "\x00\x00\x00\x02\xff\xff"} {
		if got := read(unit{"out", []byte(bytes)}); len(got) != 1 || got[0].Text != "an unreadable part" {
			t.Errorf("%q: got %q", bytes, got)
		}
	}
}
