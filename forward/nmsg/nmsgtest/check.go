package nmsgtest

import "testing"

// CheckPlain fails the test unless b is lines of printable ASCII.
func CheckPlain(t testing.TB, b []byte) {
	t.Helper()
	if len(b) == 0 || b[len(b)-1] != '\n' {
		t.Fatalf("no whole line: %q", b)
	}
	for i, c := range b {
		if c != '\n' && (c < ' ' || c > '~') {
			t.Fatalf("byte %#x at %d of %q", c, i, b)
		}
	}
}
