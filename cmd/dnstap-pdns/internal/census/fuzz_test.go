package census

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// FuzzCensus counts arbitrary names and texts: reports are printable ASCII.
func FuzzCensus(f *testing.F) {
	for _, s := range spellings() {
		f.Add(s.text.Example(1)+".test.com", s.text.Example(2), int64(3))
	}
	f.Add(`\027[2J\.\@.\999\`, "\x1b]0;john@corp.example +4930123456\xff", int64(-1)<<63)
	f.Add(strings.Repeat("1-", 40)+"."+strings.Repeat("a.", 127), strings.Repeat("eyJhbGci.", 99), int64(1)<<62)
	f.Fuzz(func(t *testing.T, name, text string, at int64) {
		c := New([]string{"univ.edu"})
		for range 2 {
			c.Record(at)
			c.QueryName(name)
			c.Name(text)
			c.Mailbox(name)
			c.Text(text)
			at = -at
		}
		for _, plain := range []bool{false, true} {
			r := c.Report(plain)
			doc, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range [][]byte{doc, []byte(r.Text())} {
				if i := bytes.IndexFunc(out, func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') }); i >= 0 {
					t.Errorf("not printable: %q", out[i:min(len(out), i+40)])
				}
			}
		}
	})
}
