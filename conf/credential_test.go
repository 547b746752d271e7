package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// pemText is PEM text as far as package conf looks at it.
const pemText = "-----BEGIN PRIVATE KEY-----\nTm90IGEga2V5\n-----END PRIVATE KEY-----"

// putCredentials makes a folder with a credential, as systemd does.
func putCredentials(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"sensor.key": pemText + "\n", "tap": "unix:///run/secret.sock\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
}

const withCredentials = `
source "dnstap" "tls" {
  listen = "tcp://127.0.0.1:6000"
  tls {
    cert = "sensor.pem"
    key  = credential("sensor.key")
  }
}
source "dnstap" "unix" {
  listen = credential("tap")
}
admin {
  listen = "127.0.0.1:9400"
}
`

func TestCredentialGivesTheContent(t *testing.T) {
	putCredentials(t)
	f := mustParse(t, withCredentials)
	if got := f.Sources[0].TLS; got.Key != pemText || got.Cert != "sensor.pem" {
		t.Errorf("got %q", got)
	}
	if got := f.Sources[1].Address; got != "/run/secret.sock" {
		t.Errorf("got %q", got)
	}
	printed := string(f.Effective())
	if !strings.Contains(printed, `key       = credential("sensor.key")`) || strings.Contains(printed, "BEGIN") {
		t.Errorf("printed\n%s", printed)
	}
	if got := f.Mask("bind /run/secret.sock, " + pemText); got != `bind credential("tap"), credential("sensor.key")` {
		t.Errorf("masked: %s", got)
	}
}

func TestCredentialThatIsMissing(t *testing.T) {
	putCredentials(t)
	for name, want := range map[string]string{
		"other":         "add LoadCredential=NAME:PATH to its unit, and restart it",
		"":              "not the name of a credential",
		"..":            "not the name of a credential",
		"../sensor.key": "not the name of a credential",
		"/etc/passwd":   "not the name of a credential",
	} {
		f, diags := Parse("test.hcl", []byte(`log { level = credential("`+name+`") }`))
		if got := messages(t, f, diags); !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %q", name, got, want)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	f, diags := Parse("test.hcl", []byte(withCredentials))
	if got := messages(t, f, diags); strings.Count(got, "this process has no credentials: only the service has, by LoadCredential= in its unit") != 2 {
		t.Errorf("got %s", got)
	}
}

// TestPEMTextMustComeFromAFunction: Effective would print a key that is in the file itself.
func TestPEMTextMustComeFromAFunction(t *testing.T) {
	text := "source \"dnstap\" \"a\" {\n listen = \"tcp://127.0.0.1:6000\"\n tls {\n cert = \"c.pem\"\n key = <<E\n" + pemText + "\nE\n }\n}\n"
	f, diags := Parse("test.hcl", []byte(text))
	if got := messages(t, f, diags); !diags.HasErrors() || !strings.Contains(got, "key: the text is in the configuration: use a function that returns it") {
		t.Errorf("got %s", got)
	}
}

// TestLoadAdminNeedsOnlyTheBlockAdmin: the credentials of the service are not readable.
func TestLoadAdminNeedsOnlyTheBlockAdmin(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	path := filepath.Join(t.TempDir(), "c.hcl")
	for text, want := range map[string]string{
		withCredentials:                         "127.0.0.1:9400",
		"nonsense \"a\" {\n}\nx = 1\n":          "127.0.0.1:9353",
		"admin {\n  listen = \"\"\n}\n":         "",
		"admin {\n  listen = env(\"NONE\")\n}":  "error",
		"admin {\n  listen = \"0.0.0.0:1\"\n}":  "error",
		"admin {\n}\nadmin {\n}\n":              "error",
		"admin {\n  listen = \"127.0.0.1:1\"\n": "error",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f, diags := LoadAdmin(path)
		got := f.Admin.Listen
		if diags.HasErrors() {
			got = "error"
		}
		if got != want {
			t.Errorf("%s\ngot %q, want %q: %v", text, got, want, diags)
		}
	}
	if _, diags := LoadAdmin(path + ".missing"); !diags.HasErrors() {
		t.Error("a missing file is no error")
	}
}
