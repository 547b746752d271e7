package forward

import (
	"bytes"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TestTheResolutionTruncatesEveryTime: a payload is that of a record with truncated times.
func TestTheResolutionTruncatesEveryTime(t *testing.T) {
	const minute = 1_700_000_040e9
	for _, typ := range nmsg.MessageTypes() {
		for _, isQuery := range []bool{false, true} {
			exact := testRecord(0, 1, 100)
			if isQuery {
				exact.HasResponse, exact.Response, exact.ResponseTime = false, nil, transform.NoTime
			}
			whole := *exact
			exact.QueryTime = minute + 1
			whole.QueryTime = minute
			if !isQuery {
				exact.ResponseTime, whole.ResponseTime = minute+119e9, minute+60e9
			}
			if !(NMSG{Message: typ}).Accepts(exact) {
				continue
			}
			before := *exact
			got, err := NMSG{Message: typ, Resolution: time.Minute}.Append(nil, exact, nmsg.IDs{})
			if err != nil {
				t.Fatal(err)
			}
			want, err := NMSG{Message: typ}.Append(nil, &whole, nmsg.IDs{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%v, query %v: got %x, want %x", typ, isQuery, got, want)
			}
			if exact.QueryTime != before.QueryTime || exact.ResponseTime != before.ResponseTime {
				t.Errorf("%v: the record was changed, which other sinks get too", typ)
			}
			if as, err := (NMSG{Message: typ}).Append(nil, exact, nmsg.IDs{}); err != nil || typ != nmsg.DNSObs && bytes.Equal(as, want) {
				t.Errorf("%v without a resolution: %v, the times are truncated", typ, err)
			}
		}
	}
}
