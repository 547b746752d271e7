package selftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Request contains the names to observe: a name that must leave, and a decoy that must not.
type Request struct {
	Name  string `json:"name"`
	Decoy string `json:"decoy"`
}

// A Line is one of the two lines of an answer: Watching at once, when both names are
// observed, and the Verdict within half a minute.
type Line struct {
	Watching *Watching `json:"watching,omitempty"`
	Verdict  *Verdict  `json:"verdict,omitempty"`
}

// Watching reports that both names are observed.
type Watching struct {
	// NameForbidden is the reason for which the policy in force drops every message about the
	// name. It is empty if records of the name can leave.
	NameForbidden string `json:"name_forbidden,omitempty"`
}

// A Verdict contains the results for both names.
type Verdict struct {
	Name  Seen   `json:"name"`
	Decoy Seen   `json:"decoy"`
	Sinks []Sink `json:"sinks"` // as configured, without sinks that a reload added meanwhile
}

// Seen counts what lanes saw of a name.
type Seen struct {
	Queries int    `json:"queries"` // that lanes held; none in a lane that gets responses only
	Records int    `json:"records"`
	Dropped []Drop `json:"dropped"` // each reason and rule once
}

// A Drop is a reason for which messages about a name became no record. It may be the reason
// of a query without a response.
type Drop struct {
	Reason string `json:"reason"`
	Rule   string `json:"rule,omitempty"` // of scrubbing
}

// A Sink is the result for both names at a sink.
type Sink struct {
	Name      string            `json:"name"`
	Stage     Stage             `json:"stage"`
	Error     string            `json:"error,omitempty"` // of a failing sink, even if the name left
	Lost      map[string]uint64 `json:"lost,omitempty"`  // records of all names, during the selftest
	DecoyLeft bool              `json:"decoy_left,omitempty"`
}

// A Stage is the last stage of a sink that the name reached.
type Stage string

const (
	NoRecord Stage = "no_record" // the sink got no record of it
	Filtered Stage = "filtered"  // the sink's message type has no form for it
	Waiting  Stage = "waiting"   // in an open batch, in the queue, or in a transport that fails
	Lost     Stage = "lost"      // the record, or others at the same time
	Left     Stage = "left"
)

// parseRequest returns the names of a [Request]. It refuses names that a query of a user
// could have.
func parseRequest(r io.Reader) (name, decoy target, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return target{}, target{}, fmt.Errorf("reading the request: %w", err)
	}
	var q Request
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return target{}, target{}, fmt.Errorf("the request is not a JSON object with name and decoy: %w", err)
	}
	if len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		return target{}, target{}, errors.New("there is data after the request")
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

// Passed reports whether the name left through every sink that has a form for it, without a
// failing sink, and the decoy was seen and dropped as local.
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

// DecoyLeft reports whether a record of the decoy was made, or its first label was sent.
func (v *Verdict) DecoyLeft() bool {
	for _, s := range v.Sinks {
		if s.DecoyLeft {
			return true
		}
	}
	return v.Decoy.Records > 0
}

// DecoyStayed reports whether the decoy was seen and dropped as local; see [Seen.Stayed].
func (v *Verdict) DecoyStayed() bool { return !v.DecoyLeft() && v.Decoy.Stayed() != nil }

// Any reports whether a message about the name was seen.
func (s *Seen) Any() bool { return s.Queries > 0 || s.Records > 0 || len(s.Dropped) > 0 }

// Stayed returns the drop that proves that the name does not leave: as a local or special
// name, or because its server is local. Nil means no such drop: other reasons are judged
// before the name and prove nothing about it.
func (s *Seen) Stayed() *Drop {
	for i := range s.Dropped {
		if localReasons[s.Dropped[i].Reason] {
			return &s.Dropped[i]
		}
	}
	return nil
}
