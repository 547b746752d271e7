package census

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A spelling generates names or texts in which a kind must be found.
type spelling struct {
	kind string
	text *rapid.Generator[string]
}

func spellings() []spelling {
	octets := func(n int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), n, n) }
	digits := func(n int) *rapid.Generator[string] {
		return rapid.Map(octets(n/2), hex.EncodeToString).Filter(mixed)
	}
	v4 := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("198.%d.%d.%d", rapid.IntRange(18, 19).Draw(t, "b"), rapid.Byte().Draw(t, "c"), rapid.IntRange(1, 255).Draw(t, "d"))
	})
	v6 := rapid.Custom(func(t *rapid.T) string {
		a := [16]byte(append([]byte{0x20, 1, 0xd, 0xb8}, octets(12).Draw(t, "rest")...))
		return netip.AddrFrom16(a).StringExpanded()
	})
	return []spelling{
		{"address", v4},
		{"address", rapid.Map(v4, func(s string) string { return "host-" + strings.ReplaceAll(s, ".", "-") })},
		{"address", rapid.Map(v6, func(s string) string { return strings.ReplaceAll(s, ":", "-") })},
		{"address", rapid.Map(v6, func(s string) string { return strings.ReplaceAll(s, ":", "") })},
		{"address", rapid.Map(v6, func(s string) string { return strings.TrimSuffix(reverse(s, ""), ".") })},
		{"mac_address", rapid.Map(octets(6), func(b []byte) string {
			b[0] &^= 1
			return strings.ReplaceAll(net.HardwareAddr(b).String(), ":", "-")
		}).Filter(mixed)},
		{"uuid", rapid.Map(octets(16), func(b []byte) string {
			return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
		})},
		{"long_hex", rapid.Map(digits(40), func(s string) string { return s })},
		{"mail_address", rapid.Map(rapid.StringMatching(`zz[a-y]{3,10}`), func(s string) string { return s + `\@corp` })},
		{"telephone", rapid.Map(rapid.StringMatching(`[0-9]{7,15}`), func(s string) string {
			return strings.Join(strings.Split(s, ""), ".")
		})},
		{"telephone", rapid.StringMatching(`\+[1-9][0-9]{7,14}`)},
		{"web_token", rapid.Map(octets(12), func(b []byte) string {
			return strings.ToLower(base64.RawURLEncoding.EncodeToString(append([]byte(`{"alg":"`), b...)))
		})},
	}
}

func TestEveryKindIsFoundInGeneratedNames(t *testing.T) {
	for i, s := range spellings() {
		t.Run(strconv.Itoa(i)+s.kind, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				before := rapid.SampledFrom([]string{"", "www.", "a.b-c."}).Draw(t, "before")
				text := before + s.text.Draw(t, "name") + ".tracker-test.com."
				if got := kindsOf(text); !slices.Contains(got, s.kind) {
					t.Fatalf("%s: got %v, want %s", text, got, s.kind)
				}
			})
		})
	}
}

// TestWordsWithNumbersHaveNoKind generates names such as people choose. looksRandom takes about
// one in 2,000 of them for random, because words contain rare pairs of letters.
func TestWordsWithNumbersHaveNoKind(t *testing.T) {
	words := []string{"mail", "frontend", "production", "westeurope", "loadbalancer", "storage", "kubernetes", "registry", "gateway",
		"backup", "university", "bibliothek", "rechenzentrum", "internacional", "developpement", "monitoring", "eu", "us", "api", "cdn"}
	numbers := []string{"", "1", "-02", "-2026", "-20261129", "-1-24"}
	const names = 5_000
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of []string) string { return of[random.IntN(len(of))] }
	wrong := 0
	for range names {
		var pieces []string
		for range 1 + random.IntN(5) {
			pieces = append(pieces, one(words))
		}
		text := strings.Join(pieces, one([]string{"", "-"})) + one(numbers) + ".test.com"
		switch got := kindsOf(text); {
		case len(got) == 0:
		case slices.Equal(got, []string{"random_label"}):
			wrong++
		default:
			t.Errorf("%s: got %v, want none", text, got)
		}
	}
	t.Logf("%d of %d names are random labels", wrong, names)
	if wrong > names/500 {
		t.Errorf("%d of %d names are taken for random", wrong, names)
	}
}
