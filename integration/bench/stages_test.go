package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestParseBench reads the output of go test -bench.
func TestParseBench(t *testing.T) {
	got, err := parseBench(`goos: linux
cpu: Some(R) Processor
BenchmarkStages/simple-2         	       5	116684949 ns/op	       268.0 decoding-ns	      1853 encoding-ns
BenchmarkStages/busyPackets      	       5	116684949 ns/op	        27.5 decoding-ns
PASS
ok  	example.net/x	9.8s
`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]float64{
		"simple":      {"ns/op": 116684949, "decoding-ns": 268, "encoding-ns": 1853},
		"busyPackets": {"ns/op": 116684949, "decoding-ns": 27.5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStageCells computes the cost of a stage from the stage before it.
func TestStageCells(t *testing.T) {
	stages := []stage{{metric: "a"}, {metric: "b"}}
	got, err := stageCells(map[string]float64{"a": 60, "b": 80}, stages, 1)
	if diff := cmp.Diff([]string{"80 ns", "20 ns", "25 %"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := stageCells(map[string]float64{"a": 60}, stages, 0); err == nil {
		t.Error("a missing metric is no error")
	}
}
