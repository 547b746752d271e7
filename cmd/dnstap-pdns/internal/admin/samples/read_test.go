package samples

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/leaving"
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
	r := transform.Record{
		Server: netip.MustParseAddrPort("192.0.2.1:53"), Resolver: netip.MustParseAddrPort("0.0.0.0:0"), Zeroed: true,
		Answered: true, Name: []byte("\x04shop\x07example\x00"), Type: dns.TypeTXT, Class: 1,
		QueryTime: transform.NoTime, ResponseTime: 1_700_000_000_000_000_000, Response: wire,
	}
	_, p, err := nmsg.AppendPayload(nil, nmsg.DNSQR, nmsg.IDs{}, &r)
	if err != nil {
		t.Fatal(err)
	}
	var c nmsg.Container
	return c.Seal(c.Add(c.Begin(nil), p), 1)
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
			var tap leaving.Tap
			s := New(&tap)
			s.Show(true)
			tap.Sent("out", answered(t, c.answers...))
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
