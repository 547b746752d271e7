package main

import (
	"context"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin/page"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/selftest"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// listen takes the address at which the sensor shows what it does.
func (r *reloader) listen(c conf.Admin) (*admin.Server, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	view := &admin.View{
		Version:   buildVersion(),
		GoVersion: runtime.Version(),
		Started:   r.started,
		State:     r.state,
		Reload:    r.status,
		Domains:   func(n int) []transform.DomainCount { return r.sensor.Domains(n) },
	}
	shown, err := page.New(view.Ledger, &r.tap, r.log)
	if err != nil {
		return nil, err
	}
	return admin.Listen(c, view, admin.Options{
		Page:     shown,
		Selftest: selftest.New(func() selftest.Sensor { return r.sensor }, &r.tap),
		Ready:    func() bool { return r.sensor.Open() },
		Registry: registry,
		Log:      r.log,
	})
}

// state is what is shown of the sensor. Errors may quote what functions gave.
func (r *reloader) state() sensor.State {
	s := r.sensor.State()
	for i := range s.Ledger.Sinks {
		s.Ledger.Sinks[i].Error = r.std.secrets.mask(s.Ledger.Sinks[i].Error)
	}
	for i := range s.Dnstap {
		s.Dnstap[i].Certificate.Problem = r.std.secrets.mask(s.Dnstap[i].Certificate.Problem)
	}
	return s
}

// show answers until the returned function is called, which returns what became of
// that. If it fails, so does the sensor, by stop.
func (r *reloader) show(stop func()) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := r.admin.Run(ctx)
		if err != nil {
			stop()
		}
		done <- err
	}()
	return func() error {
		cancel()
		return <-done
	}
}
