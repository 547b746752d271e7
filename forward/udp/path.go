package udp

import "time"

// The time between two probes of a closed path, which is also the time without an error after
// a probe that opens it. Hosts that refuse datagrams report one error a second, and Linux routers
// that reject them one in two seconds, if datagrams come no faster.
const (
	quietTime       = time.Second
	quietRouterTime = 3 * time.Second
)

// A path is the way to the receiver, according to the errors that the network reports. An
// error closes it; then a probe is sent from time to time, until one causes no error.
// The zero path is open.
type path struct {
	cause   error         // the latest error; nil: the path is open
	since   time.Time     // when the path was closed
	tried   time.Time     // when the latest probe was sent, or else since
	quiet   time.Duration // between probes
	probing bool          // the latest probe has caused no error so far
}

func (p *path) closed() bool { return p.cause != nil }

// fail notes an error, and reports whether it closed the path.
func (p *path) fail(cause error, quiet time.Duration, now time.Time) (closed bool) {
	closed = p.cause == nil
	if closed {
		p.since, p.tried = now, now
	}
	p.cause, p.quiet, p.probing = cause, quiet, false
	return closed
}

// nextTry returns when a closed path may be open again, and else is probed.
func (p *path) nextTry() time.Time { return p.tried.Add(p.quiet) }

// probe notes that a probe is sent.
func (p *path) probe(now time.Time) { p.tried, p.probing = now, true }

// pass opens a closed path if the latest probe has caused no error since, and reports
// whether it did. All errors until now have been noted.
func (p *path) pass(now time.Time) (opened bool) {
	if !p.probing || now.Before(p.nextTry()) {
		return false
	}
	*p = path{}
	return true
}
