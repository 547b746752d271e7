package admin

import (
	"strconv"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// RRsets is the account of the RRsets in the records of an aggregate; see [forward.RRsets].
type RRsets struct {
	Outcomes map[string]uint64 `json:"outcomes"`
	Held     uint64            `json:"held"`
	Received uint64            `json:"received"`
	Refused  uint64            `json:"refused"`
	Emitted  uint64            `json:"emitted"`
	Evicted  uint64            `json:"evicted"`
	Lost     uint64            `json:"lost"`
	Withheld map[string]uint64 `json:"withheld"` // by reason

	Unreleased uint64 `json:"unreleased"`

	Entries     uint64 `json:"entries"`
	Bytes       int64  `json:"bytes"`
	Waiting     uint64 `json:"waiting"`
	FullDomains uint64 `json:"full_domains"`

	SaveFailures uint64    `json:"save_failures"`
	Saved        time.Time `json:"saved,omitzero"`
}

func rrsetsOf(r *forward.RRsets) *RRsets {
	return &RRsets{
		Outcomes: byName(r.Group().Rows), Held: r.Outcomes.Held,
		Received: r.Received, Refused: r.Refused, Emitted: r.Emitted, Evicted: r.Evicted, Lost: r.Lost,
		Withheld: byName(r.Withholding().Rows), Unreleased: r.Unreleased, Entries: uint64(r.Entries), Bytes: int64(r.Bytes),
		Waiting: uint64(r.Waiting), FullDomains: uint64(r.FullDomains), SaveFailures: r.SaveFailures, Saved: r.Saved.UTC(),
	}
}

// account returns the account that was made into r, without what was withheld and without outcomes
// that this version does not know.
func (r *RRsets) account() *forward.RRsets {
	a := &forward.RRsets{
		Received: r.Received, Refused: r.Refused, Emitted: r.Emitted, Evicted: r.Evicted, Lost: r.Lost,
		Unreleased: r.Unreleased, Entries: int(r.Entries), Bytes: int(r.Bytes),
		Waiting: int(r.Waiting), FullDomains: int(r.FullDomains), SaveFailures: r.SaveFailures, Saved: r.Saved,
	}
	a.Outcomes.Held = r.Held
	for _, o := range rrset.Outcomes() {
		a.Outcomes.By[o] = r.Outcomes[o.String()]
	}
	return a
}

// Rows returns a row for each count, except for the outcomes.
func (r *RRsets) Rows() []transform.Row { return r.account().Rows() }

// ByOutcome returns a row for each outcome. Outcomes that this version does not know are last.
func (r *RRsets) ByOutcome() transform.Group {
	g := new(forward.RRsets).Group()
	g.Rows = withValues(g.Rows, r.Outcomes)
	return g
}

// ByReason returns a row for each reason for which RRsets are withheld. Reasons that this version does
// not know are last.
func (r *RRsets) ByReason() transform.Group {
	g := new(forward.RRsets).Withholding()
	g.Rows = withValues(g.Rows, r.Withheld)
	return g
}

// Verified returns the share of verified RRsets in those whose outcome is known, in percent.
func (r *RRsets) Verified() string {
	return strconv.FormatFloat(100*r.account().VerifiedShare(), 'f', 1, 64) + " %"
}
