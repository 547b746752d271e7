package conf

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"text/template"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// DefaultPath is the configuration that the service reads.
const DefaultPath = "/etc/dnstap-pdns/dnstap-pdns.hcl"

//go:embed setup
var setupFiles embed.FS

// PcapDropIn is the drop-in of the service for packet sources.
//
//go:embed systemd/pcap.conf
var PcapDropIn string

// A Setup makes the texts that connect a resolver, as Debian packages it, with the sensor.
type Setup struct {
	Name    string // on the command line
	Title   string
	Program string // absolute path
	Unit    string // of systemd
	Snippet string // file for the Directives
	Check   string // program that checks the resolver's configuration, or ""
}

// Setups returns all setups.
func Setups() []Setup {
	return []Setup{
		{"unbound", "Unbound", "/usr/sbin/unbound", "unbound.service", "/etc/unbound/unbound.conf.d/dnstap.conf", "unbound-checkconf"},
		{"bind", "BIND", "/usr/sbin/named", "named.service", "/etc/bind/named.conf.dnstap", "named-checkconf"},
		{"pdns", "PowerDNS Recursor", "/usr/sbin/pdns_recursor", "pdns-recursor.service", "/etc/powerdns/dnstap.lua", ""},
		{"knot", "Knot Resolver", "/usr/sbin/kresd", "", "", ""},
	}
}

// A Site describes the machine on which a Setup is used.
type Site struct {
	Addresses []netip.Addr // source addresses of the resolver's queries; a Setup that reads packets needs one
	Interface string       // towards the Internet, or "any"

	Names    []Proposal // for scrub.local_names
	Networks []Proposal // for scrub.local_networks
}

// A Proposal is a value that the operator must confirm.
type Proposal struct {
	Value string
	From  string // where it was found; without line breaks
}

// templateData is the data of the templates.
type templateData struct {
	Setup
	Site
}

// IPv4 returns the first IPv4 address, or "".
func (d templateData) IPv4() string { return d.first(netip.Addr.Is4) }

// IPv6 returns the first IPv6 address, or "".
func (d templateData) IPv6() string { return d.first(netip.Addr.Is6) }

func (d templateData) first(is func(netip.Addr) bool) string {
	for _, a := range d.Addresses {
		if is(a) {
			return a.String()
		}
	}
	return ""
}

// Config returns a configuration of the sensor for this resolver.
func (s Setup) Config(at Site) (string, error) { return s.text("config.hcl", at) }

// Source returns the source block of that configuration.
func (s Setup) Source(at Site) (string, error) { return s.text(s.Name+"/source.hcl", at) }

// Directives returns the directives for the resolver's configuration, or "" for a
// resolver that is read from packets.
func (s Setup) Directives(at Site) (string, error) {
	text, err := s.text(s.Name+"/resolver.conf", at)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return text, err
}

func (s Setup) text(name string, at Site) (string, error) {
	return execute(name, template.FuncMap{"source": func() (string, error) { return s.Source(at) }}, templateData{s, at})
}

// execute executes a template of setup. It has more functions than funcs.
func execute(name string, funcs template.FuncMap, data any) (string, error) {
	raw, err := setupFiles.ReadFile("setup/" + name)
	if err != nil {
		return "", err
	}
	t, err := template.New(name).Funcs(template.FuncMap{"quoted": quoted, "hcl": hclText, "comment": Escape}).Funcs(funcs).Parse(string(raw))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, data)
	return b.String(), err
}

func quoted(addresses []netip.Addr) string {
	var all []string
	for _, a := range addresses {
		all = append(all, fmt.Sprintf("%q", a))
	}
	return strings.Join(all, ", ")
}

// hclText returns the text of v as a string literal of HCL.
func hclText(v any) string {
	return string(hclwrite.TokensForValue(cty.StringVal(fmt.Sprint(v))).Bytes())
}
