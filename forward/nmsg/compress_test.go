package nmsg

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func deflated(t testing.TB, container []byte) []byte {
	t.Helper()
	var d Deflater
	b, err := d.Append(nil, container)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDeflaterIsReusedAndReadBack(t *testing.T) {
	var d Deflater
	payloads := payloadsOf(t, 40)
	var buf []byte
	var plain int
	for i := 0; i < len(payloads); i += 20 {
		c := sealed(payloads[i:i+20], seqID, uint32(i/20))
		plain += len(c)
		var err error
		if buf, err = d.Append(buf, c); err != nil {
			t.Fatal(err)
		}
	}
	if len(buf) >= plain/2 {
		t.Errorf("%d bytes became %d", plain, len(buf))
	}
	checkMessages(t, payloads, readWhole(t, buf))
}

func TestDeflaterRefusesOtherThanPlainContainers(t *testing.T) {
	var d Deflater
	c := sealed(payloadsOf(t, 1), seqID, 0)
	fragment, _ := AppendFragments(nil, nil, c, MinSize, 1)
	for name, bad := range map[string][]byte{
		"nothing": nil, "no header": []byte("0123456789abc"), "deflated": deflated(t, c), "fragment": fragment,
	} {
		buf := []byte("before")
		if got, err := d.Append(buf, bad); err == nil || !bytes.Equal(got, buf) {
			t.Errorf("%s: buffer %q, error %v", name, got, err)
		}
	}
}

func TestInflaterRefusesWrongLengths(t *testing.T) {
	good := deflated(t, sealed(payloadsOf(t, 3), seqID, 0))[headerLen:]
	for name, damage := range map[string]func(b []byte) []byte{
		"too short for a length": func(b []byte) []byte { return b[:3] },
		"length too small":       func(b []byte) []byte { b[3]--; return b },
		"length too large":       func(b []byte) []byte { b[3]++; return b },
		"length 4 GiB":           func(b []byte) []byte { binary.BigEndian.PutUint32(b, 1<<32-1); return b },
		"length 0":               func(b []byte) []byte { clear(b[:4]); return b },
		"stream cut":             func(b []byte) []byte { return b[:len(b)/2] },
		"stream not zlib":        func(b []byte) []byte { b[4] ^= 0xff; return b },
		"no stream":              func(b []byte) []byte { return b[:4] },
	} {
		var i inflater
		if got, err := i.inflate(damage(bytes.Clone(good))); err == nil {
			t.Errorf("%s: inflated to %d bytes", name, len(got))
		}
		if _, err := i.inflate(good); err != nil {
			t.Errorf("after %s: %v", name, err)
		}
	}
}

// One stream states its true length, above the limit; the other states a wrong length.
func TestInflatingStopsAtTheLimit(t *testing.T) {
	big := appendHeader(nil, 0)
	big = append(big, make([]byte, maxBody+1<<20)...)
	var d Deflater
	d.out.b = binary.BigEndian.AppendUint32(nil, uint32(len(big)))
	if err := d.deflate(big); err != nil {
		t.Fatal(err)
	}
	bomb := d.out.b
	for _, says := range []uint32{uint32(len(big)), maxBody, 10} {
		var i inflater
		binary.BigEndian.PutUint32(bomb, says)
		if _, err := i.inflate(bomb); err == nil {
			t.Errorf("a bomb that says %d was inflated", says)
		}
		if i.out.Cap() > 2*min(int(says), maxBody)+4096 {
			t.Errorf("a bomb that says %d took %d bytes", says, i.out.Cap())
		}
	}
}
