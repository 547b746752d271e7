// Package page shows the ledger of a running sensor to people as one page. The server makes the
// page, which is complete without scripting. With scripting, the page fetches itself every few
// seconds and updates the parts that changed. Scripts are files of their own, so that a strict
// content security policy holds. Nothing is loaded from other servers.
//
// The page shows the contents of /ledger, and an hour of it as plots. It contains no query names
// and no addresses, unless samples are on. html/template escapes text from others, such as records
// and the version that a resolver sends.
package page

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin/samples"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

//go:embed page.html page.css page.js icon.svg
var files embed.FS

// policy lets a browser load the files of this server only.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A Page shows ledgers. It is an [admin.Page].
type Page struct {
	host     string
	ledger   func() admin.Ledger
	log      *slog.Logger
	template *template.Template
	routes   *http.ServeMux
	history  history
	samples  *samples.Samples

	rendering sync.Mutex // held while a page is made, which allocates a megabyte
}

// New returns a Page of the sensor on a host, whose name may be empty. ledger returns the current
// ledger. sent provides the samples, if these are
// on. The error is that of the template.
func New(host string, ledger func() admin.Ledger, sent *observers.Set, log *slog.Logger) (*Page, error) {
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"number": number[uint64],
		"signed": number[int64],
		"size":   size[int64],
		"count":  counted[uint64],
		"counts": counted[int],
		"share":  func(n, of int64) string { return admin.Share(uint64(n), uint64(of)) },
		"fill":   fill,
		"usize":  size[uint64],
		"ushare": admin.Share,
		"moment": moment,
		"stamp":  stamp,
		"plain":  conf.Escape, // text from peers may contain characters that reorder or hide text
	}).ParseFS(files, "page.html")
	p := &Page{host: host, ledger: ledger, log: log, template: t, routes: http.NewServeMux(), samples: samples.New(sent)}
	p.routes.HandleFunc("GET /{$}", p.show)
	for _, name := range []string{"page.css", "page.js", "icon.svg"} {
		p.routes.HandleFunc("GET /page/"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, name) })
	}
	return p, err
}

// Run records the counts of the ledger at each tick, until ctx ends.
func (p *Page) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		l := p.ledger()
		p.history.add(&l)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Adopt puts another configuration in force. It must not be called concurrently.
func (p *Page) Adopt(c conf.Admin) { p.samples.Show(c.Samples && c.Listen != "") }

// ServeHTTP serves the page at /, and its files below /page/.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	p.routes.ServeHTTP(w, r)
}

func (p *Page) show(w http.ResponseWriter, _ *http.Request) {
	text, err := p.text()
	if err != nil {
		p.log.Error("making the status page failed", "error", err)
		http.Error(w, "making the page failed; the log contains the error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(text)
}

func (p *Page) text() ([]byte, error) {
	p.rendering.Lock()
	defer p.rendering.Unlock()
	l := p.ledger()
	var text bytes.Buffer
	err := p.template.Execute(&text, viewOf(p.host, &l, &p.history, p.samples))
	return text.Bytes(), err
}
