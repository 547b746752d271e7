package sensor

import (
	"context"
	"fmt"
)

// A task is the goroutine of a source.
type task struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when the goroutine has ended
}

// start runs a source until the returned task or the sensor is stopped. An error of run stops
// the sensor. The caller holds s.mu.
func (s *Sensor) start(name string, run func(context.Context) error) task {
	ctx, cancel := context.WithCancel(s.running)
	t := task{cancel, make(chan struct{})}
	go func() {
		defer close(t.done)
		defer cancel()
		if err := run(ctx); err != nil && ctx.Err() == nil {
			select {
			case s.failed <- fmt.Errorf("source %q: %w", name, err):
			default:
			}
		}
	}()
	return t
}

func (t task) stop() {
	t.cancel()
	<-t.done
}
