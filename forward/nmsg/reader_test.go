package nmsg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// three returns three containers of two payloads each, and all payloads.
func three(t testing.TB) (containers [3][]byte, payloads []Payload) {
	t.Helper()
	payloads = payloadsOf(t, 6)
	for i := range containers {
		containers[i] = sealed(payloads[2*i:2*i+2], seqID, uint32(i))
	}
	return containers, payloads
}

// damaged is damage that a test expects.
type damaged struct {
	offset int
	text   string // part of the error
}

func checkDamage(t *testing.T, want []damaged, got []*DamageError) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("damage %v, want %v", got, want)
	}
	for i := range want {
		if got[i].Offset != int64(want[i].offset) || !strings.Contains(got[i].Error(), want[i].text) {
			t.Errorf("damage %q, want offset %d and %q", got[i], want[i].offset, want[i].text)
		}
	}
}

func TestDamageIsReportedAndTheRestIsRead(t *testing.T) {
	c, p := three(t)
	size := len(c[0])
	all := slices.Concat(c[:]...)
	edited := func(edit func(second []byte)) []byte {
		b := bytes.Clone(all)
		edit(b[size : 2*size])
		return b
	}
	outer := slices.Concat(p[:2], p[4:])
	dataStart := headerLen + bytes.Index(c[1][headerLen:], query[:12])
	for _, tc := range []struct {
		name   string
		in     []byte
		want   []Payload
		damage []damaged
	}{
		{"none", all, p, nil},
		{"empty input", nil, nil, nil},
		{"garbage in front", slices.Concat([]byte("garbage"), all), p, []damaged{{0, "no NMSG header"}}},
		{"garbage between", slices.Concat(c[0], []byte("some NMS garbage NMSG\x00\x03"), c[1], c[2]), p, []damaged{{size, "no NMSG header"}}},
		{"garbage at the end", slices.Concat(all, []byte("garbage and more")), p, []damaged{{3 * size, "no NMSG header"}}},
		{"half a header at the end", slices.Concat(all, all[:5]), p, []damaged{{3 * size, "a header of 10 bytes ends after 5"}}},
		{"only garbage", bytes.Repeat([]byte("NMSG"), 1000), nil, []damaged{{0, "NMSG version"}}},
		{"last container cut", all[:3*size-20], p[:4], []damaged{{2 * size, "ends after"}}},
		{"middle container cut", slices.Concat(c[0], c[1][:size-20], c[2]), outer, []damaged{{size, "protobuf"}}},
		{"header of the middle damaged", edited(func(b []byte) { b[1] = 'X' }), outer, []damaged{{size, "no NMSG header"}}},
		{"version of the middle", edited(func(b []byte) { b[5] = 9 }), outer, []damaged{{size, "version 9"}}},
		{"flags of the middle", edited(func(b []byte) { b[4] = 0x80 }), outer, []damaged{{size, "flags"}}},
		{"zlib flag on what is not", edited(func(b []byte) { b[4] = flagZlib }), outer, []damaged{{size, "at most"}}},
		{"fragment flag on what is not", edited(func(b []byte) { b[4] = flagFragment }), outer, []damaged{{size, "fragment"}}},
		{"length over the bound", edited(func(b []byte) { b[6] = 0xff }), outer, []damaged{{size, "at most"}}},
		{"length beyond the end", edited(func(b []byte) { b[7] = 0x10 }), outer, []damaged{{size, "ends after"}}},
		{"length too small by one", edited(func(b []byte) { b[9]-- }), outer, []damaged{{size, "protobuf"}}},
		{"length swallows the next", edited(func(b []byte) { b[8] += 1 }), outer, []damaged{{size, "protobuf"}}},
		{"length 0", edited(func(b []byte) { clear(b[6:10]) }), outer, []damaged{{size + headerLen, "no NMSG header"}}},
		{"protobuf of the middle", edited(func(b []byte) { b[headerLen] = 7 }), outer, []damaged{{size, "protobuf"}}},
		{"a bit of the third payload", edited(func(b []byte) { b[dataStart] ^= 1 }),
			slices.Concat(p[:2], p[3:]), []damaged{{size, "payload 0: its CRC does not match"}}},
		{"a payload without its type", edited(func(b []byte) { b[headerLen+3+2] = 0x58 }),
			slices.Concat(p[:2], p[3:]), []damaged{{size, "required field is missing: field 2"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for name, in := range map[string]io.Reader{
				"whole": bytes.NewReader(tc.in), "byte by byte": iotest.OneByteReader(bytes.NewReader(tc.in)),
				"with the error at once": iotest.DataErrReader(bytes.NewReader(tc.in)),
			} {
				got, damage := readAll(t, NewReader(in))
				t.Log(name)
				checkMessages(t, tc.want, got)
				checkDamage(t, tc.damage, damage)
			}
		})
	}
}

func TestContainerInsideADamagedOneIsIgnored(t *testing.T) {
	c, p := three(t)
	inner := sealed(payloadsOf(t, 1), 99, 0)
	outside := appendHeader(nil, 0)
	outside = appendBytes(outside, 9, inner)
	outside = append(outside, 7) // what no protobuf ends with
	putLength(outside)
	got, damage := readAll(t, NewReader(bytes.NewReader(slices.Concat(c[0], outside, c[1]))))
	checkMessages(t, p[:4], got)
	checkDamage(t, []damaged{{len(c[0]), "protobuf"}}, damage)

	got, damage = readAll(t, NewReader(bytes.NewReader(slices.Concat(c[0], outside))))
	checkMessages(t, p[:2], got)
	checkDamage(t, []damaged{{len(c[0]), "protobuf"}}, damage)
}

func TestReadErrorIsFinal(t *testing.T) {
	c, _ := three(t)
	broken := errors.New("broken disk")
	for _, have := range []int{0, 5, headerLen, 50} {
		r := NewReader(io.MultiReader(bytes.NewReader(c[0]), bytes.NewReader(c[1][:have]), iotest.ErrReader(broken)))
		for range 2 {
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		for calls := 0; ; calls++ {
			_, err := r.Next()
			if errors.Is(err, broken) {
				break
			}
			if calls == 2 {
				t.Fatalf("%d bytes: error %v, want the stream's", have, err)
			}
		}
	}
	r := NewReader(stuck{})
	if _, err := r.Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that gives nothing: %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// The reader must return a message before the next one arrives, because cat reads pipes.
func TestReaderDoesNotReadAhead(t *testing.T) {
	c, _ := three(t)
	pr, pw := io.Pipe()
	written := make(chan error, 1)
	go func() {
		_, err := pw.Write(c[0])
		written <- err
	}()
	r := NewReader(pr)
	for range 2 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	pw.Close()
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("error %v, want EOF", err)
	}
}

func TestFileOfFragmentsIsRead(t *testing.T) {
	payloads := payloadsOf(t, 30)
	a, b := sealed(payloads[:10], seqID, 0), sealed(payloads[10:20], seqID, 1)
	whole := sealed(payloads[20:], seqID, 2)
	fa, fb := cut(a, MinSize, 1), cut(b, MinSize, 2)
	mixed := slices.Concat(fa[1:]...)
	mixed = append(mixed, slices.Concat(fb[:2]...)...)
	mixed = append(mixed, fa[0]...)
	mixed = append(mixed, fa[1]...) // again, when all is done
	mixed = append(mixed, slices.Concat(fb[2:]...)...)
	checkMessages(t, payloads, readWhole(t, append(mixed, whole...)))

	got, damage := readAll(t, NewReader(bytes.NewReader(slices.Concat(whole, fa[0], slices.Concat(fb...)))))
	checkMessages(t, slices.Concat(payloads[20:], payloads[10:20]), got)
	checkDamage(t, []damaged{{len(whole), fmt.Sprintf("fragments are missing: 1 of %d arrived", len(fa))}}, damage)
}

func TestPayloadsWithoutCRCsAreTaken(t *testing.T) {
	p := payloadsOf(t, 1)
	b := appendHeader(nil, 0)
	b = appendBytes(b, containerPayloads, p[0].Bytes)
	putLength(b)
	checkMessages(t, p, readWhole(t, b))
}

// Containers overlap, and each is invalid only at its end: reading them must not take
// quadratic time.
func TestOverlappingContainersDoNotTakeQuadraticTime(t *testing.T) {
	inner := appendHeader(nil, 0)
	inner[7], inner[9] = 0x10, 1 // 1 MiB and a byte: ends inside a field
	overlapping := appendBytes(nil, 9, inner)
	b := append(bytes.Repeat(overlapping, 4<<20/len(overlapping)), make([]byte, 1<<20)...)
	c, p := three(t)
	got, damage := readAll(t, NewReader(bytes.NewReader(append(b, c[0]...))))
	if len(damage) < 10 || len(damage) > 1000 {
		t.Errorf("%d containers were tried", len(damage))
	}
	checkMessages(t, p[:2], got)
}

// The inflated bytes of a valid container do not count as rejected.
func TestLengthsAreCheckedAfterALargeContainer(t *testing.T) {
	c, p := three(t)
	large := appendHeader(nil, 0)
	large = append(large, 9<<3|2)
	large = append(large, 0xf0, 0xff, 0xff, 7) // 16 MiB less 16 bytes
	large = append(large, make([]byte, maxBody-16)...)
	putLength(large)
	liar := bytes.Clone(c[1])
	liar[8]++
	first := deflated(t, large)
	start, size := len(first), len(liar)
	got, damage := readAll(t, NewReader(bytes.NewReader(slices.Concat(first, liar, liar, liar, c[0]))))
	checkMessages(t, p[:2], got)
	checkDamage(t, []damaged{{start, "protobuf"}, {start + size, "protobuf"}, {start + 2*size, "protobuf"}}, damage)
}

func TestGapsAreReported(t *testing.T) {
	p := payloadsOf(t, 1)
	var b []byte
	for _, seq := range []uint32{7, 8, 11, 12} {
		b = append(b, sealed(p, seqID, seq)...)
	}
	b = append(b, sealed(p, 5, 100)...)
	var gaps []Gap
	r := NewReader(bytes.NewReader(b))
	r.OnGap(func(g Gap) { gaps = append(gaps, g) })
	readAll(t, r)
	if diff := cmp.Diff([]Gap{{SequenceID: seqID, Expected: 9, Got: 11}}, gaps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := gaps[0].Missing(); n != 2 {
		t.Errorf("%d missing, want 2", n)
	}
}
