package uncompress

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(r io.Reader) ([]byte, error) {
	in, err := New(r)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// names returns files that the compression tools made from lines.
func names() []string {
	return []string{"lines", "lines.gz", "lines.bz2", "lines.zst", "skippable.zst", "lines.xz", "blocks.xz"}
}

func TestFilesOfEachToolAreRead(t *testing.T) {
	want := file(t, "lines")
	for _, name := range names() {
		for way, r := range map[string]io.Reader{
			"at once":      bytes.NewReader(file(t, name)),
			"byte by byte": iotest.OneByteReader(bytes.NewReader(file(t, name))),
			"with the end": iotest.DataErrReader(bytes.NewReader(file(t, name))),
		} {
			if got, err := read(r); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes, %v; want %d", name, way, len(got), err, len(want))
			}
		}
	}
}

func TestConcatenatedFilesAreRead(t *testing.T) {
	want := bytes.Repeat(file(t, "lines"), 2)
	for _, name := range names() {
		got, err := read(bytes.NewReader(bytes.Repeat(file(t, name), 2)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

func TestTruncationIsAnErrorAfterTheContentBefore(t *testing.T) {
	want := file(t, "lines")
	most := map[string]int{}
	for _, name := range names()[1:] {
		whole := file(t, name)
		for n := longestMagic; n < len(whole); n += 1 + len(whole)/200 {
			if name == "skippable.zst" && n <= 11 { // only a skippable frame
				continue
			}
			got, err := read(bytes.NewReader(whole[:n]))
			if err == nil || !strings.HasSuffix(err.Error(), " data is cut off") || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s, %d of %d bytes: got %v", name, n, len(whole), err)
			}
			if !bytes.HasPrefix(want, got) {
				t.Fatalf("%s, %d of %d bytes: the content is not a prefix of the file", name, n, len(whole))
			}
			most[name] = len(got)
		}
	}
	for _, name := range []string{"lines.gz", "blocks.xz"} {
		if most[name] == 0 {
			t.Errorf("%s: truncated at the end, and no content was read", name)
		}
	}
}

func TestDamageIsAnError(t *testing.T) {
	for _, name := range names()[1:] {
		b := file(t, name)
		for i := len(b) / 2; i < len(b)/2+40; i++ {
			b[i] ^= 0x55
		}
		got, err := read(bytes.NewReader(b))
		if err == nil || err == io.ErrUnexpectedEOF {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, want := range map[string]string{
		"twice.gz":      "is compressed twice, with xz inside of gzip: uncompress it once first",
		"dictionary.xz": "the xz data needs too much memory: uncompress it with xz first: ",
		"window.zst":    "the zstd data needs too much memory: uncompress it with zstd first: ",
	} {
		if _, err := read(bytes.NewReader(file(t, name))); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestErrorsOfTheFileAreWrapped(t *testing.T) {
	failure := errors.New("failure")
	for _, name := range names() {
		whole := file(t, name)
		for _, n := range []int{0, 3, len(whole) / 2} {
			r := io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(failure))
			if _, err := read(r); !errors.Is(err, failure) {
				t.Errorf("%s, after %d bytes: got %v, want %v", name, n, err, failure)
			}
		}
	}
}

func TestShortInputsPassUnchanged(t *testing.T) {
	for _, whole := range []string{"", "B", "BZh", "\x1f\x8b", "\xfd7zXZ"} {
		if got, err := read(strings.NewReader(whole)); err != nil || string(got) != whole {
			t.Errorf("%q: got %q, %v", whole, got, err)
		}
	}
}

// FuzzReader checks that no input causes a panic or endless reading, and that an error
// does not look like the end of the content.
func FuzzReader(f *testing.F) {
	for _, name := range append(names(), "twice.gz", "dictionary.xz", "window.zst", "streams.xz", "tiny.xz") {
		f.Add(file(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := New(bytes.NewReader(b))
		if err != nil {
			return
		}
		defer in.Close()
		if _, err := io.CopyN(io.Discard, in, 1<<20); errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
}
