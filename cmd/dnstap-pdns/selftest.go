package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/selftest"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	selftestTime = 29 * time.Second // limit of the whole run
	specialDecoy = "ipv4only.arpa"  // resolvers query servers for each name below it, because it is not signed
	maxRefusal   = 1 << 10          // bytes of the reason for a refusal
)

// A trial is one run of the selftest.
type trial struct {
	config   *conf.File
	admin    string // address of the sensor
	resolver string // address of the resolver
	request  selftest.Request
	decoys   string // the zone of the decoy
}

func runSelftest(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("selftest", "[-c FILE] [--resolver ADDR] [--zone ZONE] [--decoy ZONE]", std)
	path := fs.String("c", "", configUsage)
	resolver := fs.String("resolver", "127.0.0.1", "`ADDR` at which the resolver answers its clients, with or without a port")
	zone := fs.String("zone", "com", "public `ZONE` below which the name is made, which must leave")
	decoy := fs.String("decoy", "", "local or special `ZONE` below which the decoy is made; default: "+specialDecoy+", or the first of scrub.local_names if scrub.special_names is false")
	if err := parseFlagsOnly(fs, args); err != nil {
		return err
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	t := &trial{config: file}
	if err := t.prepare(*resolver, *zone, *decoy); err != nil {
		return &usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, selftestTime)
	defer cancel()
	return t.run(ctx, plainWriter{std.out})
}

func (t *trial) prepare(resolver, zone, decoy string) (err error) {
	if t.config.Admin.Listen == "" {
		return errors.New("by its configuration (admin.listen) the sensor answers nowhere: set admin.listen and reload it")
	}
	t.admin = reachable(t.config.Admin.Listen)
	if t.resolver, err = withPort(resolver); err != nil {
		return err
	}
	if t.decoys, err = decoyZone(decoy, &t.config.Policy); err != nil {
		return err
	}
	if t.request.Name, err = selftest.RandomName(zone); err != nil {
		return err
	}
	t.request.Decoy, err = selftest.RandomName(t.decoys)
	return err
}

// withPort returns an address with its port, by default 53.
func withPort(address string) (string, error) {
	if _, err := netip.ParseAddr(address); err == nil || address != "" && !strings.ContainsAny(address, ":[] ") {
		return net.JoinHostPort(address, "53"), nil
	}
	if host, port, err := net.SplitHostPort(address); err == nil && host != "" && port != "" {
		return address, nil
	}
	return "", fmt.Errorf("--resolver: %q is not an address: use HOST or HOST:PORT, like 127.0.0.1:53 or [::1]:53", address)
}

// decoyZone returns the named zone, or else a zone whose names the policy drops.
func decoyZone(named string, p *transform.Config) (string, error) {
	switch {
	case named != "":
		return transform.ParseLocalName(named)
	case p.SpecialNames:
		return specialDecoy, nil
	case len(p.LocalNames) > 0:
		return transform.ParseLocalName(p.LocalNames[0])
	}
	return "", errors.New("scrub.special_names is false and scrub.local_names empty: this configuration drops no name, so there is no decoy")
}

// run makes the sensor observe both names, queries the resolver, and prints the results.
func (t *trial) run(ctx context.Context, out io.Writer) error {
	response, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := json.NewDecoder(response.Body)
	var first, second selftest.Line
	if err := lines.Decode(&first); err != nil || first.Watching == nil {
		return fmt.Errorf("%s did not start a selftest: check that a sensor of this version listens there", t.admin)
	}
	answers := t.askBoth(ctx)
	for _, a := range answers {
		fmt.Fprintln(out, a)
	}
	if err := lines.Decode(&second); ctx.Err() != nil {
		return fmt.Errorf("the sensor at %s has stopped answering: see its log, and restart it", t.admin)
	} else if err != nil || second.Verdict == nil {
		return fmt.Errorf("the sensor at %s came to no verdict: it was stopped, or its admin.listen changed; try again", t.admin)
	}
	v := second.Verdict
	r := report{trial: t, answers: answers, forbidden: first.Watching.NameForbidden, Verdict: v}
	if !v.Passed() {
		r.ledger, r.noLedger = fetchLedger(ctx, t.admin)
	}
	return r.print(out)
}

// begin requests a selftest from the sensor.
func (t *trial) begin(ctx context.Context) (*http.Response, error) {
	body, err := json.Marshal(t.request)
	if err != nil {
		return nil, err
	}
	response, err := call(ctx, http.MethodPost, t.admin, "/selftest", bytes.NewReader(body))
	if err != nil || response.StatusCode == http.StatusOK {
		return response, err
	}
	defer response.Body.Close()
	reason, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	err = fmt.Errorf("the sensor at %s refuses (%s): %s", t.admin, response.Status, bytes.TrimSpace(reason))
	switch response.StatusCode {
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return nil, &usageError{err}
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return nil, fmt.Errorf("the server at %s does not support selftest: check that a sensor of this version listens there", t.admin)
	}
	return nil, err
}

// An answer is the answer of the resolver for a name.
type answer struct {
	resolver, name, decoy string
	rcode                 string // empty after an error
	err                   error
}

func (a answer) String() string {
	result := a.rcode
	if a.err != nil {
		result = "no answer: " + a.err.Error()
	}
	return fmt.Sprintf("%s was asked for %s%s: %s", a.resolver, a.name, a.decoy, result)
}

// askBoth queries the resolver for both names at the same time.
func (t *trial) askBoth(ctx context.Context) [2]answer {
	both := [2]answer{{resolver: t.resolver, name: t.request.Name}, {resolver: t.resolver, name: t.request.Decoy, decoy: " (the decoy)"}}
	var queries sync.WaitGroup
	for i := range both {
		queries.Go(func() { both[i].rcode, both[i].err = selftest.Ask(ctx, t.resolver, both[i].name) })
	}
	queries.Wait()
	return both
}
