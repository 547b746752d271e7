package admin

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many may be under way: each makes some tens of KiB of garbage.
const maxScrapes = 4

// maxBody is of a request, of which only one has any.
const maxBody = 1 << 10

func (s *Server) routes(v *View, o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(o.Log.Handler(), slog.LevelError),
		MaxRequestsInFlight: maxScrapes,
	}))
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) { s.writeJSON(w, v.Ledger()) })
	mux.HandleFunc("GET /domains", onLoopbackOnly(func(w http.ResponseWriter, _ *http.Request) {
		s.writeJSON(w, DomainsOf(v.Domains(maxDomains)))
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "alive\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !o.Ready() {
			http.Error(w, "the sensor starts or stops", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /{$}", o.Page)
	mux.Handle("GET /page/", o.Page)
	mux.Handle("POST /selftest", o.Selftest)
	for path, profile := range map[string]http.HandlerFunc{
		"GET /debug/pprof/":        pprof.Index,
		"GET /debug/pprof/cmdline": pprof.Cmdline,
		"GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/symbol":  pprof.Symbol,
		"GET /debug/pprof/trace":   pprof.Trace,
	} {
		mux.HandleFunc(path, s.ifAsked(profile))
	}
	return http.MaxBytesHandler(forThisHost(mux), maxBody)
}

func (s *Server) writeJSON(w http.ResponseWriter, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.log.Error("an answer could not be written as JSON", "error", err)
		http.Error(w, "the answer could not be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(text, '\n'))
}

// ifAsked answers where the configuration says so, and else that there is nothing.
func (s *Server) ifAsked(profile http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.pprof.Load() {
			http.NotFound(w, r)
			return
		}
		profile(w, r)
	}
}

// forThisHost refuses requests over loopback for what is neither an address nor
// localhost: a page in a browser on this host, from a name that somebody has made
// lead here (DNS rebinding), could read the answers. Behind a port that Docker
// publishes, which is no loopback, it does not.
func forThisHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if overLoopback(r) && !namesHost(r.Host) {
			http.Error(w, "ask by address, or as localhost", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

func overLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.IP.IsLoopback()
}

func namesHost(host string) bool {
	name := hostname(host)
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost" || name == "" // HTTP/1.0 need not say it; browsers do
}
