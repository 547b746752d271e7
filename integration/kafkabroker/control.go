package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// limitSessions replaces the session timeout that members of groups ask for, which may be longer
// than a test.
func limitSessions(c *kfake.Cluster, session time.Duration) {
	c.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if join, ok := r.(*kmsg.JoinGroupRequest); ok {
			join.SessionTimeoutMillis = int32(session.Milliseconds())
		}
		return nil, nil, false
	})
}

// answerWrongPasswords answers a wrong user or password of the mechanism PLAIN as Kafka does. The
// cluster only closes the connection, and does so for the other mechanisms. user is as in options.
func answerWrongPasswords(c *kfake.Cluster, user string) {
	_, account, _ := strings.Cut(user, ":")
	right := "\x00" + strings.Replace(account, ":", "\x00", 1)
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		a, ok := r.(*kmsg.SASLAuthenticateRequest)
		if plain := ok && bytes.Count(a.SASLAuthBytes, []byte{0}) == 2; !plain || string(a.SASLAuthBytes) == right {
			return nil, nil, false
		}
		answer := a.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		answer.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return answer, nil, true
	})
}

// control serves the commands:
//
//	POST /move?topic=T               each partition of the topic gets the next broker as leader
//	POST /refuse?request=R&error=E   requests of that kind are refused with the error of that name
//	POST /accept                     no request is refused any more
//
// The names are those of the protocol: Produce, NOT_LEADER_FOR_PARTITION.
type control struct {
	*http.ServeMux
	cluster *kfake.Cluster
	brokers int32

	mu      sync.Mutex
	refused []*kfake.FaultHandle
}

func newControl(c *kfake.Cluster, brokers int) *control {
	h := &control{ServeMux: http.NewServeMux(), cluster: c, brokers: int32(brokers)}
	h.handle("/move", h.move)
	h.handle("/refuse", h.refuse)
	h.handle("/accept", h.accept)
	return h
}

func (h *control) handle(path string, command func(*http.Request) error) {
	h.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		if err := command(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}

func (h *control) move(r *http.Request) error {
	topic := r.FormValue("topic")
	info := h.cluster.TopicInfo(topic)
	if info == nil {
		return fmt.Errorf("no topic %s", strconv.Quote(topic))
	}
	for _, p := range h.cluster.PartitionInfos(topic) {
		if err := h.cluster.MoveTopicPartition(topic, p.Partition, (p.Leader+1)%h.brokers); err != nil {
			return err
		}
	}
	return nil
}

func (h *control) refuse(r *http.Request) error {
	key, err := requestNamed(r.FormValue("request"))
	if err != nil {
		return err
	}
	code, err := errorNamed(r.FormValue("error"))
	if err != nil {
		return err
	}
	const untilRemoved = -1
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = append(h.refused, h.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Err: code, Count: untilRemoved}))
	return nil
}

func (h *control) accept(*http.Request) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.refused {
		f.Remove()
	}
	h.refused = nil
	return nil
}

func requestNamed(name string) (kmsg.Key, error) {
	for key := range kmsg.Key(kmsg.MaxKey + 1) {
		if key.Name() == name {
			return key, nil
		}
	}
	return 0, fmt.Errorf("no request %s", strconv.Quote(name))
}

func errorNamed(name string) (*kerr.Error, error) {
	for code := range int16(200) { // the protocol has about 130
		if e := kerr.TypedErrorForCode(code); e != nil && e.Message == name {
			return e, nil
		}
	}
	return nil, fmt.Errorf("no error %s", strconv.Quote(name))
}
