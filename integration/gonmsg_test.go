package integration

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

const goNMSGPackage = "/usr/share/gocode/src/github.com/farsightsec/go-nmsg"

// goNMSG builds testdata/gonmsg, once, against Farsight's library as packaged by Debian. It
// uses GOPATH mode, so that the module does not depend on the library.
var goNMSG = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(filepath.Dir(sensorBinary), "gonmsg")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = "testdata/gonmsg"
	cmd.Env = append(os.Environ(), "GO111MODULE=off", "GOPATH=/usr/share/gocode", "GOFLAGS=", "GOWORK=off")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		return out.String(), err
	}
	return binary, nil
})

// checkIndependently decodes the same bytes, a file or concatenated datagrams, with other
// readers and compares the results: Farsight's library reads containers, fragments, payloads
// and the types dnsqr and dnstap, protobuf reads the type dnsobs. nmsgcheck decodes the DNS
// messages with miekg/dns.
func checkIndependently(t *testing.T, data []byte, containers []nmsgcheck.Container, records []nmsgcheck.Record) {
	t.Helper()
	counted := checkReaders(t, data, records)
	whole := farsightCounts{InputContainers: len(containers)}
	for _, c := range containers {
		if c.Datagrams > 1 {
			whole.InputFragments += c.Datagrams
		}
	}
	if d := cmp.Diff(whole, counted); d != "" {
		t.Errorf("counts of Farsight's library differ (-nmsgcheck +Farsight):\n%s", d)
	}
}

// checkReaders compares records with those that Farsight's library and protobuf read. It returns
// the counters of Farsight's library.
func checkReaders(t *testing.T, data []byte, records []nmsgcheck.Record) farsightCounts {
	t.Helper()
	got, counted := readByFarsight(t, data)
	want := make([]any, 0, len(records))
	for _, r := range records {
		want = append(want, jsonForm(t, expected(t, r)))
	}
	for i := range min(len(got), len(want)) {
		if d := cmp.Diff(want[i], got[i]); d != "" {
			t.Errorf("record %d differs between readers (-nmsgcheck +Farsight, protobuf):\n%s", i, d)
			break // the next records would differ in the same way
		}
	}
	if len(got) != len(want) {
		t.Errorf("Farsight's library reads %d records, nmsgcheck %d", len(got), len(want))
	}
	return counted
}

// farsightCounts contains the library's counters.
type farsightCounts struct {
	InputContainers, InputFragments                     int
	LostContainers, ExpiredFragments, PartialContainers int
}

// readByFarsight returns the payloads as testdata/gonmsg prints them, each with its message,
// and the library's counters.
func readByFarsight(t *testing.T, data []byte) (all []any, counted farsightCounts) {
	t.Helper()
	if _, err := os.Stat(goNMSGPackage); err != nil {
		t.Fatalf("%v: apt-get install golang-github-farsightsec-go-nmsg-dev (make test does)", err)
	}
	binary, err := goNMSG()
	if err != nil {
		t.Fatalf("build testdata/gonmsg: %v\n%s", err, binary)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Stdin = bytes.NewReader(data)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("gonmsg: %v\n%s", err, &stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(printed)); d.More(); {
		var line struct {
			Payload struct{ Payload []byte }
			Counted *farsightCounts
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &line); err != nil {
			t.Fatal(err)
		}
		if line.Counted != nil {
			return all, *line.Counted
		}
		record := jsonForm(t, raw).(map[string]any)
		if record["Message"] == nil {
			record["Message"] = jsonForm(t, readDNSObs(t, line.Payload.Payload))
		}
		all = append(all, record)
	}
	t.Fatal("the output of gonmsg has no final line with counters")
	return nil, counted
}

// jsonForm converts a value to JSON and back, so that values of different types compare.
func jsonForm(t *testing.T, v any) (form any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &form); err != nil {
		t.Fatal(err)
	}
	return form
}

// fields is a protobuf message in protobuf's JSON form: 64-bit integers are strings, bytes
// are base64, and fields that are not set are absent.
type fields map[string]any

// setUnless sets a field, unless it is absent in the record.
func (f fields) setUnless(absent bool, name string, value any) {
	if !absent {
		f[name] = value
	}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// expected returns the message that other readers must decode from this record.
func expected(t *testing.T, r nmsgcheck.Record) any {
	t.Helper()
	p := r.Payload
	payload := fields{
		"vid": p.Vendor, "msgtype": p.Type, "time_sec": decimal(p.Time.Unix()), "time_nsec": p.Time.Nanosecond(), "payload": p.Message,
	}
	payload.setUnless(p.Source == 0, "source", p.Source)
	payload.setUnless(p.Operator == 0, "operator", p.Operator)
	payload.setUnless(p.Group == 0, "group", p.Group)
	message := map[string]func(*testing.T, nmsgcheck.Record) fields{
		"dnsqr": expectedDNSQR, "dnstap": expectedDnstap, "dnsobs": expectedDNSObs,
	}[r.TypeName]
	return fields{"Payload": payload, "Message": message(t, r)}
}

func expectedDNSQR(t *testing.T, r nmsgcheck.Record) fields {
	m := fields{
		"type": r.Kind, "query_ip": r.Resolver.AsSlice(), "response_ip": r.Server.AsSlice(), "proto": 17,
		"query_port": r.ResolverPort, "response_port": r.ServerPort, "id": r.ID,
		"qname": wire(t, r.Name), "qtype": r.Type, "qclass": r.Class,
	}
	m.setUnless(r.Response == nil, "rcode", r.Rcode)
	m.setUnless(r.Checksum == 0, "udp_checksum", r.Checksum)
	m.setUnless(r.Timeout == nil, "timeout", r.Timeout)
	m.setUnless(!r.Zeroed, "resolver_address_zeroed", r.Zeroed)
	half := func(name string, p *nmsgcheck.Packet, at time.Time) {
		if p != nil {
			m[name+"_packet"] = [][]byte{p.Raw}
			m[name+"_time_sec"] = []string{decimal(at.Unix())}
			m[name+"_time_nsec"] = []int{at.Nanosecond()}
		}
	}
	half("query", r.QueryPacket, r.QueryTime)
	half("response", r.ResponsePacket, r.ResponseTime)
	return m
}

func expectedDnstap(t *testing.T, r nmsgcheck.Record) fields {
	m := fields{
		"type": r.Kind, "socket_family": r.Family, "socket_protocol": r.Protocol,
		"query_address": r.Resolver.AsSlice(), "query_port": r.ResolverPort,
		"response_address": r.Server.AsSlice(), "response_port": r.ServerPort,
	}
	m.setUnless(r.Query == nil, "query_message", r.QueryWire)
	m.setUnless(r.Response == nil, "response_message", r.Wire)
	if r.Zone != "" {
		m["query_zone"] = wire(t, r.Zone)
	}
	half := func(name string, at time.Time) {
		m.setUnless(at.IsZero(), name+"_time_sec", decimal(at.Unix()))
		m.setUnless(at.IsZero(), name+"_time_nsec", at.Nanosecond())
	}
	half("query", r.QueryTime)
	half("response", r.ResponseTime)
	return fields{"type": 1, "message": m}
}

// wire returns a name in wire form.
func wire(t *testing.T, name string) []byte {
	t.Helper()
	return slices.Concat(labels(t, name), []byte{0})
}
