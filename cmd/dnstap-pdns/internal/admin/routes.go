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

// maxScrapes bounds concurrent scrapes, each of which allocates some tens of KiB.
const maxScrapes = 4

// maxBody bounds the body of a request, in bytes. Only selftests have one.
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
			http.Error(w, "the sensor is starting or stopping", http.StatusServiceUnavailable)
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
		mux.HandleFunc(path, s.ifEnabled(profile))
	}
	return http.MaxBytesHandler(forThisHost(mux), maxBody)
}

func (s *Server) writeJSON(w http.ResponseWriter, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.log.Error("encoding a response as JSON failed", "error", err)
		http.Error(w, "encoding the response as JSON failed; the log contains the error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(append(text, '\n'))
}

// ifEnabled serves a profile if the configuration enables profiles, and 404 otherwise.
func (s *Server) ifEnabled(profile http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.pprof.Load() {
			http.NotFound(w, r)
			return
		}
		profile(w, r)
	}
}

// forThisHost refuses requests over loopback whose Host is neither an address nor localhost.
// Otherwise a web page in a browser on this host could read the responses, if its name resolves
// to loopback (DNS rebinding). Requests through a port that Docker publishes do not arrive on
// loopback and are not checked.
func forThisHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if overLoopback(r) && !namesHost(r.Host) {
			http.Error(w, "use an address or localhost as the host of the URL", http.StatusMisdirectedRequest)
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
	return err == nil || name == "localhost" || name == "" // HTTP/1.0 may omit it; browsers do not
}
