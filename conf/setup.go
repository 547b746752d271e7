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
)

//go:embed setup
var setupFiles embed.FS

// A Setup is how a resolver, as Debian packages it, and the sensor are brought together.
type Setup struct {
	Name    string // as it is called on the command line
	Title   string
	Program string // absolute path
}

// Setups returns all there are.
func Setups() []Setup {
	return []Setup{
		{"unbound", "Unbound", "/usr/sbin/unbound"},
		{"bind", "BIND", "/usr/sbin/named"},
		{"pdns", "PowerDNS Recursor", "/usr/sbin/pdns_recursor"},
		{"knot", "Knot Resolver", "/usr/sbin/kresd"},
	}
}

// A Site is where a Setup is used.
type Site struct {
	Addresses []netip.Addr // that the resolver asks from; a Setup that reads packets needs one
	Interface string       // that leads to the Internet, or "any"
	Check     string       // the command that checks the configuration
}

// scene is what the texts are made from.
type scene struct {
	Setup
	Site
}

// IPv4 returns the first of that family, or nothing; IPv6 the same.
func (s scene) IPv4() string { return s.first(netip.Addr.Is4) }

// IPv6 is the other family's.
func (s scene) IPv6() string { return s.first(netip.Addr.Is6) }

func (s scene) first(is func(netip.Addr) bool) string {
	for _, a := range s.Addresses {
		if is(a) {
			return a.String()
		}
	}
	return ""
}

// Config returns the sensor's configuration.
func (s Setup) Config(at Site) (string, error) { return s.text("config.hcl", at) }

// Source returns the part of it that is this resolver's.
func (s Setup) Source(at Site) (string, error) { return s.text(s.Name+"/source.hcl", at) }

// Directives returns what goes into the resolver's configuration; nothing for one that
// is read from packets.
func (s Setup) Directives(at Site) (string, error) { return s.optional("resolver.conf", at) }

// Socket returns the drop-in for the socket unit; nothing where there is no socket.
func (s Setup) Socket(at Site) (string, error) { return s.optional("socket.conf", at) }

// Steps returns what there is to do beside the sensor's configuration.
func (s Setup) Steps(at Site) (string, error) { return s.text(s.Name+"/steps.txt", at) }

func (s Setup) optional(name string, at Site) (string, error) {
	text, err := s.text(s.Name+"/"+name, at)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return text, err
}

func (s Setup) text(name string, at Site) (string, error) {
	raw, err := setupFiles.ReadFile("setup/" + name)
	if err != nil {
		return "", err
	}
	part := func(of func(Site) (string, error)) func(scene) (string, error) {
		return func(scene) (string, error) { return of(at) }
	}
	t, err := template.New(name).Funcs(template.FuncMap{
		"quoted": quoted, "indent": indent,
		"source": part(s.Source), "resolver": part(s.Directives), "socket": part(s.Socket),
	}).Parse(string(raw))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, scene{s, at})
	return b.String(), err
}

func quoted(addresses []netip.Addr) string {
	var all []string
	for _, a := range addresses {
		all = append(all, fmt.Sprintf("%q", a))
	}
	return strings.Join(all, ", ")
}

// indent moves lines to the right, as what is to be copied stands.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			line = "       " + line
		}
		b.WriteString(line)
	}
	return b.String()
}
