package conf

import (
	"strings"
	"testing"
)

func TestMaskReplacesValuesByExpressions(t *testing.T) {
	for name, value := range map[string]string{
		"SOCKET": "/run/one/two/tap.sock", "OWNER": "Mallory", "FILES": "/srv/a/%Y/b-%m.nmsg", "HOST": "sie.example.net",
		"NAME": "bücher.example", "NET": "198.51.100.0/24", "ADDRESS": "2001:DB8:0::53", "PROGRAM": "/opt/x y/up load",
		"ADMIN": "127.0.0.1:9353", "WORD": "idle", "BYTES": "/a\xff\xfe/b.sock", "QUOTED": `a "b" c`,
	} {
		t.Setenv("PDNS_TEST_"+name, value)
	}
	f := mustParse(t, `
source "dnstap" "a" {
  listen = "unix://${env("PDNS_TEST_SOCKET")}"
  owner  = env("PDNS_TEST_OWNER")
}
source "dnstap" "b" {
  listen = "unix://${env("PDNS_TEST_BYTES")}"
}
source "pcap" "p" {
  interface = "eth0"
  resolvers = ["192.0.2.53"]
  when      = env("PDNS_TEST_WORD")
}
scrub {
  local_names    = ["corp.example", env("PDNS_TEST_NAME")]
  local_networks = [env("PDNS_TEST_NET")]
  resolvers      = [env("PDNS_TEST_ADDRESS")]
}
sink "nmsg" "f" {
  to        = "file://${env("PDNS_TEST_FILES")}"
  rotate    = "0s"
  on_rotate = [env("PDNS_TEST_PROGRAM"), "--quiet", env("PDNS_TEST_QUOTED")]
}
sink "nmsg" "u" {
  to = "udp://${env("PDNS_TEST_HOST")}:9430"
}
admin {
  listen = env("PDNS_TEST_ADMIN")
}
`)
	const (
		socket = `"unix://${env("PDNS_TEST_SOCKET")}"`
		files  = `"file://${env("PDNS_TEST_FILES")}"`
		host   = `"udp://${env("PDNS_TEST_HOST")}:9430"`
	)
	for text, want := range map[string]string{
		"":                                     "",
		"a command for each file, by udp":      "a command for each file, by udp",
		"there is no user \"Mallory\"":         `there is no user "env("PDNS_TEST_OWNER")"`,
		"owner mallory, not mallory2":          `owner env("PDNS_TEST_OWNER"), not mallory2`,
		"bind /run/one/two/tap.sock: denied":   "bind " + socket + ": denied",
		"unix:///run/one/two/tap.sock":         socket,
		"there is no directory /run/one/two":   "there is no directory " + socket + "/..",
		"/run/one /run/one/ (/run)":            socket + "/../.. " + socket + "/../../ (" + socket + "/../../..)",
		"/run/other and /var/run stay":         "/run/other and /var/run stay",
		"mkdir /srv/a/2026: read-only":         "mkdir " + files + "/..: read-only",
		"open /srv/a/2026/.b-11.nmsg.part":     "open " + files + ".part",
		"dial udp: lookup SIE.example.net: no": "dial udp: lookup " + host + ": no",
		"xn--bcher-kva.example, corp.example":  `env("PDNS_TEST_NAME"), corp.example`,
		"bücher.example.":                      `env("PDNS_TEST_NAME").`,
		"198.51.100.0/24 is local":             `env("PDNS_TEST_NET") is local`,
		"2001:db8::53":                         `env("PDNS_TEST_ADDRESS")`,
		"192.0.2.53 on eth0, --quiet":          "192.0.2.53 on eth0, --quiet",
		`exec "/opt/x y/up load": not found`:   `exec "env("PDNS_TEST_PROGRAM")": not found`,
		`argument "a \"b\" c"`:                 `argument "env("PDNS_TEST_QUOTED")"`,
		"listen tcp 127.0.0.1:9353: in use":    `listen tcp env("PDNS_TEST_ADMIN"): in use`,
		"open /a\xff\xfe/b.sock":               `open "unix://${env("PDNS_TEST_BYTES")}"`,
		"the source is idle":                   "the source is idle",
	} {
		if got := f.Mask(text); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
	if plain := mustParse(t, `source "dnstap" "a" { listen = "unix:///run/one/two/tap.sock" }`); plain.Mask("/run/one/two/tap.sock") != "/run/one/two/tap.sock" {
		t.Error("a value that no function returned is masked")
	}
}

// The position of a diagnostic in local_names_file contains that file's name.
func TestNameOfASecretNamesFileIsMasked(t *testing.T) {
	t.Setenv("PDNS_TEST_FILE", "names-file.list")
	f, diags := Parse("testdata/invalid/c.hcl", []byte("scrub { local_names_file = env(\"PDNS_TEST_FILE\") }\n"))
	got := messages(t, f, diags)
	if !diags.HasErrors() || strings.Contains(got, "names-file") || !strings.Contains(got, `testdata/invalid/env("PDNS_TEST_FILE"):4:3: error`) {
		t.Errorf("got\n%s", got)
	}
}
