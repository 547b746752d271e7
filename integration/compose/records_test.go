package compose

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
	"github.com/miekg/dns"
)

// files returns the files in the container's folder of records, by name. The container may be
// stopped.
func files(container string) (map[string][]byte, error) {
	packed, err := try("", "docker", "cp", container+":/var/lib/dnstap-pdns", "-")
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for r := tar.NewReader(strings.NewReader(packed)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if all[path.Base(h.Name)], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

// recorded reports whether any of the names has a record. A file that is being written may end
// with an incomplete container.
func recorded(container string, names map[string]bool) bool {
	all, err := files(container)
	if err != nil {
		return false
	}
	for _, data := range all {
		containers, _ := nmsgcheck.Containers(data)
		for _, r := range decode(containers) {
			if names[r.Name] {
				return true
			}
		}
	}
	return false
}

func decode(containers []nmsgcheck.Container) (all []nmsgcheck.Record) {
	for _, c := range containers {
		for _, p := range c.Payloads {
			if r, err := nmsgcheck.Decode(p); err == nil {
				all = append(all, r)
			}
		}
	}
	return all
}

// check checks all records of a stopped sensor against the zones, the scrub rules and the
// questions.
func (w *world) check(t *testing.T, container string, asked []string) {
	t.Helper()
	all, err := files(container)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for file, data := range all {
		if !strings.HasSuffix(file, ".nmsg") {
			t.Errorf("unfinished file %s, %d bytes", file, len(data))
			continue
		}
		containers, err := nmsgcheck.Containers(data)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, c := range containers {
			for _, p := range c.Payloads {
				r, err := nmsgcheck.Decode(p)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				names[r.Name] = true
				w.checkRecord(t, r)
			}
		}
		checkNothingLeaked(t, file, data)
	}
	for _, name := range asked {
		if !names[name] {
			t.Errorf("no record of %s", name)
		}
	}
	t.Logf("%d files, records of %d names", len(all), len(names))
}

func (w *world) checkRecord(t *testing.T, r nmsgcheck.Record) {
	t.Helper()
	if err := r.CheckScrubbed(); err != nil {
		t.Error(err)
	}
	if r.Response == nil {
		t.Errorf("%s: a record without a response", r.Name)
		return
	}
	if err := w.Zones.Check(r.Server, r.Response); err != nil {
		t.Error(err)
	}
}

// checkNothingLeaked searches a file for addresses of clients and resolvers and for local names.
func checkNothingLeaked(t *testing.T, file string, data []byte) {
	t.Helper()
	for _, secret := range []string{resolver4, resolver6, client4, lab.Corporate} {
		a := netip.MustParseAddr(secret)
		if bytes.Contains(data, a.AsSlice()) || bytes.Contains(data, []byte(secret)) {
			t.Errorf("%s contains %s", file, secret)
		}
	}
	for _, secret := range []string{"\x04corp\x07example", "\x08intranet", "\x07printer", "corp.example"} {
		if bytes.Contains(bytes.ToLower(data), []byte(secret)) {
			t.Errorf("%s contains %q", file, secret)
		}
	}
}

// lines returns the lab's questions in the client's format.
func lines() string {
	var b strings.Builder
	for _, q := range lab.Questions() {
		if q.NoAnswer || q.Class != 0 {
			continue
		}
		fmt.Fprintln(&b, q.Name, dns.TypeToString[q.Type])
	}
	return b.String()
}

// recordedNames returns names among them that have a record whatever else was asked.
func recordedNames() []string {
	return []string{"shop.com.", "www.shop.com.", "nonexist.shop.com.", "host3.wild.shop.com.", "big.com.", "www.univ.org.", "edge.cdn.net."}
}

// container returns the ID of a service's container.
func container(t *testing.T, service string) string {
	t.Helper()
	id := strings.Fields(call(t, "docker", "ps", "-aq", "--filter", "label=com.docker.compose.project="+project,
		"--filter", "label=com.docker.compose.service="+service))
	if len(id) != 1 {
		t.Fatalf("%d containers of %s: %v", len(id), service, slices.Collect(slices.Values(id)))
	}
	return id[0]
}
