package setup

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// fakeMachine returns a machine with these files, on which named-checkconf prints text.
func fakeMachine(hostname, named string, files map[string]string) Machine {
	return Machine{
		Hostname: hostname,
		Read:     func(path string) string { return files[path] },
		Glob: func(pattern string) (all []string) {
			for name := range files {
				if ok, _ := path.Match(pattern, name); ok {
					all = append(all, name)
				}
			}
			slices.Sort(all)
			return all
		},
		Output: func(context.Context, string, ...string) string { return named },
	}
}

const unboundFiles = `
server:
  local-zone: "corp.a.example." static # own data
  local-data: "host.corp.a.example. IN A 10.0.0.1"
  local-zone: "empty.a.example" static
  local-zone: "ads.b.example" redirect
  local-data: "ads.b.example A 0.0.0.0"
  local-zone: "blocked.b.example" always_nxdomain
  local-zone: "10.in-addr.arpa." nodefault
  private-domain: private.a.example
stub-zone:
	name: "stub.a.example"
	stub-addr: 10.0.0.53@5353
stub-zone: name: 20.172.in-addr.arpa
stub-zone:
  name: "113.0.64.in-addr.arpa"
forward-zone:
  name: "."
  forward-addr: ::1
forward-zone:
  name: 'fwd.a.example.'
forward-zone:
  name: "co.uk"
auth-zone:
  name: "auth.a.example"
  for-upstream: no
rpz:
  name: "rpz.a.example"
include: "more/*.conf"
include-toplevel: /etc/unbound/loop.conf
`

func TestProposalsOfUnbound(t *testing.T) {
	m := fakeMachine("resolver1", "", map[string]string{
		"/etc/unbound/unbound.conf":     unboundFiles,
		"/etc/unbound/loop.conf":        "include: /etc/unbound/loop.conf\n",
		"/etc/unbound/more/a.conf":      "stub-zone:\n name: more.a.example\nview:\n name: view.a.example\n",
		"/etc/unbound/more/b.conf.orig": "stub-zone:\n name: other.a.example\n",
		"/etc/resolv.conf":              "nameserver 10.0.0.53\nsearch lab.a.example lan com C.example # no\noptions ndots:1\n",
		"/etc/hosts":                    "127.0.0.1 localhost\n127.0.1.1 resolver1.hosts.a.example resolver1\n10.0.0.9 other.d.example other\n",
	})
	names, networks := Proposals(t.Context(), conf.Setup{Name: "unbound"}, m)
	const main = " in /etc/unbound/unbound.conf"
	want := []conf.Proposal{
		{Value: "lab.a.example", From: "/etc/resolv.conf"},
		{Value: "c.example", From: "/etc/resolv.conf"},
		{Value: "hosts.a.example", From: "/etc/hosts"},
		{Value: "corp.a.example", From: "local-zone" + main},
		{Value: "stub.a.example", From: "stub-zone" + main},
		{Value: "fwd.a.example", From: "forward-zone" + main},
		{Value: "auth.a.example", From: "auth-zone" + main},
		{Value: "more.a.example", From: "stub-zone in /etc/unbound/more/a.conf"},
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]conf.Proposal{{Value: "64.0.113.0/24", From: "stub-zone" + main}}, networks); diff != "" {
		t.Errorf("networks (-want +got):\n%s", diff)
	}
}

const namedFiles = `options {
	response-policy {
		zone "rpz.a.example" policy given;
		zone "RPZ2.a.example.";
	} qname-wait-recurse no;
};
zone "." { type hint; file "/usr/share/dns/root.hints"; };
zone "localhost" { type master; };
zone "127.in-addr.arpa" { type master; };
zone "corp.a.example" IN {
	type primary;
	allow-query { any; };
};
zone "rpz.a.example" { type master; };
zone "rpz2.a.example" { type secondary; };
zone "com" { type forward; };
zone "mirror.a.example" { type mirror; };
view "inside" {
	zone "in.a.example" { type secondary; };
	zone "fwd.a.example" { type forward; forwarders { 10.0.0.1; }; };
	zone "8.b.d.0.1.0.0.2.ip6.arpa" { type static-stub; };
	zone "0.0.0.0.8.8.0.0.1.0.a.2.ip6.arpa" { type static-stub; };
	zone "corp.a.example" { type stub; };
	zone "0-127.113.0.64.in-addr.arpa" { type stub; };
};
`

func TestProposalsOfBIND(t *testing.T) {
	names, networks := Proposals(t.Context(), conf.Setup{Name: "bind"}, fakeMachine("ns.c.example", namedFiles, nil))
	want := []conf.Proposal{
		{Value: "c.example", From: "the name of this host"},
		{Value: "corp.a.example", From: "zone of type primary in BIND"},
		{Value: "in.a.example", From: "zone of type secondary in BIND"},
		{Value: "fwd.a.example", From: "zone of type forward in BIND"},
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]conf.Proposal{{Value: "2a01:88::/48", From: "zone of type static-stub in BIND"}}, networks); diff != "" {
		t.Errorf("networks (-want +got):\n%s", diff)
	}
}

// TestListOfBlockedNamesIsNotProposed: a resolver with hundreds of zones blocks names by them.
func TestListOfBlockedNamesIsNotProposed(t *testing.T) {
	var b strings.Builder
	for i := range maxProposals + 1 {
		fmt.Fprintf(&b, "zone \"ads%d.b.example\" { type master; };\n", i)
	}
	names, _ := Proposals(t.Context(), conf.Setup{Name: "bind"}, fakeMachine("ns.c.example", b.String(), nil))
	if len(names) != 1 {
		t.Errorf("%d names", len(names))
	}
}

func FuzzResolverConfigurations(f *testing.F) {
	f.Add(unboundFiles)
	f.Add(namedFiles)
	f.Add(`zone "`)
	f.Fuzz(func(t *testing.T, text string) {
		m := fakeMachine("a.a.example", text, map[string]string{unboundMain: text})
		for _, name := range []string{"unbound", "bind"} {
			names, networks := Proposals(t.Context(), conf.Setup{Name: name}, m)
			config, err := conf.Setups()[0].Config(conf.Site{Names: names, Networks: networks})
			if err != nil {
				t.Fatal(err)
			}
			if file, diags := conf.Parse("c.hcl", []byte(config)); diags.HasErrors() {
				t.Fatalf("%v\n%s", diags, config)
			} else if len(file.Policy.LocalNames) != len(names) || len(file.Policy.LocalNetworks) != len(networks) {
				t.Fatalf("%v, %v: %s", names, networks, config)
			}
		}
		if out, err := insertInOptions(text, "more"); err == nil && len(out) != len(text)+len("\n\tmore") {
			t.Fatalf("got %q", out)
		}
	})
}
