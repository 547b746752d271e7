package selftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
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
	From      string            `json:"from,omitempty"` // the aggregate whose RRsets it gets
	Stage     Stage             `json:"stage"`
	Error     string            `json:"error,omitempty"` // of a failing sink, even if the name left
	Lost      map[string]uint64 `json:"lost,omitempty"`  // records of all names, during the selftest
	DecoyLeft bool              `json:"decoy_left,omitempty"`

	FilteredBy []string `json:"filtered_by,omitempty"` // the rules by which the sink did not take a record of the name
}

// A Stage is the last stage of a sink that the name reached.
type Stage string

const (
	NoRecord Stage = "no_record" // the sink got no record of it
	Filtered Stage = "filtered"  // the sink takes no record of it
	Held     Stage = "held"      // in an open batch, in the queue, or in a transport that fails
	Lost     Stage = "lost"      // the record, or others at the same time
	Missing  Stage = "missing"   // the sink took the record, and does not have it: no count explains that
	Spooled  Stage = "spooled"   // in the spool
	Left     Stage = "left"      // sent or written

	// The aggregate has the record: its verified RRsets leave at the end of the window.
	InWindow Stage = "in_window"
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

// Passed reports whether the name left, was spooled or is in the window of an aggregate at a sink
// that works, no sink lost it or has it no more, and the decoy was seen and dropped as local.
func (v *Verdict) Passed() bool { return v.nameProven() && v.DecoyDropped() }

func (v *Verdict) nameProven() bool {
	proven := false
	for _, s := range v.Sinks {
		switch s.Stage {
		case NoRecord, Lost, Missing:
			return false
		case Left, Spooled, InWindow:
			proven = proven || s.Error == ""
		}
	}
	return proven
}

// Holds reports whether a sink holds the name, which may still leave.
func (v *Verdict) Holds() bool {
	return slices.ContainsFunc(v.Sinks, func(s Sink) bool { return s.Stage == Held })
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

// DecoyDropped reports whether the decoy was seen and dropped as local; see [Seen.LocalDrop].
func (v *Verdict) DecoyDropped() bool { return !v.DecoyLeft() && v.Decoy.LocalDrop() != nil }

// Any reports whether a message about the name was seen.
func (s *Seen) Any() bool { return s.Queries > 0 || s.Records > 0 || len(s.Dropped) > 0 }

// LocalDrop returns the drop that proves that the name does not leave: as a local or special
// name, or because its server is local. Nil means no such drop: other reasons are judged
// before the name and prove nothing about it.
func (s *Seen) LocalDrop() *Drop {
	for i := range s.Dropped {
		if localReasons[s.Dropped[i].Reason] {
			return &s.Dropped[i]
		}
	}
	return nil
}
