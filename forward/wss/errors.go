package wss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
)

// readFailure explains an error of a read.
func readFailure(err error) error {
	closed, isClosed := errors.AsType[*websocket.CloseError](err)
	switch {
	case isTimeout(err):
		return errors.New("no heartbeat came from the server in time")
	case errors.Is(err, websocket.ErrReadLimit):
		return fmt.Errorf("the server sent a message of more than %d bytes", maxRead)
	case isClosed && closed.Code != websocket.CloseAbnormalClosure:
		return fmt.Errorf("the server closed the connection (code %d)", closed.Code)
	case isClosed, isEOF(err):
		return errClosed
	}
	return fmt.Errorf("reading from the server: %w", certs.Reason(err))
}

var errClosed = errors.New("the server closed the connection")

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// isTimeout reports whether err is that of a deadline.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// responseFailure explains why the server sent no valid HTTP response. Its text is not
// shown: it may be long, and contain the API key.
func responseFailure(err error) error {
	_, fromNetwork := errors.AsType[net.Error](err)
	switch {
	case isEOF(err):
		return errClosed
	case fromNetwork, errors.Is(err, errTooLong):
		return err
	}
	return errors.New("the answer is not HTTP, or does not open a websocket: is this the right host and port?")
}

// refusal explains an HTTP response that does not upgrade to websocket.
func refusal(status int) error {
	what := fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return errors.New(what + ": check api_key, the name of the session in the URL, and the client certificate if the server requires one")
	case status == http.StatusNotFound:
		return errors.New(what + ": check the path of the URL")
	case status == http.StatusTooManyRequests, status >= 500:
		return errors.New(what + ": it is overloaded or out of order")
	case status >= 300 && status < 400:
		return errors.New(what + ": redirects are not followed, set the URL to which it redirects")
	}
	return errors.New(what + ", not with an upgrade to websocket: is this a submission server?")
}

// connectFailure explains why a connection failed.
func connectFailure(ctx, limited context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errTooLong):
		return errTooLong
	case limited.Err() != nil:
		return errors.New("the server did not answer in time (through the proxy, if one is set)")
	}
	return certs.Reason(err)
}
