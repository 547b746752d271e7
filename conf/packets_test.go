package conf

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOverlappingPacketSourcesGiveAWarning(t *testing.T) {
	const (
		twiceByDnstap = `source "a": when: captures in addition to a dnstap source`
		never         = `source "a": when: there is no dnstap source to wait for`
		twice         = `source "b": resolvers: another source captures packets of the same resolver on the same interface`
	)
	const tap = "source dnstap d {\nlisten = \"unix:///run/d.sock\"\n}\n"
	packets := func(name, inside string) string { return "source pcap " + name + " {\n" + inside + "}\n" }
	const (
		eth1   = "interface = \"eth1\"\n"
		all    = "interface = \"any\"\n"
		idle   = "when = \"idle\"\n"
		one    = "resolvers = [\"192.0.2.53\"]\n"
		around = "resolvers = [\"198.51.100.1\", \"192.0.2.0/24\"]\n"
		apart  = "resolvers = [\"2001:db8::/32\", \"192.0.2.54\"]\n"
	)
	for name, tt := range map[string]struct {
		src  string
		want []string
	}{
		"only packets":                 {packets("a", eth1+one), nil},
		"always, with dnstap":          {packets("a", eth1+one) + tap, []string{twiceByDnstap}},
		"idle, with dnstap":            {packets("a", eth1+one+idle) + tap, nil},
		"idle without dnstap":          {packets("a", eth1+one+idle), []string{never}},
		"overlapping":                  {packets("a", eth1+one) + packets("b", eth1+around), []string{twice}},
		"overlapping, any":             {packets("a", eth1+one) + packets("b", all+around), []string{twice}},
		"overlapping, any first":       {packets("a", all+around) + packets("b", eth1+one), []string{twice}},
		"different resolvers":          {packets("a", eth1+one) + packets("b", eth1+apart), nil},
		"different interfaces":         {packets("a", eth1+one) + packets("b", "interface = \"eth2\"\n"+one), nil},
		"no interfaces, as for replay": {packets("a", all+one) + packets("b", one), nil},
	} {
		if got := problems(mustParse(t, tt.src+decided)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestParseResolversReadsElementsOfTheAttribute(t *testing.T) {
	got, err := ParseResolvers("192.0.2.53, 2001:db8::/32,198.51.100.0/24")
	if diff := cmp.Diff(prefixes("192.0.2.53/32", "2001:db8::/32", "198.51.100.0/24"), got, sameAddresses); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for list, want := range map[string]string{
		"":                      `"": not an IP address`,
		"192.0.2.53,":           `"": not an IP address`,
		"192.0.2.53,no-address": `"no-address": not an IP address`,
		"192.0.2.53/24":         `"192.0.2.53/24": bits are set after the prefix: the network is "192.0.2.0/24"`,
		"192.0.2.53,0.0.0.0/0":  `"0.0.0.0/0": every address is inside, those of servers and clients too`,
		"0.0.0.0/32":            `"0.0.0.0/32": the unspecified address identifies no host`,
	} {
		if _, err := ParseResolvers(list); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", list, err, want)
		}
	}
}
