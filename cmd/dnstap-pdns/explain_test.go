package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/explain"
)

// reportOf runs explain and returns the report, with its version replaced.
func reportOf(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := runExplain(t.Context(), args, stdio{out: &out, err: io.Discard})
	return regexp.MustCompile(`(?m)(^version {8}|^  "version": ").*?("?,)?$`).ReplaceAllString(out.String(), "${1}VERSION${2}"), err
}

// TestReportsOfCaptures compares whole reports, as text and JSON, with files that a person has
// checked.
func TestReportsOfCaptures(t *testing.T) {
	const captures = "../../transform/testdata/captures/"
	for name, args := range map[string][]string{
		"unbound.txt":  {"-c", "testdata/explain/site.hcl", "--hex", "--canary", "192.0.2.53", "--canary", "corp.example", "demo.fstrm"},
		"unbound.json": {"-c", "testdata/explain/site.hcl", "--json", "--canary", "corp.example", "demo.fstrm"},
		"found.txt":    {"--canary", "corp.example", "--canary", "UNIV.example", "demo.fstrm"},
		"bind.txt":     {captures + "bind.fstrm"},
		"pdns.txt":     {captures + "pdns.fstrm"},
		"packets.txt":  {"--hex", "--resolvers", "192.0.2.53,2001:db8:53::/64", "testdata/unbound.pcap"},
	} {
		got, err := reportOf(t, args...)
		if found := name == "found.txt"; errors.Is(err, errCanary) != found || !found && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Assert(t, got, filepath.Join("explain", name))
	}
}

// TestScrubberFindsFormsItOnceMissed: each input contains something forbidden in a form that
// the scrubber once did not recognise.
func TestScrubberFindsFormsItOnceMissed(t *testing.T) {
	for name, config := range map[string]string{
		"search":                   "corp.hcl",
		"local-name-in-the-middle": "corp.hcl",
		"utf8":                     "u-labels.hcl",
		"u-labels":                 "a-labels.hcl",
		"names":                    "corp.hcl",
		"forgotten-address":        "corp.hcl",
		"client-subnet-in-text":    "corp.hcl",
		"refused-by-the-root":      "corp.hcl",
		"loopback-learned":         "corp.hcl",
	} {
		got, err := reportOf(t, "-c", "testdata/cases/"+config, "testdata/cases/"+name+".fstrm")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Assert(t, got, filepath.Join("cases", name+".txt"))
	}
}

// TestReportOfASocketEqualsThatOfAFile sends the capture to a socket. The reports differ only in the
// input. A signal ends listening before the time of --for.
func TestReportOfASocketEqualsThatOfAFile(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	p := startCommand(t, "explain", "--json", "--canary", "corp.example", "--for", "1h", "unix://"+socket)
	await(t, "the socket exists", func() bool {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	if frames, err := playCapture(t.Context(), socket); err != nil || frames != 355 {
		t.Fatalf("%d frames, %v", frames, err)
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var live, file explain.Report
	if err := json.NewDecoder(p.out).Decode(&live); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != exitCanary {
		t.Errorf("exit %d, want %d: %s", code, exitCanary, &p.errs)
	}
	report, err := reportOf(t, "--json", "--canary", "corp.example", "demo.fstrm")
	if !errors.Is(err, errCanary) {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(report), &file); err != nil {
		t.Fatal(err)
	}
	if want := []explain.Input{{Name: "unix://" + socket}}; !cmp.Equal(want, live.Inputs) {
		t.Errorf("inputs: got %v, want %v", live.Inputs, want)
	}
	live.Inputs, live.Command, live.Version = file.Inputs, file.Command, file.Version
	for i := range live.Output { // the two lanes may end containers at other records
		live.Output[i].Containers = file.Output[i].Containers
	}
	if diff := cmp.Diff(file, live); diff != "" {
		t.Errorf("(-file +socket):\n%s", diff)
	}
}

// TestExplainDoesNotReplaceTheSocketOfASensor: the sensor still listens afterwards.
func TestExplainDoesNotReplaceTheSocketOfASensor(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	sensor, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer sensor.Close()
	got, err := reportOf(t, "unix://"+socket)
	if err == nil || !strings.Contains(err.Error(), "another process listens there; stop it, or choose another path") || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestExplainListensLikeTheConfiguredSource checks the mode of the socket.
func TestExplainListensLikeTheConfiguredSource(t *testing.T) {
	dir := t.TempDir()
	socket, config := filepath.Join(dir, "tap.sock"), filepath.Join(dir, "c.hcl")
	hcl := "source \"dnstap\" \"tap\" {\n  listen = \"unix://" + socket + "\"\n  mode = \"0600\"\n}\n"
	if err := os.WriteFile(config, []byte(hcl), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- runExplain(ctx, []string{"-c", config, "unix://" + socket}, stdio{out: io.Discard, err: io.Discard})
	}()
	await(t, "the socket exists", func() bool {
		info, err := os.Stat(socket)
		return err == nil && info.Mode().Perm() == 0o600
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReportContainsBrokenConnections, as it contains damage to a file.
func TestReportContainsBrokenConnections(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "tap.sock")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- runExplain(ctx, []string{"unix://" + socket}, stdio{out: &out, err: io.Discard})
	}()
	var conn net.Conn
	await(t, "the socket exists", func() bool {
		var err error
		conn, err = net.Dial("unix", socket)
		return err == nil
	})
	defer conn.Close()
	w, err := framestream.NewWriter(conn, &framestream.WriterOptions{ContentTypes: [][]byte{dnstap.FSContentType}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteFrame(resolverResponse(t, "www.test-tld.", "198.51.100.80", "192.0.2.53")); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("\x00\x00\x00\x00\xff\xff\xff\xff")); err != nil { // a control frame of that length
		t.Fatal(err)
	}
	io.Copy(io.Discard, conn) // until it is closed
	stop()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "1 connections were closed because of broken framing") {
		t.Errorf("got %v", err)
	}
	if got := out.String(); !strings.Contains(got, "\nIncomplete: unix://") || !strings.Contains(got, " 0 of 1 output records") {
		t.Errorf("got\n%.1000s", got)
	}
}

// TestReportOfAStoppedExplainIsIncomplete stops explain within a file.
func TestReportOfAStoppedExplainIsIncomplete(t *testing.T) {
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer feed.Close()
	go feed.Write(demoCapture[:len(demoCapture)/2])
	ctx, stop := context.WithTimeout(t.Context(), patience/60)
	defer stop()
	var out bytes.Buffer
	err = runExplain(ctx, []string{"-"}, stdio{in: in, out: &out, err: io.Discard})
	if !errors.Is(err, errStopped) || !strings.Contains(out.String(), "Incomplete: stopped by a signal before the end of its input") {
		t.Errorf("got %v:\n%s", err, &out)
	}
}

// TestEndlessInputOfNoFormatIsRefused without reading it to the end.
func TestEndlessInputOfNoFormatIsRefused(t *testing.T) {
	err := runExplain(t.Context(), []string{"/dev/zero"}, stdio{out: io.Discard, err: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "/dev/zero") {
		t.Errorf("got %v", err)
	}
}

// TestAddressOfALaterMessageIsFoundInTheFirstRecord: a sensor does not know the address in
// time, but explain reads its input twice.
func TestAddressOfALaterMessageIsFoundInTheFirstRecord(t *testing.T) {
	const many = 3000 // records, more than a batch takes
	frames := [][]byte{resolverResponse(t, "whoami.test-tld.", "192.0.2.77", "192.0.2.53")}
	for i := range many {
		frames = append(frames, resolverResponse(t, fmt.Sprintf("host%d.test-tld.", i), "198.51.100.80", "192.0.2.53"))
	}
	frames = append(frames, resolverResponse(t, "last.test-tld.", "198.51.100.80", "192.0.2.77"))
	got, err := reportOf(t, captureOf(t, frames...))
	want := fmt.Sprintf("resolver address appears in 1 of %d output records\n  192.0.2.77: known from messages\n", many+2)
	if !errors.Is(err, errCanary) || !strings.Contains(got, want) {
		t.Errorf("got %v and no %q in\n%.2000s", err, want, got)
	}
}

// TestRecordThatCannotBeSearchedIsAnErrorForCanaries: a record that the library refuses may
// contain a canary. Without canaries the report mentions it, and there is no error.
func TestRecordThatCannotBeSearchedIsAnErrorForCanaries(t *testing.T) {
	const wire = "\x00\x00\x84\x00\x00\x01\x00\x02\x00\x00\x00\x00" + "\x01x\x08test-tld\x00\x00\x10\x00\x01" +
		"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x10\x05x=uni\x09v.example" +
		"\xc0\x0c\x00\x40\x00\x01\x00\x00\x00\x3c\x00\x05\x00\x01\x00\x00\x05" // parameters of half a number
	path := captureOf(t, resolverFrame(t, []byte(wire), "192.0.2.53"))
	got, err := reportOf(t, "--canary", "univ.example", path)
	if !errors.Is(err, errCanary) {
		t.Errorf("cut into strings: got %v:\n%.1000s", err, got)
	}
	got, err = reportOf(t, "--json", "--canary", "other.example", path)
	if err == nil || errors.Is(err, errCanary) || !strings.Contains(got, `"1 records of dnsqr hold a message that miekg/dns does not read`) {
		t.Errorf("got %v:\n%.1000s", err, got)
	}
	got, err = reportOf(t, path)
	if err != nil || !strings.Contains(got, "\n1 records of dnsqr hold a message that miekg/dns does not read") {
		t.Errorf("without canaries: got %v:\n%.1000s", err, got)
	}
}

// captureOf writes a file of dnstap frames, and returns its path.
func captureOf(t *testing.T, frames ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture.fstrm")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := framestream.NewWriter(f, &framestream.WriterOptions{ContentTypes: [][]byte{dnstap.FSContentType}})
	if err != nil {
		t.Fatal(err)
	}
	for _, frame := range frames {
		if _, err := w.WriteFrame(frame); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// resolverResponse returns a dnstap frame with a response to a resolver.
func resolverResponse(t *testing.T, name, answer, resolver string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Response, m.RecursionDesired = true, false
	m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(answer)}}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return resolverFrame(t, wire, resolver)
}

// resolverFrame returns a dnstap frame with wire as a response, valid or not.
func resolverFrame(t *testing.T, wire []byte, resolver string) []byte {
	t.Helper()
	frame, err := proto.Marshal(&dnstap.Dnstap{
		Type: dnstap.Dnstap_MESSAGE.Enum(),
		Message: &dnstap.Message{
			Type:            dnstap.Message_RESOLVER_RESPONSE.Enum(),
			QueryAddress:    net.ParseIP(resolver).To4(),
			ResponseAddress: net.ParseIP("198.51.100.7").To4(),
			ResponsePort:    proto.Uint32(53),
			ResponseTimeSec: proto.Uint64(1_767_323_045),
			ResponseMessage: wire,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return frame
}
