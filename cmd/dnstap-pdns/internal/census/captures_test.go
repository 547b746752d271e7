package census

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

// TestCapturesContainNoRandomLabels examines every name in the captures of real resolvers. People
// chose all of these names, so reverse names are the only kind among them.
func TestCapturesContainNoRandomLabels(t *testing.T) {
	files, err := filepath.Glob("../../../../transform/testdata/captures/*.fstrm")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	c := New(nil)
	for _, file := range files {
		eachMessage(t, file, func(m *dns.Msg) {
			c.Record(0)
			for _, q := range m.Question {
				c.Name(q.Name)
			}
			for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
				for _, rr := range section {
					if rr.Header().Rrtype != dns.TypeNSEC3 {
						c.Name(rr.Header().Name)
					}
				}
			}
		})
	}
	r := c.Report(true)
	if r.Names < 200 {
		t.Errorf("only %d names: the test shows nothing", r.Names)
	}
	got := map[string]uint64{}
	for _, k := range r.Kinds {
		if k.Names > 0 && k.Kind != "reverse_name" {
			got[k.Kind] = k.Names
		}
	}
	if diff := cmp.Diff(map[string]uint64{}, got); diff != "" {
		t.Errorf("of %d names (-want +got):\n%s", r.Names, diff)
	}
}

// eachMessage yields the DNS messages of a dnstap file.
func eachMessage(t *testing.T, file string, take func(*dns.Msg)) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := dnstap.NewReader(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<18)
	for {
		n, err := r.ReadFrame(buf)
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		var frame dnstap.Dnstap
		if err := proto.Unmarshal(buf[:n], &frame); err != nil {
			t.Fatal(err)
		}
		var m dns.Msg
		if m.Unpack(frame.GetMessage().GetResponseMessage()) == nil {
			take(&m)
		}
	}
}
