package transform

import (
	"strings"
	"testing"

	"golang.org/x/net/publicsuffix"
)

// A zone that is given twice, below another, or as a public suffix is a mistake: it
// changes nothing, or drops names that are no lookups.
func TestDefaultLookupZonesAreDistinctZones(t *testing.T) {
	zones := DefaultLookupZones()
	if len(zones) < 80 {
		t.Errorf("%d zones: the table is incomplete", len(zones))
	}
	for i, zone := range zones {
		if name, err := ParseLocalName(zone); err != nil || name != zone {
			t.Errorf("%q reads as %q, %v", zone, name, err)
		}
		if suffix, _ := publicsuffix.PublicSuffix(zone); suffix == zone {
			t.Errorf("%q is a public suffix", zone)
		}
		for j, other := range zones {
			if i != j && (zone == other || strings.HasSuffix(zone, "."+other)) {
				t.Errorf("%q is covered by %q", zone, other)
			}
		}
	}
}
