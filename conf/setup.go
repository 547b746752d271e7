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

// A Setup connects a resolver, as packaged by Debian, with the sensor.
type Setup struct {
	Name    string // on the command line
	Title   string
	Program string // absolute path
}

// Setups returns all setups.
func Setups() []Setup {
	return []Setup{
		{"unbound", "Unbound", "/usr/sbin/unbound"},
		{"bind", "BIND", "/usr/sbin/named"},
		{"pdns", "PowerDNS Recursor", "/usr/sbin/pdns_recursor"},
		{"knot", "Knot Resolver", "/usr/sbin/kresd"},
	}
}

// A Site describes the machine on which a Setup is used.
type Site struct {
	Addresses []netip.Addr // source addresses of the resolver's queries; a Setup that reads packets needs one
	Interface string       // towards the Internet, or "any"
	Check     string       // command that checks the configuration
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

// Config returns the sensor's configuration.
func (s Setup) Config(at Site) (string, error) { return s.text("config.hcl", at) }

// Source returns the source block of the sensor's configuration.
func (s Setup) Source(at Site) (string, error) { return s.text(s.Name+"/source.hcl", at) }

// Directives returns the directives for the resolver's configuration, or "" for a
// resolver that is read from packets.
func (s Setup) Directives(at Site) (string, error) { return s.optional("resolver.conf", at) }

// Socket returns the drop-in for the socket unit, or "" if there is no socket.
func (s Setup) Socket(at Site) (string, error) { return s.optional("socket.conf", at) }

// Steps returns the steps in addition to the sensor's configuration.
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
	part := func(of func(Site) (string, error)) func(templateData) (string, error) {
		return func(templateData) (string, error) { return of(at) }
	}
	t, err := template.New(name).Funcs(template.FuncMap{
		"quoted": quoted, "indent": indent,
		"source": part(s.Source), "resolver": part(s.Directives), "socket": part(s.Socket),
	}).Parse(string(raw))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = t.Execute(&b, templateData{s, at})
	return b.String(), err
}

func quoted(addresses []netip.Addr) string {
	var all []string
	for _, a := range addresses {
		all = append(all, fmt.Sprintf("%q", a))
	}
	return strings.Join(all, ", ")
}

// indent indents lines by 7 spaces, as text to be copied.
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
