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

var selftestUsage = usage{
	name:     "selftest",
	does:     "Proves that the running sensor lets a public name leave, and that it sees a local decoy and drops it.",
	examples: []string{"dnstap-pdns selftest", "dnstap-pdns selftest --resolver 192.0.2.53 --decoy corp.example"},
	exits: []string{"the public name left, and the decoy was seen and dropped", "this was not proven, or no sensor answered",
		"bad usage, or the configuration is invalid"},
}

func runSelftest(ctx context.Context, args []string, std stdio) error {
	o := newOptions(selftestUsage, std)
	path := o.config()
	resolver := o.String("resolver", "127.0.0.1", "`ADDR` at which the resolver answers its clients, with or without a port")
	zone := o.String("zone", "com", "public `ZONE` below which the name is made, which must leave")
	decoy := o.String("decoy", "", "local or special `ZONE` below which the decoy is made; default: "+specialDecoy+", or the first of scrub.local_names if scrub.special_names is false")
	if err := o.parse(args, 0); err != nil {
		return err
	}
	file, err := selftestConfig(*path, std)
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

// selftestConfig returns the configuration. If a part of it is not usable by this user, such as a
// credential of the service, it returns the block admin, with the default decoy.
func selftestConfig(path string, std stdio) (*conf.File, error) {
	file, diags := readFile(configPath(path))
	if !diags.HasErrors() {
		return printDiagnostics(file, diags, std)
	}
	admin, adminDiags := readAdmin(path)
	if adminDiags.HasErrors() {
		return printDiagnostics(admin, adminDiags, std)
	}
	std.secrets.add(file)
	fmt.Fprintf(std.err, "dnstap-pdns selftest: %s; only its block admin is used\n", std.secrets.mask(firstError(file, diags).Error()))
	admin.Policy.SpecialNames = true
	return admin, nil
}

func (t *trial) prepare(resolver, zone, decoy string) (err error) {
	if len(t.config.Kafka) > 0 {
		return fmt.Errorf("source %q reads from Kafka, and no resolver sends to this sensor: run selftest on the sensors that write to its topic",
			t.config.Kafka[0].Name)
	}
	if t.config.Admin.Listen == "" {
		return errors.New("admin.listen is empty, so selftest cannot reach the sensor: set it and reload")
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

// run makes the sensor observe the name and the decoy, queries the resolver for both, and prints
// the results.
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
		return fmt.Errorf("the sensor at %s ended without a result: it was stopped, or its admin.listen changed; try again", t.admin)
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
