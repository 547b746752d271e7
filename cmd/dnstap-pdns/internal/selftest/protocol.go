package selftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Request names what is to be watched for: a name that must leave, and a decoy that
// must not.
type Request struct {
	Name  string `json:"name"`
	Decoy string `json:"decoy"`
}

// A Line is one of the two that answer a request: Watching at once, from when on both
// names are watched for, and the Verdict within half a minute.
type Line struct {
	Watching *Watching `json:"watching,omitempty"`
	Verdict  *Verdict  `json:"verdict,omitempty"`
}

// Watching says that both names are watched for.
type Watching struct {
	// NameForbidden is the reason for which the policy in force lets no record of the
	// name leave; empty: it does.
	NameForbidden string `json:"name_forbidden,omitempty"`
}

// A Verdict is what became of the two names.
type Verdict struct {
	Name  Seen   `json:"name"`
	Decoy Seen   `json:"decoy"`
	Sinks []Sink `json:"sinks"` // as configured, but for those that a reload has just added
}

// Seen is what lanes saw of a name.
type Seen struct {
	Queries int    `json:"queries"` // that found the way in; a lane that sees responses alone has none
	Records int    `json:"records"`
	Dropped []Drop `json:"dropped"` // each reason once
}

// A Drop is a reason for which messages about a name became no record; those that are
// queries which nobody answered, too.
type Drop struct {
	Reason string `json:"reason"`
	Rule   string `json:"rule,omitempty"` // by which scrubbing found it
}

// A Sink is what became of the two names at a sink.
type Sink struct {
	Name      string            `json:"name"`
	Stage     Stage             `json:"stage"`
	Error     string            `json:"error,omitempty"` // of a sink that fails, whether the name left or not
	Lost      map[string]uint64 `json:"lost,omitempty"`  // records, of whatever name, while both were watched for
	DecoyLeft bool              `json:"decoy_left,omitempty"`
}

// Stage is how far the name came on its way through a sink.
type Stage string

const (
	NoRecord Stage = "no_record" // it never came to the sink
	Filtered Stage = "filtered"  // the sink's message type has no form for it
	Waiting  Stage = "waiting"   // in an open batch, in the queue, or in the hands of a sink that fails
	Lost     Stage = "lost"      // it was, or others were that came with it
	Left     Stage = "left"
)

// parseRequest returns what a [Request] asks to watch for. It refuses names that a
// user's query could have.
func parseRequest(r io.Reader) (name, decoy target, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return target{}, target{}, fmt.Errorf("reading the request: %w", err)
	}
	var q Request
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return target{}, target{}, fmt.Errorf("the request is no JSON object of name and decoy: %w", err)
	}
	if len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		return target{}, target{}, errors.New("something stands behind the request")
	}
	if name, err = parseTarget(q.Name); err != nil {
		return target{}, target{}, fmt.Errorf("name: %w", err)
	}
	if decoy, err = parseTarget(q.Decoy); err != nil {
		return target{}, target{}, fmt.Errorf("decoy: %w", err)
	}
	if bytes.Equal(name.label, decoy.label) {
		return target{}, target{}, errors.New("name and decoy begin with the same label")
	}
	return name, decoy, nil
}

// Passed reports whether both is proven: that the name left, through every sink that
// has a form for it and none of which fails, and that the decoy was seen and kept in
// the house.
func (v *Verdict) Passed() bool { return v.nameLeft() && v.DecoyStayed() }

func (v *Verdict) nameLeft() bool {
	left := 0
	for _, s := range v.Sinks {
		switch {
		case s.Stage == Left && s.Error == "":
			left++
		case s.Stage != Filtered:
			return false
		}
	}
	return left > 0
}

// DecoyLeft reports whether a record of the decoy was made, or anything that holds its
// first label was sent.
func (v *Verdict) DecoyLeft() bool {
	for _, s := range v.Sinks {
		if s.DecoyLeft {
			return true
		}
	}
	return v.Decoy.Records > 0
}

// DecoyStayed reports whether the decoy was seen, and dropped for what it is.
func (v *Verdict) DecoyStayed() bool { return !v.DecoyLeft() && v.Decoy.Stayed() != nil }

// Any reports whether anything at all was seen of the name.
func (s *Seen) Any() bool { return s.Queries > 0 || s.Records > 0 || len(s.Dropped) > 0 }

// Stayed returns the drop that shows that a name is kept in the house: as a local or
// special name, or for its server's address. Other reasons come before names are looked
// at, and do not speak of them.
func (s *Seen) Stayed() *Drop {
	for i := range s.Dropped {
		if inHouse[s.Dropped[i].Reason] {
			return &s.Dropped[i]
		}
	}
	return nil
}
