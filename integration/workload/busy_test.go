package workload

import (
	"bytes"
	"math"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
)

// TestBusyIsWhatItStates counts the frames of a load.
func TestBusyIsWhatItStates(t *testing.T) {
	pairs, err := Pairs("../testdata/unbound.fstrm")
	if err != nil {
		t.Fatal(err)
	}
	const frames = 100_000
	load, err := NewBusy(pairs, frames, BusyRate)
	if err != nil {
		t.Fatal(err)
	}
	var queries, responses, subnets, local, early float64
	servers := map[string]bool{}
	var last, first, lastQuery time.Time
	err = load.Frames(func(d *dnstap.Dnstap) error {
		m := new(dns.Msg)
		if err := m.Unpack(wireOf(d)); err != nil {
			return err
		}
		sec, nsec := d.Message.GetQueryTimeSec(), d.Message.GetQueryTimeNsec()
		if isResponse(d) {
			sec, nsec = d.Message.GetResponseTimeSec(), d.Message.GetResponseTimeNsec()
		}
		at := time.Unix(int64(sec), int64(nsec))
		if at.Before(last) {
			t.Fatalf("%v comes after %v", at, last)
		}
		last = at
		if at.Before(loadStart.Add(busyTimeout)) {
			early++
			return nil
		}
		if first.IsZero() {
			first = at
		}
		servers[string(d.Message.ResponseAddress)] = true
		if isResponse(d) {
			responses++
			return nil
		}
		queries++
		lastQuery = at
		if o := m.IsEdns0(); o != nil && bytes.Contains(wireOf(d), []byte{0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100}) {
			subnets++
		}
		if dns.IsSubDomain(LocalName+".", m.Question[0].Name) {
			local++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, share := range map[string]struct{ got, want, tolerance float64 }{
		"queries before":  {early, 30_000, 1},
		"all":             {early + queries + responses, frames, 1},
		"queries/s":       {queries / lastQuery.Sub(first).Seconds(), 50_000, 1000},
		"client subnets":  {subnets / queries, shareSubnet, 0.005},
		"local names":     {local / queries, shareLocal, 0.005},
		"without answers": {1 - responses/queries, 1. / unanswered, 0.005},
	} {
		if math.Abs(share.got-share.want) > share.tolerance {
			t.Errorf("%s: %v, want %v", what, share.got, share.want)
		}
	}
	if len(servers) < busyServers {
		t.Errorf("%d servers, want at least %d", len(servers), busyServers)
	}
}
