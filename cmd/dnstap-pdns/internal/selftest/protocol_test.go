package selftest

import (
	"bytes"
	"strings"
	"testing"
)

var badRequests = map[string]string{
	"nothing":         ``,
	"no object":       `["` + aName + `"]`,
	"null":            `null`,
	"cut off":         aRequest[:len(aRequest)-1],
	"data after":      aRequest + `{}`,
	"no decoy":        `{"name": "` + aName + `"}`,
	"another's name":  `{"name": "www.example.com", "decoy": "` + aDecoy + `"}`,
	"another's decoy": `{"name": "` + aName + `", "decoy": "printer.corp.example"}`,
	"one name twice":  `{"name": "` + aName + `", "decoy": "` + aName + `"}`,
	"one label twice": `{"name": "` + aName + `", "decoy": "` + prefix + digits + `.ipv4only.arpa"}`,
	"unknown field":   `{"name": "` + aName + `", "decoy": "` + aDecoy + `", "seconds": 3600}`,
	"a number":        `{"name": 1, "decoy": 2}`,
}

func TestInvalidRequestsAreRefused(t *testing.T) {
	name, decoy, err := parseRequest(strings.NewReader(aRequest + "\n"))
	if err != nil || !bytes.HasPrefix(name.name[1:], name.label) || !bytes.HasSuffix(decoy.name, []byte("\x08ipv4only\x04arpa\x00")) {
		t.Errorf("got %q and %q, %v", name.name, decoy.name, err)
	}
	for what, text := range badRequests {
		if name, decoy, err := parseRequest(strings.NewReader(text)); err == nil {
			t.Errorf("%s: %s was read as %q and %q", what, text, name.name, decoy.name)
		}
	}
}

// FuzzParseRequest checks that accepted names are two names that no query of a user has.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(aRequest))
	for _, text := range badRequests {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		name, decoy, err := parseRequest(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, target := range []target{name, decoy} {
			if len(target.label) < len(prefix)+16 || len(target.name) > 255 || !bytes.HasPrefix(target.label, []byte(prefix)) {
				t.Errorf("%q is accepted", target.name)
			}
		}
		if bytes.Equal(name.label, decoy.label) {
			t.Errorf("%q and %q have the same label", name.name, decoy.name)
		}
	})
}

func TestPassedNeedsBothProofs(t *testing.T) {
	stays := Seen{Dropped: []Drop{{Reason: "rcode"}, {Reason: "special_name"}}}
	left := Sink{Stage: Left}
	for what, tt := range map[string]struct {
		sinks  []Sink
		decoy  Seen
		passed bool
	}{
		"both":                      {[]Sink{left, left}, stays, true},
		"a sink without a form":     {[]Sink{left, {Stage: Filtered}}, stays, true},
		"no sink":                   {nil, stays, false},
		"no sink with a form":       {[]Sink{{Stage: Filtered}}, stays, false},
		"a sink that holds it":      {[]Sink{left, {Stage: Held}}, stays, true},
		"a sink that lacks it":      {[]Sink{left, {Stage: Missing}}, stays, false},
		"a sink with a spool":       {[]Sink{{Stage: Spooled}}, stays, true},
		"a spool, peer away":        {[]Sink{{Stage: Spooled, Error: "refused"}}, stays, false},
		"no sink sent it":           {[]Sink{{Stage: Held}}, stays, false},
		"a sink that lost it":       {[]Sink{left, {Stage: Lost}}, stays, false},
		"a sink that never had it":  {[]Sink{left, {Stage: NoRecord}}, stays, false},
		"a sink that fails":         {[]Sink{{Stage: Left, Error: "refused"}}, stays, false},
		"one that works, one fails": {[]Sink{left, {Stage: Left, Error: "refused"}, {Stage: Held, Error: "refused"}}, stays, true},
		"decoy never seen":          {[]Sink{left}, Seen{}, false},
		"decoy not answered":        {[]Sink{left}, Seen{Queries: 1}, false},
		"decoy dropped before":      {[]Sink{left}, Seen{Dropped: []Drop{{Reason: "rcode"}, {Reason: "forwarded"}}}, false},
		"decoy local":               {[]Sink{left}, Seen{Dropped: []Drop{{Reason: "local_name"}}}, true},
		"decoy of a local server":   {[]Sink{left}, Seen{Dropped: []Drop{{Reason: "local_server"}}}, true},
		"record of the decoy":       {[]Sink{left}, Seen{Records: 1, Dropped: stays.Dropped}, false},
		"decoy in what was sent":    {[]Sink{{Stage: Left, DecoyLeft: true}}, stays, false},
		"decoy, and no sink has it": {[]Sink{left, {Stage: Filtered, DecoyLeft: true}}, stays, false},
	} {
		v := Verdict{Sinks: tt.sinks, Decoy: tt.decoy}
		if v.Passed() != tt.passed {
			t.Errorf("%s: passed %v", what, v.Passed())
		}
	}
}
