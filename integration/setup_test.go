package integration

import (
	"encoding/json"
	"os"
	"os/user"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// TestDocumentedSetUp runs the set-ups of docs/resolvers.md, whose addresses are the lab's; only
// the paths are replaced. The resolver runs as its own user. Nothing arrives until the resolver
// may write to the socket; then records arrive without a restart.
func TestDocumentedSetUp(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		s := newSensor(t, w.Namespace)
		here := strings.NewReplacer(
			"/run/dnstap-pdns/", s.dir+"/",
			"/var/cache/bind/", s.dir+"/",
			"/var/lib/unbound/", s.dir+"/",
			"/var/lib/dnstap-pdns/", s.dir+"/first/")
		config := here.Replace(setUpBlock(t, "sensor")+setUpBlock(t, r.name+", sensor")) + jsonLog
		directives := here.Replace(setUpBlock(t, r.name+", resolver"))

		access := regexp.MustCompile(`(?m)^ *(owner|group) .*\n`)
		if !access.MatchString(config) {
			t.Fatalf("no owner and no group in\n%s", config)
		}
		s.run(t, access.ReplaceAllString(config, ""))
		resolver := r.start(w, t, lab.Options{
			Directives: directives,
			AnyAddress: strings.Contains(directives, lab.Resolver4), // the directives set the address
			OwnUser:    true,
		})
		denied := func() bool { return strings.Contains(resolver.Log(t), "Permission denied") }
		if r.name == "Unbound" {
			await(t, "Unbound to log that it may not write to the socket", denied)
		} else if delayFor(r.retry + time.Second); denied() {
			t.Error("the resolver logs that it may not write to the socket, and docs/resolvers.md says that it logs nothing")
		}
		if n := len(s.logged(t, connected)); n > 0 {
			t.Errorf("%d connections of a user without write access to the socket", n)
		}

		s.reload(t, config, "reloaded")
		s.awaitConnection(t, r.retry, 1)
		checkPeer(t, s, resolver.User)
		w.Ask(t, resolver, lab.Questions())
		resolver.Stop(t)
		closing := s.stop(t)

		out := s.written(t, "first")
		checkRecords(t, w.Zones, out)
		checkNothingLeaked(t, out)
		checkBothFamilies(t, out)
		if len(out.records) == 0 || closing.Dropped["not_outward"] > 0 {
			t.Errorf("%d records in the file, %d messages not outward", len(out.records), closing.Dropped["not_outward"])
		}
		t.Logf("%+v", closing.account)
	})
}

// checkPeer checks that all connections are of that user.
func checkPeer(t *testing.T, s *sensor, name string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range s.logged(t, connected) {
		var peer struct{ UID json.Number }
		if err := json.Unmarshal([]byte(line), &peer); err != nil {
			t.Fatal(err)
		}
		if peer.UID.String() != u.Uid {
			t.Errorf("a connection of user %s, want %s (%s)", peer.UID, u.Uid, name)
		}
	}
}

// setUpBlock returns the code block of docs/resolvers.md that follows the comment
// "tried:" with that name.
func setUpBlock(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/resolvers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, marked := strings.Cut(string(text), "<!-- tried: "+name+" -->\n```")
	_, rest, fenced := strings.Cut(rest, "\n")
	block, _, closed := strings.Cut(rest, "```\n")
	if !marked || !fenced || !closed {
		t.Fatalf("docs/resolvers.md has no block marked %q", "tried: "+name)
	}
	return block
}
