package rrset

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"time"
)

// benchTable returns a table with room for n entries, and a flood that filled it.
func benchTable(b *testing.B, n int) (*Table, *flood) {
	b.Helper()
	table, err := NewTable(Limits{Window: time.Hour, MaxEntries: n, MaxBytes: 1 << 30}, func(*Aggregate) {})
	if err != nil {
		b.Fatal(err)
	}
	f := newFlood()
	f.observe(b, table, n)
	return table, f
}

const benchEntries = 1 << 17

// BenchmarkObserve measures known RRsets in random order, and RRsets of which each evicts another.
func BenchmarkObserve(b *testing.B) {
	b.Run("hit", func(b *testing.B) {
		table, f := benchTable(b, benchEntries)
		now := time.Duration(f.next)
		b.ReportAllocs()
		for at := uint64(0); b.Loop(); at += 0x9e3779b97f4a7c15 {
			binary.BigEndian.PutUint64(f.set.Name[1:], at%benchEntries)
			if err := table.Observe(f.set, once(1), 0, now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("miss", func(b *testing.B) {
		table, f := benchTable(b, benchEntries)
		b.ReportAllocs()
		for b.Loop() {
			f.observe(b, table, 1)
		}
	})
}

func BenchmarkSaveAndLoad(b *testing.B) {
	table, f := benchTable(b, benchEntries)
	var state bytes.Buffer
	if err := table.Save(&state, time.Duration(f.next)); err != nil {
		b.Fatal(err)
	}
	b.Run("save", func(b *testing.B) {
		b.SetBytes(int64(state.Len()))
		b.ReportAllocs()
		for b.Loop() {
			if err := table.Save(io.Discard, time.Duration(f.next)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		b.SetBytes(int64(state.Len()))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := LoadTable(bytes.NewReader(state.Bytes()), table.limits, 0, func(*Aggregate) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
