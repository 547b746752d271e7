package selftest

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// watchTime is how long both names are watched for at the most: whoever asks is to
	// have a verdict within half a minute.
	watchTime = 25 * time.Second
	quietTime = 5 * time.Second
	lookEvery = 200 * time.Millisecond
	writeTime = 5 * time.Second // for a line
)

// A Sensor is one that runs, as far as a selftest looks into it.
type Sensor interface {
	JudgeName(name []byte) transform.Reason       // by the policy in force
	Trace(of func(source string) transform.Trace) // of all lanes; nil: none
	Ledger() forward.Ledger
}

// A Tap shows what sinks have sent to those who watch.
type Tap interface {
	Watch(o forward.Observer) (stop func())
}

// A refusal says why a request cannot be served, for whoever made it.
type refusal struct {
	status int // of HTTP
	why    string
}

func (r *refusal) Error() string { return r.why }

// handler serves one request at a time.
type handler struct {
	sensor func() Sensor
	tap    Tap
	busy   sync.Mutex // held while one is served
}

// New returns what answers POST requests for a selftest of the sensor, whose sinks'
// observer is the tap. It refuses those that another site's page has made a browser
// send.
func New(sensor func() Sensor, tap Tap) http.Handler {
	return http.NewCrossOriginProtection().Handler(&handler{sensor: sensor, tap: tap})
}

// ServeHTTP answers in lines of JSON: see [Line].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := http.NewResponseController(w)
	err := h.serve(r, func(l Line) error {
		answer.SetWriteDeadline(time.Now().Add(writeTime)) // an answer takes longer than others may
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Connection", "close")
		return errors.Join(json.NewEncoder(w).Encode(l), answer.Flush())
	})
	if refused, ok := errors.AsType[*refusal](err); ok {
		http.Error(w, refused.why, refused.status)
	}
}

// serve tells two lines.
func (h *handler) serve(r *http.Request, tell func(Line) error) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "the request's Content-Type is not application/json"}
	}
	name, decoy, err := parseRequest(r.Body)
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return &refusal{http.StatusRequestEntityTooLarge, err.Error()}
	}
	if err != nil {
		return &refusal{http.StatusBadRequest, err.Error()}
	}
	if !h.busy.TryLock() {
		return &refusal{http.StatusConflict, "another selftest is under way; it ends within half a minute"}
	}
	defer h.busy.Unlock()
	sensor := h.sensor()
	if sensor.JudgeName(decoy.name) == transform.Kept {
		return &refusal{http.StatusUnprocessableEntity, "the policy in force would let the decoy leave: it is neither a local nor a special name"}
	}
	watching := &Watching{}
	if why := sensor.JudgeName(name.name); why != transform.Kept {
		watching.NameForbidden = why.String()
	}
	v, err := h.watch(r.Context(), sensor, newWatch(name, decoy), func() error { return tell(Line{Watching: watching}) })
	if err != nil {
		return err
	}
	return tell(Line{Verdict: v})
}

// watch calls began once both names are watched for, and returns as soon as it is known
// what became of them, or the time is up, or ctx has ended.
func (h *handler) watch(ctx context.Context, sensor Sensor, w *watch, began func() error) (*Verdict, error) {
	before := sensor.Ledger().Sinks
	defer h.tap.Watch(w)()
	sensor.Trace(func(string) transform.Trace { return w })
	defer sensor.Trace(nil)
	if err := began(); err != nil {
		return nil, err
	}
	end := time.Now().Add(watchTime)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case now := <-look.C:
			v := w.verdict(before, sensor.Ledger().Sinks)
			if v.Passed() && w.calm(now, lookEvery) || w.settled() && w.calm(now, quietTime) || !now.Before(end) {
				return v, nil
			}
		}
	}
}
