package setup

import "testing"

func TestLineIsAddedToTheOptionsOfBIND(t *testing.T) {
	const line = `include "/etc/bind/named.conf.dnstap";`
	for name, tt := range map[string]struct{ text, want string }{
		"Debian's file":           {"options {\n\tdirectory \"/var/cache/bind\";\n};\n", "options {\n\t" + line + "\n\tdirectory \"/var/cache/bind\";\n};\n"},
		"brace on the next line":  {"options\n{\n};\n", "options\n{\n\t" + line + "\n};\n"},
		"comments":                {"// options { };\n/* options { } */ # options {\noptions { };", "// options { };\n/* options { } */ # options {\noptions {\n\t" + line + " };"},
		"not in other statements": {"x \"options {\" { options { }; };\noptions {};", "x \"options {\" { options { }; };\noptions {\n\t" + line + "};"},
		"already there":           {"options {\n  " + line + "\n};\n", "options {\n  " + line + "\n};\n"},
		"no options":              {"logging { };", ""},
		"an empty file":           {"", ""},
		"an open comment":         {"/* options {", ""},
	} {
		e := Edit{Line: line, insert: insertInOptions}
		got, err := e.apply(tt.text)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, tt.want)
		}
	}
}

func TestLineIsAppended(t *testing.T) {
	for text, want := range map[string]string{"": "line\n", "a": "a\nline\n", "a\n": "a\nline\n", "line\na\n": "line\na\n"} {
		e := Edit{Line: "line", insert: appendLine}
		if got, err := e.apply(text); got != want || err != nil {
			t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestWordsAreQuotedForTheShell(t *testing.T) {
	for word, want := range map[string]string{"/a/b.hcl": "/a/b.hcl", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "x*": "'x*'"} {
		if got := Quote(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}
