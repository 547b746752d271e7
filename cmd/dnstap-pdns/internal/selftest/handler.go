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
	// observeTime is the longest time for which both names are observed, so that the client
	// gets a verdict within half a minute.
	observeTime = 25 * time.Second
	// quietTime is the time without a message about the names after which a failure is final.
	quietTime    = 5 * time.Second
	pollInterval = 200 * time.Millisecond
	writeTime    = 5 * time.Second // for a line
)

// A Sensor is a running sensor, as a selftest uses it.
type Sensor interface {
	JudgeName(name []byte) transform.Reason       // by the policy in force
	Trace(of func(source string) transform.Trace) // of all lanes; nil ends it
	Ledger() forward.Ledger
}

// Sent passes the units that sinks have sent to observers until stop is called.
type Sent interface {
	Subscribe(o forward.Observer) (stop func())
}

// A refusal is the error of a request that is not served. The client gets it.
type refusal struct {
	status int // of HTTP
	reason string
}

func (r *refusal) Error() string { return r.reason }

// A handler serves one request at a time.
type handler struct {
	sensor func() Sensor
	sent   Sent
	busy   sync.Mutex // held while a request is served
}

// New returns the handler of POST requests for a selftest of the sensor. The sinks of the
// sensor report to the observers of sent. The handler refuses requests that a page of another site made a
// browser send.
func New(sensor func() Sensor, sent Sent) http.Handler {
	return http.NewCrossOriginProtection().Handler(&handler{sensor: sensor, sent: sent})
}

// ServeHTTP answers in lines of JSON: see [Line].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := http.NewResponseController(w)
	err := h.serve(r, func(l Line) error {
		answer.SetWriteDeadline(time.Now().Add(writeTime)) // longer than the limit of the server
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Connection", "close")
		return errors.Join(json.NewEncoder(w).Encode(l), answer.Flush())
	})
	if refused, ok := errors.AsType[*refusal](err); ok {
		http.Error(w, refused.reason, refused.status)
	}
}

// serve performs a selftest and writes the two lines of its answer. It returns a refusal if it
// does not serve the request.
func (h *handler) serve(r *http.Request, write func(Line) error) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{http.StatusUnsupportedMediaType, "the Content-Type of the request is not application/json"}
	}
	name, decoy, err := parseRequest(r.Body)
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return &refusal{http.StatusRequestEntityTooLarge, err.Error()}
	}
	if err != nil {
		return &refusal{http.StatusBadRequest, err.Error()}
	}
	if !h.busy.TryLock() {
		return &refusal{http.StatusConflict, "another selftest is running: try again in half a minute"}
	}
	defer h.busy.Unlock()
	sensor := h.sensor()
	if sensor.JudgeName(decoy.name) == transform.Kept {
		return &refusal{http.StatusUnprocessableEntity, "the policy in force would let the decoy leave: it is neither a local nor a special name"}
	}
	watching := &Watching{}
	if reason := sensor.JudgeName(name.name); reason != transform.Kept {
		watching.NameForbidden = reason.String()
	}
	v, err := h.observe(r.Context(), sensor, newObserver(name, decoy), func() error { return write(Line{Watching: watching}) })
	if err != nil {
		return err
	}
	return write(Line{Verdict: v})
}

// observe calls started when o observes both names. It returns the verdict when the selftest
// has passed and no sink holds the name, when lanes have dropped both names, or after observeTime. It returns an error
// when ctx ends.
func (h *handler) observe(ctx context.Context, sensor Sensor, o *observer, started func() error) (*Verdict, error) {
	before := sensor.Ledger().Sinks
	defer h.sent.Subscribe(o)()
	sensor.Trace(func(string) transform.Trace { return o })
	defer sensor.Trace(nil)
	if err := started(); err != nil {
		return nil, err
	}
	end := time.Now().Add(observeTime)
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case now := <-poll.C:
			v := o.verdict(before, func() []forward.SinkLedger { return sensor.Ledger().Sinks })
			if v.Passed() && !v.Holds() && o.quietFor(now, pollInterval) || o.bothDropped() && o.quietFor(now, quietTime) || !now.Before(end) {
				return v, nil
			}
		}
	}
}
