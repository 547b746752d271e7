package conf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// special are runes that terminals or readers do not treat as text.
var special = []rune{
	0, '\a', '\b', '\t', '\n', '\v', '\f', '\r', 0x1b, 0x7f, // C0 and DEL
	0x80, 0x85, 0x90, 0x9b, 0x9c, 0x9d, 0x9f, // C1, of which U+009B is CSI
	0xa0, 0xad, 0x061c, 0x200b, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x3000, // spaces and marks
	0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, // direction
	0xfeff, 0xfff9, 0xfffb, 0xffff, 0xe000, 0xe0001, 0xe007f, 0xf0000, 0x10ffff,
}

func TestEscape(t *testing.T) {
	tests := []struct{ in, want, text string }{
		{"plain é 漢 <b> %s \\ \"", "plain é 漢 <b> %s \\ \"", "plain é 漢 <b> %s \\ \""},
		{"a\tb\nc\r", `a\u0009b\u000ac\u000d`, "a\tb\nc\\u000d"},
		{"\x1b[2J\x00\x7f", `\u001b[2J\u0000\u007f`, `\u001b[2J\u0000\u007f`},
		{"\u009b31m", `\u009b31m`, `\u009b31m`},
		{"\x9b31m\xff", `\x9b31m\xff`, `\x9b31m\xff`},
		{"\u202egnp.exe", `\u202egnp.exe`, `\u202egnp.exe`},
		{"\U000e0001", `\udb40\udc01`, `\udb40\udc01`},
		{"\ufffd", "\ufffd", "\ufffd"}, // printable: other programs replace invalid bytes by it
		{"\xed\xa0\x80", `\xed\xa0\x80`, `\xed\xa0\x80`},
		{"", "", ""},
	}
	for _, tt := range tests {
		if got := Escape(tt.in); got != tt.want {
			t.Errorf("Escape(%q) = %q, want %q", tt.in, got, tt.want)
		}
		if got := EscapeText(tt.in); got != tt.text {
			t.Errorf("EscapeText(%q) = %q, want %q", tt.in, got, tt.text)
		}
	}
}

// everyByteAndRune returns each byte and each special rune, alone and within text.
func everyByteAndRune() (all []string) {
	for c := range 256 {
		all = append(all, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'}))
	}
	for _, r := range special {
		all = append(all, string(r), "a"+string(r)+"b")
	}
	return all
}

func printable(v, keep string) bool {
	return utf8.ValidString(v) && !strings.ContainsFunc(v, func(r rune) bool {
		return !unicode.IsPrint(r) && !strings.ContainsRune(keep, r)
	})
}

func TestEscapedTextIsPrintable(t *testing.T) {
	for _, in := range everyByteAndRune() {
		if got := Escape(in); !printable(got, "") {
			t.Errorf("Escape(%q) = %q", in, got)
		}
		if got := EscapeText(in); !printable(got, "\t\n") || EscapeText(got) != got {
			t.Errorf("EscapeText(%q) = %q", in, got)
		}
	}
}

func TestEscapedJSONIsTheSameJSON(t *testing.T) {
	for _, in := range everyByteAndRune() {
		line, err := json.Marshal(map[string]string{"v": in})
		if err != nil {
			t.Fatal(err)
		}
		var before, after map[string]string
		escaped := EscapeText(string(line))
		if err := json.Unmarshal(line, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(escaped), &after); err != nil || after["v"] != before["v"] {
			t.Errorf("%s became %s, which holds %q, %v", line, escaped, after["v"], err)
		}
	}
}

// Diagnostics and the effective configuration contain no control character of the
// configuration, of its name or of the names of its files.
func TestHostileConfigurations(t *testing.T) {
	templates := []string{
		`%s`, `log { level = "%s" }`, `log { %s = 1 }`, `%s { }`, `%s "x" "y" { }`,
		`source "%s" "x" { }`, `source "dnstap" "%s" { listen = "unix:///x" }`,
		`source "dnstap" "x" { listen = "unix:///%s" }`, `source "dnstap" "x" { listen = "tcp://%s:1" }`,
		`source "dnstap" "x" { listen = "%s" }`, `source "dnstap" "x" { ` + "\n" + ` mode = "%s"` + "\n" + `listen = "unix:///x" }`,
		`source "dnstap" "x" { ` + "\n" + ` owner = "%s"` + "\n" + `listen = "unix:///x" }`,
		`scrub { local_names = ["%s"] }`, `scrub { resolvers = ["%s"] }`, `scrub { local_networks = ["%s"] }`,
		`scrub { local_names_file = "%s" }`, `scrub { local_names_file = env("%s") }`, `scrub { local_names_file = file("%s") }`,
		`sink "nmsg" "x" { to = "%s" }`, `sink "nmsg" "x" { to = "file:///%s/x" }`, `sink "nmsg" "x" { to = "udp://%s:1" }`,
		`outward { rcodes = ["%s"] }`, `pairing { timeout = "%s" }`, `pairing { max_queries = "%s" }`, "# %s\nx = 1",
	}
	for _, in := range everyByteAndRune() {
		for _, template := range templates {
			src := []byte(fmt.Sprintf(template, in))
			f, diags := Parse("hostile"+in+".hcl", src)
			var b bytes.Buffer
			if err := WriteDiagnostics(&b, f, diags); err != nil {
				t.Fatal(err)
			}
			if !printable(b.String(), "\t\n") {
				t.Errorf("%q: diagnostics %q", src, b.String())
			}
			if !diags.HasErrors() && !printable(string(f.Effective()), "\t\n") {
				t.Errorf("%q: effective %q", src, f.Effective())
			}
		}
		f, diags := Load("/nonexistent/" + strings.ReplaceAll(in, "\x00", "") + ".hcl")
		var b bytes.Buffer
		if err := WriteDiagnostics(&b, f, diags); err != nil {
			t.Fatal(err)
		}
		if !printable(b.String(), "\n") || strings.Count(b.String(), "\n") != 2 {
			t.Errorf("%q: diagnostics %q", in, b.String())
		}
	}
}

// Effective prints an expression that calls a function as written, so it must escape
// it; the result loads again.
func TestEffectiveEscapesFunctionCalls(t *testing.T) {
	t.Setenv("x\u202ey", "names")
	f, diags := Parse("x.hcl", []byte("log { level = env(\"x\u202ey\") == \"names\" ? \"info\" : \"warn\" }"))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	printed := f.Effective()
	if !bytes.Contains(printed, []byte(`env("x\u202ey")`)) || !printable(string(printed), "\n") {
		t.Errorf("got %q", printed)
	}
	if _, diags := Parse("x.hcl", printed); diags.HasErrors() {
		t.Errorf("it does not load again: %v", diags)
	}
}
