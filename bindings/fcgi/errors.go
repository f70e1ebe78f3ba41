package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// Kind says what sort of fault an [Error] is, so that a caller can choose a status.
type Kind int

// The kinds of faults.
const (
	// Unavailable: the backend could not be reached (refused, missing socket, unknown
	// host) or answered FCGI_OVERLOADED. 503.
	Unavailable Kind = iota + 1
	// Timeout: connecting, sending or reading made no progress in time, or the deadline
	// of the context passed. 504.
	Timeout
	// BadResponse: the answer is not FastCGI or not CGI, is incomplete, or the
	// connection was lost. 502.
	BadResponse
	// Canceled: the caller cancelled the context or closed the body. Nobody is left to
	// be told.
	Canceled
	// BadRequest: the request cannot be sent, as its body failed, ended too early or it
	// cannot be expressed in FastCGI. Not the backend's fault.
	BadRequest
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
	}
	return "unknown"
}

// Error is the error of [Client.Do] and of reading a response body. The error of a lost
// connection also matches io.ErrUnexpectedEOF.
type Error struct {
	Op   string // "dial", "send", "head", "body", "stdin" or "wait"
	Addr string // address of the backend, as [Config] has it
	Kind Kind
	// Sent reports whether the backend may have begun to work on the request. When it
	// is false, repeating the request elsewhere is safe whatever its method.
	Sent bool
	Err  error
}

// Error prints "fcgi /run/x.sock: dial: connect: connection refused".
func (e *Error) Error() string { return fmt.Sprintf("fcgi %s: %s: %v", e.Addr, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the [Error] in err's chain, 0 when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// protocolError is an answer that breaks FastCGI or CGI/1.1.
type protocolError string

func (e protocolError) Error() string { return string(e) }

func badf(format string, args ...any) error {
	return protocolError(fmt.Sprintf(format, args...))
}

// endError is an END_REQUEST whose protocolStatus is not FCGI_REQUEST_COMPLETE
// (FastCGI 5.5).
type endError struct{ status byte }

func (e endError) Error() string {
	switch e.status {
	case statusCantMultiplex:
		return "the application refused: it cannot multiplex connections"
	case statusOverloaded:
		return "the application is overloaded"
	case statusUnknownRole:
		return "the application does not know the role"
	}
	return fmt.Sprintf("the application ended the request with protocol status %d", e.status)
}

// classify makes the Error of a fault that happened while talking to a backend.
func classify(op, addr string, err error) *Error {
	e := &Error{Op: op, Addr: addr, Kind: BadResponse, Sent: true, Err: err}
	if end, ok := errors.AsType[endError](err); ok {
		// The application took no part in a request that it ended like this.
		e.Sent = op == "body"
		if end.status == statusOverloaded && !e.Sent {
			e.Kind = Unavailable
		}
		return e
	}
	if _, ok := errors.AsType[protocolError](err); ok {
		return e
	}
	if isTimeout(err) {
		e.Kind, e.Err = Timeout, fmt.Errorf("no progress: %w", bare(err))
		return e
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		e.Err = fmt.Errorf("the backend closed the connection before the end: %w", io.ErrUnexpectedEOF)
		return e
	}
	e.Err = fmt.Errorf("connection lost: %w (%w)", io.ErrUnexpectedEOF, bare(err))
	return e
}

// canceled makes the Error of a context that is done.
func canceled(ctx context.Context, addr string, sent bool) *Error {
	e := &Error{Op: "wait", Addr: addr, Kind: Canceled, Sent: sent, Err: context.Cause(ctx)}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		e.Kind = Timeout
	}
	return e
}

// lost reports whether err means that the peer is gone, as opposed to slow or wrong.
func lost(err error) bool {
	if _, ok := errors.AsType[protocolError](err); ok {
		return false
	}
	if _, ok := errors.AsType[endError](err); ok {
		return false
	}
	return err != nil && !isTimeout(err)
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// bare strips the net.OpError, which repeats the address.
func bare(err error) error {
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		return oe.Err
	}
	return err
}
