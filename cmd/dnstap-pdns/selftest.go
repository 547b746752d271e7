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
	selftestTime = 29 * time.Second // in all
	specialDecoy = "ipv4only.arpa"  // resolvers ask servers for it, and it is not signed, so that each name is asked for
	maxRefusal   = 1 << 10          // of what is said of one, in bytes
)

// trial is one run of the selftest.
type trial struct {
	config   *conf.File
	admin    string // where the sensor answers
	resolver string // where the resolver does
	request  selftest.Request
	decoys   string // the zone of the decoy
}

// proveFarEnd is the command selftest.
func proveFarEnd(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("selftest", "[-c FILE] [--resolver ADDR] [--zone ZONE] [--decoy ZONE]", std)
	path := fs.String("c", "", configUsage)
	resolver := fs.String("resolver", "127.0.0.1", "`ADDR`, with or without a port, at which the resolver answers its clients")
	zone := fs.String("zone", "com", "public `ZONE` below which a name is made that must leave")
	decoy := fs.String("decoy", "", "local or special `ZONE` below which the decoy is made; without it "+specialDecoy+", or the first of scrub.local_names where scrub.special_names is false")
	if err := parseAlone(fs, args); err != nil {
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
		return errors.New("by its configuration (admin.listen) the sensor answers nowhere, and cannot be asked what it sees: give it an address, and reload it")
	}
	t.admin = reachable(t.config.Admin.Listen)
	if t.resolver, err = withPort(resolver); err != nil {
		return err
	}
	if t.decoys, err = decoyZone(decoy, &t.config.Policy); err != nil {
		return err
	}
	if t.request.Name, err = selftest.Draw(zone); err != nil {
		return err
	}
	t.request.Decoy, err = selftest.Draw(t.decoys)
	return err
}

// withPort is an address with its port, 53 where none is said.
func withPort(address string) (string, error) {
	if _, err := netip.ParseAddr(address); err == nil || address != "" && !strings.ContainsAny(address, ":[] ") {
		return net.JoinHostPort(address, "53"), nil
	}
	if host, port, err := net.SplitHostPort(address); err == nil && host != "" && port != "" {
		return address, nil
	}
	return "", fmt.Errorf("%q is no address: --resolver takes HOST or HOST:PORT, like 127.0.0.1:53 or [::1]:53", address)
}

// decoyZone is what was named, else one that the policy keeps in the house.
func decoyZone(named string, p *transform.Config) (string, error) {
	switch {
	case named != "":
		return transform.ParseLocalName(named)
	case p.SpecialNames:
		return specialDecoy, nil
	case len(p.LocalNames) > 0:
		return transform.ParseLocalName(p.LocalNames[0])
	}
	return "", errors.New("scrub.special_names is false and scrub.local_names empty: by this configuration no name is kept in the house, and there is no decoy to prove that with")
}

// run has the sensor watch, asks the resolver, and prints what became of both names.
func (t *trial) run(ctx context.Context, out io.Writer) error {
	response, err := t.begin(ctx)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := json.NewDecoder(response.Body)
	var first, second selftest.Line
	if err := lines.Decode(&first); err != nil || first.Watching == nil {
		return fmt.Errorf("what answers at %s does not say that it watches: is it a sensor of this version?", t.admin)
	}
	asked := t.askBoth(ctx)
	for _, a := range asked {
		fmt.Fprintln(out, a)
	}
	if err := lines.Decode(&second); ctx.Err() != nil {
		return fmt.Errorf("the sensor at %s answers no more: it hangs; see its log, and restart it", t.admin)
	} else if err != nil || second.Verdict == nil {
		return fmt.Errorf("the sensor at %s came to no verdict: it was stopped, or its admin.listen changed; try again", t.admin)
	}
	v := second.Verdict
	r := report{trial: t, asked: asked, forbidden: first.Watching.NameForbidden, Verdict: v}
	if !v.Passed() {
		r.ledger, r.noLedger = fetchLedger(ctx, t.admin)
	}
	return r.print(out)
}

// begin asks the sensor to watch for both names.
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
	said, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	err = fmt.Errorf("the sensor at %s refuses (%s): %s", t.admin, response.Status, bytes.TrimSpace(said))
	switch response.StatusCode {
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return nil, &usageError{err}
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return nil, fmt.Errorf("what answers at %s knows no selftest: is it a sensor of this version?", t.admin)
	}
	return nil, err
}

// An answer is what the resolver said of a name.
type answer struct {
	resolver, name, decoy string
	rcode                 string // empty: nothing
	err                   error
}

func (a answer) String() string {
	said := a.rcode
	if a.err != nil {
		said = "no answer: " + a.err.Error()
	}
	return fmt.Sprintf("%s was asked for %s%s: %s", a.resolver, a.name, a.decoy, said)
}

// askBoth asks the resolver for both names at once, and returns what it said.
func (t *trial) askBoth(ctx context.Context) [2]answer {
	both := [2]answer{{resolver: t.resolver, name: t.request.Name}, {resolver: t.resolver, name: t.request.Decoy, decoy: " (the decoy)"}}
	var asking sync.WaitGroup
	for i := range both {
		asking.Go(func() { both[i].rcode, both[i].err = selftest.Ask(ctx, t.resolver, both[i].name) })
	}
	asking.Wait()
	return both
}
