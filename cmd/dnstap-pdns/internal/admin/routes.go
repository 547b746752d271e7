package admin

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"slices"
	"strings"

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
		s.writeJSON(w, DomainsOf(v.Domains(maxDomains), v.State().Packets))
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "alive\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
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
	return http.MaxBytesHandler(s.checkHost(mux), maxBody)
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

// checkHost refuses requests whose Host is neither an address, localhost, nor in
// admin.host_names. Otherwise a web page could read the responses in a browser that reaches the
// sensor, if the name of the page resolves to the sensor's address (DNS rebinding).
func (s *Server) checkHost(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !namesHost(r.Host, *s.names.Load()) {
			http.Error(w, "use an address or localhost as the host of the URL, or add its name to admin.host_names", http.StatusMisdirectedRequest)
			return
		}
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

// namesHost reports whether a request to a host is accepted: an address, localhost or one of names.
func namesHost(host string, names []string) bool {
	name := strings.TrimSuffix(strings.ToLower(hostname(host)), ".")
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost" || name == "" || // HTTP/1.0 may omit it; browsers do not
		slices.Contains(names, name)
}
