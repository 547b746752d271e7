package nmsg

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cut returns the fragments of a container.
func cut(container []byte, size int, id uint32) [][]byte {
	buf, ends := AppendFragments(nil, nil, container, size, id)
	var all [][]byte
	start := 0
	for _, end := range ends {
		all = append(all, buf[start:end])
		start = end
	}
	return all
}

// containerOf returns a container with a body of that length, which an unknown field fills.
func containerOf(t testing.TB, body int) []byte {
	t.Helper()
	b := sealed(payloadsOf(t, 1), seqID, 0)
	pad := body - (len(b) - headerLen)
	const tag, overhead = 9<<3 | 2, 3 // lengths of 128 to 16,383
	if pad < overhead+128 {
		t.Fatalf("a body of %d bytes is too small", body)
	}
	pad -= overhead
	b = append(b, tag, byte(pad)|0x80, byte(pad>>7))
	b = append(b, make([]byte, pad)...)
	putLength(b)
	return b
}

func TestFragmentsReadByOracle(t *testing.T) {
	c := sealed(payloadsOf(t, 10), seqID, 3)
	before := []byte("before")
	buf, ends := AppendFragments(bytes.Clone(before), []int{6}, c, MinSize, 0xfffffff0)
	if !bytes.HasPrefix(buf, before) || ends[0] != 6 || ends[len(ends)-1] != len(buf) {
		t.Fatalf("ends %v of %d bytes", ends, len(buf))
	}
	var body []byte
	for i := range ends[1:] {
		b := buf[ends[i]:ends[i+1]]
		h, err := parseHeader(b)
		if err != nil || h.flags != flagFragment || h.length != len(b)-headerLen || len(b) > MinSize {
			t.Fatalf("fragment %d: header %+v, %v, %d bytes", i, h, err, len(b))
		}
		got := readByOracle(t, "NmsgFragment", b[headerLen:])
		body = append(body, got["fragment"].([]byte)...)
		delete(got, "fragment")
		want := fields{"id": uint32(0xfffffff0), "current": uint32(i), "last": uint32(len(ends) - 2), "crc": wireCRC(checksum(c[headerLen:]))}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fragment %d (-want +got):\n%s", i, diff)
		}
	}
	if !bytes.Equal(body, c[headerLen:]) {
		t.Error("the fragments do not make up the body")
	}
}

func TestFragmentCountAroundExactMultiples(t *testing.T) {
	const room = MinSize - fragmentOverhead
	for n := 2; n < 5; n++ {
		for _, off := range []int{-1, 0, 1} {
			t.Run(fmt.Sprintf("%d%+d", n, off), func(t *testing.T) {
				want := n
				if off > 0 {
					want++
				}
				c := containerOf(t, n*room+off)
				fragments := cut(c, MinSize, 1)
				if len(fragments) != want {
					t.Errorf("%d fragments, want %d", len(fragments), want)
				}
				checkMessages(t, payloadsOf(t, 1), readWhole(t, slices.Concat(fragments...)))
			})
		}
	}
}

func TestFragmentSizeIsLimited(t *testing.T) {
	c := containerOf(t, 10_000)
	for _, size := range []int{-1, 0, 1, MinSize - 1, MinSize, MaxSize, MaxSize + 1, 1 << 40} {
		for _, f := range cut(c, size, 1<<32-1) {
			if len(f) > max(size, MinSize) {
				t.Errorf("size %d: a fragment of %d bytes", size, len(f))
			}
		}
	}
	if got := len(cut(c, MaxSize, 1)); got != 1 {
		t.Errorf("a container that fits comes out as %d fragments", got)
	}
}

func TestFragmentOverheadIsTheLargestPossible(t *testing.T) {
	f := fragment{id: 1<<32 - 1, current: 1<<21 - 1, last: 1<<21 - 1, crc: 1<<32 - 1, data: make([]byte, MaxSize-fragmentOverhead)}
	if got := len(f.append(nil)); got != MaxSize {
		t.Errorf("the largest fragment has %d bytes, want %d", got, MaxSize)
	}
}

func TestCompressedThenCutIsRead(t *testing.T) {
	payloads := payloadsOf(t, 400)
	c := deflated(t, sealed(payloads, seqID, 0))
	fragments := cut(c, MinSize, 9)
	if len(fragments) < 3 {
		t.Fatalf("only %d fragments", len(fragments))
	}
	checkMessages(t, payloads, readWhole(t, slices.Concat(fragments...)))
}
