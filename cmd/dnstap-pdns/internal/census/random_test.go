package census

import (
	"testing"
)

// TestRandomLabelsAreFound repeats the measurement in the comment of looksRandom.
func TestRandomLabelsAreFound(t *testing.T) {
	var next uint64
	draw := func(n int) int { // xorshift: the same labels in every run
		next ^= next << 13
		next ^= next >> 7
		next ^= next << 17
		return int(next % uint64(n))
	}
	for alphabet, atLeast := range map[string]float64{
		"abcdefghijklmnopqrstuvwxyz":           0.90,
		"abcdefghijklmnopqrstuvwxyz234567":     0.97,
		"abcdefghijklmnopqrstuvwxyz0123456789": 0.98,
		"0123456789abcdef":                     0.70,
	} {
		const tries = 2000
		next = 1
		found := 0
		for range tries {
			b := make([]byte, shortestRandom)
			for i := range b {
				b[i] = alphabet[draw(len(alphabet))]
			}
			if looksRandom(string(b)) {
				found++
			}
		}
		if share := float64(found) / tries; share < atLeast {
			t.Errorf("%s: got %.3f, want %.2f or more", alphabet, share, atLeast)
		}
	}
}

func TestThereAreTwoHundredPairs(t *testing.T) {
	n := 0
	for _, next := range pairs {
		n += len(next)
	}
	if n != 200 {
		t.Errorf("got %d pairs", n)
	}
}
