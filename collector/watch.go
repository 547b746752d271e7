package collector

import (
	"context"
	"time"
)

// Time between two looks at the file of a Unix socket. It doubles while the file cannot be
// created again, because a look may connect to another process that listens there.
const (
	watchInterval    = time.Second
	maxWatchInterval = 16 * time.Second
)

// A SocketProblem is why resolvers cannot connect to the socket file of a source.
type SocketProblem struct {
	Says string // the problem
	Do   string // the remedy
}

// watch looks at the socket file until ctx ends. It creates the file again after it was removed
// or replaced, if the source created it.
func (s *Source) watch(ctx context.Context) {
	wait := watchInterval
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = min(2*wait, maxWatchInterval)
		if s.look() {
			wait = watchInterval
		}
	}
}

// look creates the socket file again if it is gone, and reports whether resolvers can connect.
func (s *Source) look() bool {
	restored, problem := false, SocketProblem{}
	if s.socket != nil {
		var err error
		if restored, err = s.socket.Restore(); err != nil {
			problem = SocketProblem{"the socket file was removed or replaced, and cannot be created again: " + err.Error(),
				"Fix this. The sensor tries again by itself."}
		}
	} else if present, err := s.inherited.Present(); err != nil {
		problem = SocketProblem{err.Error(), "Let the sensor search the folders of the socket."}
	} else if !present {
		problem = SocketProblem{"the socket file was removed or replaced, and only the process that created it can create it again",
			"Restart the socket unit and the sensor."}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if restored {
		s.stats.SocketsRestored++
		s.log.Warn("the socket file was removed or replaced; it was created again", "address", s.config.Address)
	}
	switch {
	case problem == s.problem:
	case problem != SocketProblem{}:
		s.log.Warn("resolvers cannot connect", "address", s.config.Address, "problem", problem.Says, "remedy", problem.Do)
	case !restored:
		s.log.Info("resolvers can connect again", "address", s.config.Address)
	}
	s.problem = problem
	return problem == SocketProblem{}
}

// Problem returns why resolvers cannot connect to the socket file; the zero value if it is at
// its path. It is at most maxWatchInterval old.
func (s *Source) Problem() SocketProblem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problem
}
