package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Kind says what sort of fault an [Error] is, so that a caller can choose a status.
type Kind int

// The kinds of faults.
const (
	// Unavailable: the backend could not be reached (refused, missing socket, unknown
	// host) or said that it is overloaded. 503.
	Unavailable Kind = iota + 1
	// Timeout: connecting, sending or reading made no progress in time, or the deadline
	// of the context passed. 504.
	Timeout
	// BadResponse: the answer breaks the protocol, is incomplete, or the connection was
	// lost. 502.
	BadResponse
	// Canceled: the caller cancelled the context or closed the body. Nobody is left to
	// be told.
	Canceled
	// BadRequest: the request cannot be sent, as its body failed, ended too early or it
	// cannot be expressed in the protocol. Not the backend's fault. 400.
	BadRequest
	// Misconfigured: the backend cannot be used as it is configured: its program is
	// missing or may not be run. 500.
	Misconfigured
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case Unavailable:
		return "unavailable"
	case Timeout:
		return "timeout"
	case BadResponse:
		return "bad response"
	case Canceled:
		return "canceled"
	case BadRequest:
		return "bad request"
	case Misconfigured:
		return "misconfigured"
	}
	return "unknown"
}

// statusClientClosed is what is logged when the client left first; nobody sees it.
const statusClientClosed = 499

// Status returns how a gateway answers after such a fault (RFC 9110 section 15.6). An error
// that has no kind is a 502.
func (k Kind) Status() int {
	switch k {
	case Unavailable:
		return http.StatusServiceUnavailable
	case Timeout:
		return http.StatusGatewayTimeout
	case BadRequest:
		return http.StatusBadRequest
	case Misconfigured:
		return http.StatusInternalServerError
	case Canceled:
		return statusClientClosed
	}
	return http.StatusBadGateway
}

// Error is the error of sending a request to a backend and of reading its answer. The error of
// a lost connection also matches io.ErrUnexpectedEOF.
type Error struct {
	Proto string // "cgi", "fcgi", "http" or "scgi"
	Op    string // what was being done; see the Error of each protocol
	Addr  string // address of the backend, as net.Dial takes it, or path of the program
	Kind  Kind
	// Sent reports whether the backend may have begun to work on the request. When it
	// is false, repeating the request elsewhere is safe whatever its method.
	Sent bool
	Err  error
}

// Error prints "fcgi /run/x.sock: dial: connect: connection refused".
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %s: %v", e.Proto, e.Addr, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the [Error] in err's chain, 0 when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// Classify sets the Kind of a fault that happened while talking to a backend, and puts Err
// into words. When ctx has ended, that is the cause. What is neither slow nor lost is a
// BadResponse as it is. peer is what the protocol calls the other side.
func (e *Error) Classify(ctx context.Context, peer string) {
	e.Kind = BadResponse
	switch err := e.Err; {
	case ctx.Err() != nil:
		e.Ended(ctx)
	case IsTimeout(err):
		e.Kind, e.Err = Timeout, fmt.Errorf("no progress: %w", Bare(err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Err = fmt.Errorf("the %s closed the connection before the end: %w", peer, io.ErrUnexpectedEOF)
	case isNet(err):
		e.Err = fmt.Errorf("connection lost: %w (%w)", io.ErrUnexpectedEOF, Bare(err))
	}
}

// Ended makes the end of ctx the cause: a Timeout when its deadline passed, else Canceled.
func (e *Error) Ended(ctx context.Context) {
	e.Kind, e.Err = Canceled, context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind = Timeout
	}
}

// IsTimeout reports whether err says that the other side made no progress in time.
func IsTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

func isNet(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// Bare strips the net.OpError, which repeats the address.
func Bare(err error) error {
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		return oe.Err
	}
	return err
}
