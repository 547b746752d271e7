package udp

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// maxErrors is the number of errors that are read at once. Other hosts can forge them.
const maxErrors = 1000

// readErrors reads and counts the errors that the network has reported, and closes the path if
// the receiver cannot be reached.
func (u *transport) readErrors() error {
	var counts forward.NetworkErrors
	defer func() {
		if counts != (forward.NetworkErrors{}) {
			u.countErrors(counts)
		}
	}()
	for range maxErrors {
		e, err := u.socket.nextError()
		if e == 0 || err != nil {
			return err
		}
		kind, quiet, cause := count(&counts, e)
		if cause != nil && u.path.fail(cause, quiet, time.Now()) {
			u.log.Warn("the path to the receiver is closed: records wait, and single containers are sent until the network reports no more errors",
				"kind", kind, "error", e)
		}
	}
	return nil
}

// count counts an error by its kind. cause is not nil if the receiver cannot be reached.
func count(counts *forward.NetworkErrors, e unix.Errno) (kind string, quiet time.Duration, cause error) {
	switch e {
	case unix.ECONNREFUSED:
		counts.Refused++
		return "refused", quietTime, fmt.Errorf("no process listens at the target: %w", e)
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT, unix.EACCES:
		counts.Unreachable++
		return "unreachable", quietRouterTime, fmt.Errorf("the network does not reach the target, or a filter rejects its datagrams: %w", e)
	case unix.EMSGSIZE:
		counts.TooLarge++
	default:
		counts.Other++
	}
	return "", 0, nil
}
