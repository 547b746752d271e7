package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A custody is what a vault does with records.
type custody int

const (
	delivers custody = iota // it is no Confirmer
	writes                  // Confirm and Close deliver them
	spools                  // Confirm and Close sync them
	collects                // Confirm and Close emit them as RRsets
)

// A mishap is what goes wrong in one call of a vault.
type mishap struct {
	takes time.Duration // unless its context ends
	fails bool
	loses bool // records are lost, or may be lost
	final bool // with fails: for good
}

var mishaps = []mishap{
	{fails: true}, {loses: true}, {takes: 2 * time.Second}, {takes: 20 * time.Second},
	{takes: time.Hour}, {takes: 2 * time.Second, fails: true},
}

// A vault is a transport that knows which of the records that it got are safe.
type vault struct {
	*records
	custody custody
	env     Env

	mu       sync.Mutex
	sends    []mishap // of the next calls
	confirms []mishap
	closes   []mishap
	held     []string // names of records that are tentative
}

// A confirmingVault is a vault that is a Confirmer.
type confirmingVault struct{ *vault }

// records are the safe ones of a sink, over all of its transports.
type records struct {
	mu   sync.Mutex
	safe map[string]bool
}

func (r *records) secure(names ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.safe[name] = true
	}
}

// missing returns the names of records that are not safe.
func (r *records) missing(names []string) (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if !r.safe[name] {
			all = append(all, name)
		}
	}
	return all
}

// suffer does what goes wrong in a call, of the next ones in line.
func (v *vault) suffer(ctx context.Context, line *[]mishap) (m mishap, err error) {
	v.mu.Lock()
	if len(*line) > 0 {
		m, *line = (*line)[0], (*line)[1:]
	}
	v.mu.Unlock()
	if m.takes > 0 {
		select {
		case <-time.After(m.takes):
		case <-ctx.Done():
			return m, ctx.Err()
		}
	}
	switch {
	case m.fails && m.final:
		return m, PermanentError{errFake}
	case m.fails:
		return m, errFake
	}
	return m, nil
}

func (*vault) Open(context.Context) error                       { return nil }
func (*vault) Idle(context.Context) (next time.Time, err error) { return next, nil }

func (v *vault) Send(ctx context.Context, bs []*Batch, from int) (r Result, err error) {
	m, err := v.suffer(ctx, &v.sends)
	if err != nil {
		return r, err
	}
	b := bs[0]
	for i := from; i < len(b.Units); i++ {
		if m.loses && i%2 == 0 {
			r.Lose(b, i, Failed)
			r.LossCause = errFake
			continue
		}
		labels, _, _ := bytes.Cut(b.Bytes(i), []byte{0})
		name := string(labels) + "\x00"
		r.Units++
		v.mu.Lock()
		switch v.custody {
		case delivers:
			r.Delivered++
			v.secure(name)
		case writes:
			r.Tentative[Written]++
		case spools:
			r.Tentative[Spooled]++
		case collects:
			r.Delivered++
		}
		if v.custody != delivers {
			v.held = append(v.held, name)
		}
		v.mu.Unlock()
	}
	return r, nil
}

func (v confirmingVault) Confirm(ctx context.Context) error {
	m, err := v.suffer(ctx, &v.confirms)
	if err != nil {
		return err
	}
	if m.loses && v.custody == spools {
		v.env.Doubt()
	}
	v.settle(ctx, m.loses)
	return nil
}

func (v *vault) Close(ctx context.Context) error {
	_, err := v.suffer(ctx, &v.closes)
	v.settle(ctx, err != nil)
	return err
}

// settle makes the records final.
func (v *vault) settle(ctx context.Context, lost bool) {
	v.mu.Lock()
	held := v.held
	v.held = nil
	v.mu.Unlock()
	switch v.custody {
	case writes:
		v.env.Settle(Written, uint64(len(held)), Outcome{Lost: lost, Why: Failed})
	case collects:
		for _, name := range held {
			v.env.Emit(ctx, testRRset(name), 0)
		}
		return
	}
	if !lost {
		v.secure(held...)
	}
}

// A numbered format differs from those with other numbers.
type numberedFormat struct {
	bothFormat
	number int
}

// A promise is a Forwarder with an inlet, whose Confirms are compared with what its sinks have made
// safe. Records go to "raw", and by the aggregate "table" to "rrsets".
type promise struct {
	*testing.T
	*Forwarder
	custodies map[string]custody
	configs   map[string]*SinkConfig
	removed   map[string]bool
	stop      func() error
	in        *Inlet
	lane      *Lane

	sinks map[string]*records

	mu     sync.Mutex
	vaults map[string]*vault // the latest of each sink

	made    int
	pending map[string][]string // names passed since the last Confirm that nothing followed, by sink
	seen    outcomes
}

// outcomes counts what Confirms returned.
type outcomes struct{ kept, lost, late, replaced, stopped int }

func (o *outcomes) add(p outcomes) {
	o.kept += p.kept
	o.lost += p.lost
	o.late += p.late
	o.replaced += p.replaced
	o.stopped += p.stopped
}

// vaultsOf makes the transports of a promise.
type vaultsOf struct{ p *promise }

func (c vaultsOf) New(s *SinkConfig, env Env) (Transport, error) {
	p := c.p
	v := &vault{records: p.sinks[s.Name], custody: p.custodies[s.Name], env: env}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vaults[s.Name] = v
	if v.custody == delivers {
		return v, nil
	}
	return confirmingVault{v}, nil
}

func newPromise(t *testing.T, raw, rrsets custody) *promise {
	p := &promise{
		T: t, custodies: map[string]custody{"raw": raw, "rrsets": rrsets, "table": collects},
		removed: map[string]bool{}, pending: map[string][]string{}, vaults: map[string]*vault{},
		sinks: map[string]*records{}, configs: map[string]*SinkConfig{},
	}
	for _, name := range []string{"raw", "table", "rrsets"} {
		c := waitingSink(name)
		c.Format, c.Transport, c.Queue = numberedFormat{}, vaultsOf{p}, 100<<10
		p.configs[name], p.sinks[name] = &c, &records{safe: map[string]bool{}}
	}
	p.configs["table"].Target.Scheme, p.configs["rrsets"].From = Aggregate, "table"
	r := newRig(t, Live)
	p.Forwarder = r.Forwarder
	p.apply()
	p.stop = r.run()
	p.in, p.lane = p.Inlet("topic"), p.Lane("source")
	return p
}

// apply applies the configurations of the sinks that are not removed.
func (p *promise) apply() {
	var configs []SinkConfig
	for _, name := range []string{"raw", "table", "rrsets"} {
		if !p.removed[name] {
			configs = append(configs, *p.configs[name])
		}
	}
	if err := p.Apply(testPolicy(p.T), configs, nil); err != nil && err.Error() != "the forwarder has stopped" {
		p.Error(err)
	}
}

// pass passes n records and an RRset.
func (p *promise) pass(n, size int) {
	ctx, cancel := context.WithTimeout(p.Context(), 3*time.Hour)
	defer cancel()
	for range n {
		p.made++
		r := testRecord(0, p.made, size)
		p.expect("raw", string(r.Name))
		p.expect("table", string(r.Name))
		p.in.Record(ctx, r, nmsg.IDs{})
	}
	name := fmt.Sprintf("\x07r%06d\x00", p.made)
	p.expect("raw", name)
	p.expect("table", name)
	p.in.RRset(ctx, testRRset(name), nmsg.IDs{})
	if ctx.Err() != nil {
		p.Error("there was no room for hours")
	}
}

// expect notes that a sink gets a record; what the table gets ends in "rrsets".
func (p *promise) expect(sink, name string) {
	final := sink
	if sink == "table" {
		final = "rrsets"
	}
	if !p.removed[sink] {
		p.pending[final] = append(p.pending[final], name)
	}
}

// confirm calls Confirm, while a reload or a fault occurs.
func (p *promise) confirm(limit time.Duration, meanwhile func()) error {
	ctx, cancel := context.WithTimeout(p.Context(), limit)
	defer cancel()
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- p.in.Confirm(ctx) }()
	meanwhile()
	err := <-done
	if took := time.Since(began); took > limit+3*time.Hour { // meanwhile may take time too
		p.Errorf("Confirm returned after %v, %v was the limit", took, limit)
	}
	p.judge(err)
	return err
}

// judge compares the result of a Confirm with the sinks.
func (p *promise) judge(err error) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		p.seen.late++ // another one may confirm these records
		return
	case errors.Is(err, errStopping) || errors.Is(err, errFake):
		p.seen.stopped++
		return
	case err != nil:
		p.seen.lost++
	default:
		for sink, names := range p.pending {
			if missing := p.sinks[sink].missing(names); len(missing) > 0 {
				p.Errorf("confirmed, but sink %s does not have %d of %d records safe: %q", sink, len(missing), len(names), missing)
			}
			p.seen.kept += len(names)
		}
	}
	clear(p.pending)
}

// A turn is a step of the property test.
type turn struct {
	kind, sink string
	n, size    int
	mishap     mishap
	call       int // 0: Send, 1: Confirm, 2: Close
	after      time.Duration
	limit      time.Duration
	meanwhile  string
}

func drawTurn(t *rapid.T) turn {
	return turn{
		kind:      rapid.SampledFrom([]string{"pass", "pass", "pass", "confirm", "confirm", "fault", "fault", "change", "reformat", "remove", "lane", "sleep"}).Draw(t, "kind"),
		sink:      rapid.SampledFrom([]string{"raw", "table", "rrsets"}).Draw(t, "sink"),
		n:         rapid.IntRange(1, 30).Draw(t, "n"),
		size:      rapid.SampledFrom([]int{0, 100, 9000, 60000}).Draw(t, "size"),
		mishap:    rapid.SampledFrom(mishaps).Draw(t, "mishap"),
		call:      rapid.IntRange(0, 2).Draw(t, "call"),
		after:     rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, 5 * time.Second}).Draw(t, "after"),
		limit:     rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 10 * time.Hour}).Draw(t, "limit"),
		meanwhile: rapid.SampledFrom([]string{"", "change", "reformat", "remove", "fault", "lane"}).Draw(t, "meanwhile"),
	}
}

// play performs a step.
func (p *promise) play(s turn) {
	switch s.kind {
	case "sleep":
		time.Sleep(s.after)
	case "confirm":
		before := p.seen.kept
		p.confirm(s.limit, func() {
			time.Sleep(s.after)
			p.perform(s, s.meanwhile)
		})
		if (s.meanwhile == "change" || s.meanwhile == "reformat") && p.seen.kept > before {
			p.seen.replaced++
		}
	default:
		p.perform(s, s.kind)
	}
}

// perform performs a step of that kind, which takes no time unless there is no room.
func (p *promise) perform(s turn, kind string) {
	switch kind {
	case "pass":
		p.pass(s.n, s.size)
	case "lane": // another input: it does not wait
		burst(p.lane, 1, p.made*100, s.n, min(s.size, 100))
		p.made++
	case "fault":
		p.mu.Lock()
		v := p.vaults[s.sink]
		p.mu.Unlock()
		v.mu.Lock()
		line := []*[]mishap{&v.sends, &v.confirms, &v.closes}[s.call]
		m := s.mishap
		m.loses = m.loses && v.custody != collects // its loss would not be one of "rrsets"
		*line = append(*line, m)
		v.mu.Unlock()
	case "change":
		p.configs[s.sink].Flush++
		p.apply()
	case "reformat":
		c := p.configs[s.sink]
		c.Format = numberedFormat{number: c.Format.(numberedFormat).number + 1}
		p.apply()
	case "remove":
		if s.sink == "raw" {
			p.removed["raw"] = !p.removed["raw"]
		} else {
			p.removed["table"] = !p.removed["table"]
			p.removed["rrsets"] = p.removed["table"]
		}
		p.apply()
	}
}

// conclude ends the faults, and confirms; then it stops the Forwarder during a Confirm.
func (p *promise) conclude(final bool, after time.Duration) {
	for _, v := range p.vaults {
		v.mu.Lock()
		v.sends, v.confirms, v.closes = nil, nil, nil
		v.mu.Unlock()
	}
	p.pass(5, 100)
	if err := p.confirm(10*time.Hour, func() {}); err != nil {
		p.pass(5, 100)
		if err := p.confirm(10*time.Hour, func() {}); err != nil {
			p.Errorf("without a fault: %v", err)
		}
	}
	p.pass(5, 100)
	v := p.vaults["raw"]
	v.mu.Lock()
	v.sends = []mishap{{takes: time.Second, fails: final, final: final}}
	v.mu.Unlock()
	var stopped error
	p.confirm(10*time.Hour, func() {
		time.Sleep(after)
		stopped = p.stop()
	})
	if stopped != nil && !errors.Is(stopped, errFake) {
		p.Error(stopped)
	}
	p.lane.Close()
	p.in.Close()
	l := p.Ledger()
	if err := checkLedger(&l); err != nil {
		p.Error(err)
	}
}

// TestAConfirmWithoutAnErrorKeepsItsPromise under random faults and reloads, also at the stop:
// what was passed before is safe in every sink. Every result must have occurred.
func TestAConfirmWithoutAnErrorKeepsItsPromise(t *testing.T) {
	var all outcomes
	rapid.Check(t, func(rt *rapid.T) {
		turns := rapid.SliceOfN(rapid.Custom(drawTurn), 5, 30).Draw(rt, "turns")
		raw := rapid.SampledFrom([]custody{delivers, writes, spools}).Draw(rt, "raw")
		rrsets := rapid.SampledFrom([]custody{delivers, writes, spools}).Draw(rt, "rrsets")
		final := rapid.Bool().Draw(rt, "a sink fails permanently at the end")
		after := rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(rt, "time until the stop")
		failed := false
		synctest.Test(t, func(t *testing.T) {
			p := newPromise(t, raw, rrsets)
			for _, s := range turns {
				p.play(s)
				l := p.Ledger()
				if err := checkLedger(&l); err != nil {
					t.Errorf("after %+v: %v", s, err)
				}
			}
			p.removed = map[string]bool{}
			p.apply()
			p.conclude(final, after)
			all.add(p.seen)
			failed = t.Failed()
		})
		if failed {
			rt.Fatal("see above")
		}
	})
	if slices.Contains([]int{all.kept, all.lost, all.late, all.replaced, all.stopped}, 0) {
		t.Errorf("the test proves less than it states: %+v", all)
	}
	t.Logf("%+v", all)
}
