package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

const (
	statusTime = 10 * time.Second
	maxStatus  = 64 << 20 // bytes of an answer, enough for 65536 connections
)

var statusUsage = usage{
	name:      "status",
	arguments: "[ADDR]",
	does:      "Prints the ledger of the running sensor, its problems and their remedies.",
	examples:  []string{"dnstap-pdns status", "dnstap-pdns status 127.0.0.1:9353", "dnstap-pdns status --check"},
	exits: []string{"the sensor answered, even if it has problems; with --check: it has none",
		"no sensor answered, its ledger does not add up, or the output could not be written; with --check: a warning",
		"bad usage, or the configuration is invalid; with --check: critical, such as no answer", "with --check: bad usage, or an invalid configuration"},
}

// status prints the ledger of a running sensor. It fails if no sensor answers or a sum is
// wrong, but not because of warnings.
func status(ctx context.Context, args []string, std stdio) error {
	o := newOptions(statusUsage, std)
	path := o.StringP("config", "c", "", configUsage+"; its admin.listen is the default of ADDR")
	checks := o.flag("check", "print one line and exit with 0, 1 or 2, as monitoring plugins do")
	asJSON := o.flag("json", "print one JSON document")
	if err := o.parse(args, 1); err != nil {
		return err
	}
	if *checks && *asJSON {
		return &usageError{errors.New("--check and --json exclude each other")}
	}
	address, err := statusAddress(o.Arg(0), *path, std)
	if err != nil && *checks {
		return checkFailed(std.out, checkUnknown, err)
	} else if err != nil {
		return &usageError{err}
	}
	l, err := fetchLedger(ctx, address)
	if err != nil && *checks {
		return checkFailed(std.out, checkCritical, err)
	} else if err != nil {
		return err
	}
	if *checks {
		return checkStatus(std.out, l)
	}
	d, err := fetchDomains(ctx, address)
	if *asJSON {
		return errors.Join(err, printStatusJSON(std.out, l, d))
	}
	printStatus(std.out, l, d.Senders)
	if len(l.Imbalances()) > 0 {
		return errors.New("the ledger does not add up")
	}
	printDomains(std.out, d.Domains)
	return err
}

// printStatus prints warnings first, then the ledger.
func printStatus(w io.Writer, l *admin.Ledger, senders []admin.PacketSenders) {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	defer t.Flush()
	for _, warning := range l.WarningsWithSenders(senders) {
		fmt.Fprintf(t, "warning: %s\n  %s\n", warning.Problem, warning.Remedy)
	}
	fmt.Fprintf(t, "dnstap-pdns %s, up %s, as of %s\n", l.Version, span(l.Time.Sub(l.Started)), l.Time.Format(time.RFC3339))
	fmt.Fprintf(t, "pairing table: %d of %d in use\n", l.Pairing.Used, l.Pairing.Max)
	for i := range l.Sources {
		s := &l.Sources[i]
		fmt.Fprintf(t, "\nsource %q: %s\n", s.Name, strings.Join(sourceState(l, s), ", "))
		printAccount(t, s.Account(), "")
		printCounters(t, s.Scrubbing().Rows, "scrubbed: ")
		if s.Dnstap != nil {
			printDnstap(t, l, s.Dnstap)
		}
		if s.Pcap != nil {
			printPcap(t, s.Pcap)
		}
		if s.Kafka != nil {
			printCounters(t, s.Kafka.Rows(), "")
		}
	}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		fmt.Fprintf(t, "\nsink %q: %s\n", s.Name, strings.Join(sinkState(l, s), ", "))
		printSink(t, s)
	}
	if len(l.Imbalances()) == 0 {
		fmt.Fprintln(t, "\nevery message and record is accounted for")
	}
}

// printDomains prints the domains that were dropped most, or nothing if there are none.
func printDomains(w io.Writer, domains []admin.Domain) {
	if len(domains) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	fmt.Fprintln(t, "\nregistered domains with the most drops")
	fmt.Fprintln(t, "answers that contain the address of the querier are dropped, which a zone can use to hide from sensors")
	fmt.Fprintln(t, "domain\tresolver_address\tlookup\tlocal_name_inside")
	for _, d := range domains {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\n", d.Domain, d.ResolverAddress, d.Lookup, d.LocalNameInside)
	}
}

func sourceState(l *admin.Ledger, s *admin.Source) []string {
	var state []string
	switch {
	case s.Kind == admin.KindRemoved:
		state = append(state, "removed by a reload")
	case s.Dnstap != nil:
		state = append(state, "dnstap", plural(len(s.Dnstap.Connections), "connection"))
	case s.Kafka != nil:
		return append(state, kafkaState(l, s)...)
	case s.Pcap != nil && s.Pcap.Capturing:
		state = append(state, "packets, capturing")
	default:
		state = append(state, "packets, not capturing")
	}
	if s.LastOutward.IsZero() {
		return append(state, "nothing outward so far")
	}
	return append(state, fmt.Sprintf("last outward %s ago", span(l.Time.Sub(s.LastOutward))))
}

// kafkaState returns the state of a member of a consumer group.
func kafkaState(l *admin.Ledger, s *admin.Source) []string {
	k, state := s.Kafka, "works"
	if k.Failing != nil {
		state = "fails for " + span(l.Time.Sub(k.Failing.Since))
	}
	all := []string{"Kafka", state, plural(k.Partitions, "partition"), plural(int(k.Lag), "message") + " not read yet"}
	if s.LastOutward.IsZero() {
		all = append(all, "nothing read so far")
	} else {
		all = append(all, fmt.Sprintf("last record %s ago", span(l.Time.Sub(s.LastOutward))))
	}
	if k.Committed.IsZero() {
		all = append(all, "nothing committed so far")
	} else {
		all = append(all, fmt.Sprintf("last commit %s ago", span(l.Time.Sub(k.Committed))))
	}
	if !k.Uncommitted.IsZero() {
		all = append(all, fmt.Sprintf("not committed for %s", span(l.Time.Sub(k.Uncommitted))))
	}
	return all
}

// printDnstap prints a line for each connection, and the counts of the source.
func printDnstap(w io.Writer, l *admin.Ledger, d *admin.Dnstap) {
	for i := range d.Connections {
		c := &d.Connections[i]
		parts := []string{fmt.Sprintf("connection %d", c.Number)}
		if c.UID != nil {
			parts = append(parts, fmt.Sprintf("user %d, process %d", *c.UID, c.PID))
		}
		if c.Client != "" {
			parts = append(parts, fmt.Sprintf("client %q", c.Client))
		}
		if c.Version != "" || c.Identity != "" {
			parts = append(parts, fmt.Sprintf("%q at %q", c.Version, c.Identity))
		}
		fmt.Fprintf(w, "  %s: for %s, %s, %d messages outward\n", strings.Join(parts, ", "), span(l.Time.Sub(c.Since)), plural(int(c.Frames), "frame"), c.Outward)
	}
	printCounters(w, d.Rows(), "")
}

// printPcap prints a line for each interface, and the counts of the source.
func printPcap(w io.Writer, p *admin.Packets) {
	for _, i := range p.Interfaces {
		up := "up"
		if !i.Up {
			up = "down"
		}
		fmt.Fprintf(w, "  %s, %s: %s received, %d dropped by the kernel\n", i.Name, up, plural(int(i.Received), "packet"), i.Dropped)
	}
	printCounters(w, p.Rows(), "")
}

func sinkState(l *admin.Ledger, s *admin.Sink) []string {
	state := "works"
	if s.Failing != nil {
		state = fmt.Sprintf("fails for %s", span(l.Time.Sub(s.Failing.Since)))
	}
	switch {
	case s.Removed && !s.Draining:
		return []string{s.Target, "removed by a reload"}
	case s.Removed:
		state += ", removed by a reload and draining"
	case s.Draining:
		state += ", and its version from before a reload is draining"
	}
	all := []string{s.Target, state, fmt.Sprintf("%d of %d bytes of its queue in use", s.QueueBytes, s.QueueMax)}
	if s.Spool != nil {
		all = append(all, spoolState(l, s.Spool)...)
	}
	if s.RRsets != nil {
		all = append(all, rrsetState(l, s.RRsets)...)
	}
	switch {
	case s.Peer == nil:
	case s.Peer.Acknowledged.IsZero():
		all = append(all, "nothing acknowledged so far")
	default:
		all = append(all, fmt.Sprintf("last acknowledgement %s ago", span(l.Time.Sub(s.Peer.Acknowledged))))
	}
	if s.Buffered != nil {
		all = append(all, plural(int(s.Buffered.Bytes), "byte")+" wait for its acknowledgement")
	}
	if s.Certificate != nil {
		all = append(all, "client certificate until "+s.Certificate.Expires.Format(time.DateOnly))
	}
	return all
}

func rrsetState(l *admin.Ledger, r *admin.RRsets) []string {
	all := []string{
		fmt.Sprintf("%s in the window, in %d bytes", plural(int(r.Entries), "RRset"), r.Bytes),
		r.Verified() + " verified",
	}
	if r.Waiting > 0 || r.Unreleased > 0 {
		all = append(all, fmt.Sprintf("%d wait for release", r.Waiting))
	}
	if r.FullDomains > 0 {
		all = append(all, plural(int(r.FullDomains), "full domain"))
	}
	if !r.Saved.IsZero() {
		all = append(all, fmt.Sprintf("saved %s ago", span(l.Time.Sub(r.Saved))))
	}
	return all
}

func spoolState(l *admin.Ledger, s *admin.Spool) []string {
	all := []string{fmt.Sprintf("%d of %d bytes of its spool in use", s.Bytes, s.MaxBytes)}
	if !s.Oldest.IsZero() {
		all = append(all, fmt.Sprintf("its oldest records %s old", span(l.Time.Sub(s.Oldest))))
	}
	if s.Full {
		all = append(all, "spool cannot be written")
	}
	return all
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// span returns a duration in whole seconds.
func span(d time.Duration) string { return d.Truncate(time.Second).String() }

// statusAddress returns the named address, or else the address of the configuration. If the
// block admin is invalid, which may be why the user runs status, it returns the default.
func statusAddress(named, path string, std stdio) (string, error) {
	if named != "" {
		if host, port, err := net.SplitHostPort(named); err != nil || host == "" || port == "" {
			return "", fmt.Errorf("%q is not an address: use HOST:PORT, like %s", named, conf.AdminDefault().Listen)
		}
		return named, nil
	}
	file, diags := readAdmin(path)
	if diags.HasErrors() {
		fmt.Fprintf(std.err, "dnstap-pdns status: %s; asking at %s\n", firstError(file, diags), conf.AdminDefault().Listen)
		return conf.AdminDefault().Listen, nil
	}
	std.secrets.add(file)
	if file.Admin.Listen == "" {
		return "", errors.New("admin.listen is empty, so status cannot reach the sensor: set it and reload")
	}
	return reachable(file.Admin.Listen), nil
}

// reachable returns the address to connect to for a server that listens at the given one.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	switch addr, err := netip.ParseAddr(host); {
	case err != nil || !addr.IsUnspecified():
		return listen
	case addr.Is4():
		return net.JoinHostPort("127.0.0.1", port)
	default:
		return net.JoinHostPort("::1", port)
	}
}

func fetchLedger(ctx context.Context, address string) (*admin.Ledger, error) {
	var l admin.Ledger
	if _, err := fetch(ctx, address, "/ledger", &l); err != nil {
		return nil, err
	}
	if l.Started.IsZero() {
		return nil, fmt.Errorf("the answer from %s is not a ledger: check that a sensor listens there", address)
	}
	return &l, nil
}

// fetchDomains returns the answer of /domains. It is empty if the address is not on loopback, or if
// the sensor refuses or does not have the path.
func fetchDomains(ctx context.Context, address string) (d admin.Domains, err error) {
	if !admin.OnLoopback(address) {
		return d, nil
	}
	status, err := fetch(ctx, address, "/domains", &d)
	if status == http.StatusForbidden || status == http.StatusNotFound {
		return admin.Domains{}, nil
	}
	return d, err
}

// fetch decodes the answer for a path. status is 0 without an answer.
func fetch(ctx context.Context, address, path string, answer any) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	response, err := call(ctx, http.MethodGet, address, path, nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.StatusCode, fmt.Errorf("the server at %s answered %s: check that a sensor listens there", address, response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxStatus)).Decode(answer); err != nil {
		return response.StatusCode, fmt.Errorf("reading %[2]s from %[1]s: %[3]w: check that a sensor listens there", address, path, err)
	}
	return response.StatusCode, nil
}

// call sends a request to a sensor, and returns the response with any status. body is JSON, or
// nil.
func call(ctx context.Context, method, address, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, body)
	if err != nil {
		return nil, &usageError{fmt.Errorf("%q is not an address", address)}
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ResponseHeaderTimeout: statusTime}} // without a proxy
	response, err := client.Do(request)
	netErr, _ := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no sensor answers at %s: start it, or name what its admin.listen says", address)
	case netErr != nil && netErr.Timeout():
		return nil, fmt.Errorf("the server at %s did not answer in time: if it is the sensor, it hangs: see its log, and restart it", address)
	case err != nil:
		return nil, fmt.Errorf("request to %s: %w", address, withoutURL(err))
	}
	return response, nil
}

// withoutURL removes the URL, because the caller's message contains the address.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
