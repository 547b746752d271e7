package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

// TestStatusPrintsThis prints the ledger that package admin's golden file has, which
// has something of everything.
func TestStatusPrintsThis(t *testing.T) {
	const path = "testdata/status.txt"
	raw, err := os.ReadFile("internal/admin/testdata/ledger.json")
	if err != nil {
		t.Fatal(err)
	}
	var l admin.Ledger
	if err := json.Unmarshal(raw, &l); err != nil {
		t.Fatal(err)
	}
	l.Sources[0].Dropped["of_tomorrow"] = 0
	l.Sources[1].Dropped["of_tomorrow"], l.Sources[1].Read, l.Total.Read = 5, l.Sources[1].Read+5, l.Total.Read+5
	l.Total.Dropped["of_tomorrow"] = 5
	var got bytes.Buffer
	printStatus(plainWriter{&got}, &l)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatListensOnEveryAddressIsAskedOnLoopback(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:9353":   "127.0.0.1:9353",
		"0.0.0.0:9353":     "127.0.0.1:9353",
		"[::]:9353":        "[::1]:9353",
		"192.0.2.1:80":     "192.0.2.1:80",
		"sensor.example:1": "sensor.example:1",
	} {
		if got := reachable(listen); got != want {
			t.Errorf("%s: got %s, want %s", listen, got, want)
		}
	}
}
