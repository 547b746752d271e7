// Package page shows the ledger of a running sensor to people: one page, made on the
// server and whole without scripting. With it, the page fetches itself every few
// seconds and changes where it has changed; scripts are files of their own, so that a
// strict content security policy holds. Nothing comes from elsewhere.
//
// It shows what /ledger tells, an hour of it as plots, and no more: no name that was
// asked and no address, unless samples are on. Text that others made (what a resolver
// says of itself, a record) is escaped by html/template.
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
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/leaving"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

//go:embed page.html page.css page.js icon.svg
var files embed.FS

// policy lets a browser use what this page serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A Page shows ledgers. It is an [admin.Page].
type Page struct {
	ledger   func() admin.Ledger
	log      *slog.Logger
	template *template.Template
	routes   *http.ServeMux
	history  history
	samples  *samples.Samples

	making sync.Mutex // one page at a time: each makes a megabyte of garbage
}

// New returns a Page of the ledgers that are asked for, and of what the tap sees where
// samples are on.
func New(ledger func() admin.Ledger, tap *leaving.Tap, log *slog.Logger) (*Page, error) {
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"number": number[uint64],
		"signed": number[int64],
		"size":   size[int64],
		"count":  counted[uint64],
		"counts": counted[int],
		"share":  func(n, of int64) string { return admin.Share(uint64(n), uint64(of)) },
		"fill":   fill,
		"moment": moment,
		"stamp":  stamp,
		"plain":  conf.Escape, // what peers say may turn the text around it, or hide in it
	}).ParseFS(files, "page.html")
	p := &Page{ledger: ledger, log: log, template: t, routes: http.NewServeMux(), samples: samples.New(tap)}
	p.routes.HandleFunc("GET /{$}", p.show)
	for _, name := range []string{"page.css", "page.js", "icon.svg"} {
		p.routes.HandleFunc("GET /page/"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, name) })
	}
	return p, err
}

// Run keeps an hour of what ledgers say, until ctx ends.
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

// Adopt puts another configuration in force. One caller at a time.
func (p *Page) Adopt(c conf.Admin) { p.samples.Show(c.Samples && c.Listen != "") }

// ServeHTTP answers with the page at /, and below /page/ with what belongs to it.
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
		p.log.Error("the status page could not be written", "error", err)
		http.Error(w, "the page could not be written; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(text)
}

func (p *Page) text() ([]byte, error) {
	p.making.Lock()
	defer p.making.Unlock()
	l := p.ledger()
	var text bytes.Buffer
	err := p.template.Execute(&text, viewOf(&l, &p.history, p.samples))
	return text.Bytes(), err
}
