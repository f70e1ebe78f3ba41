package fcgi

import (
	"context"
	"errors"
	"fmt"

	"luaserve/bindings/upstream"
)

// Error is the error of [Client.Do] and of reading a response body. Op is "dial", "send",
// "head", "body", "stdin" or "wait". An application that answers FCGI_OVERLOADED is
// Unavailable; one whose answer is not FastCGI or not CGI gave a BadResponse.
type Error = upstream.Error

const proto = "fcgi"

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
	e := &Error{Proto: proto, Op: op, Addr: addr, Kind: upstream.BadResponse, Sent: true, Err: err}
	if end, ok := errors.AsType[endError](err); ok {
		// The application took no part in a request that it ended like this.
		e.Sent = op == "body"
		if end.status == statusOverloaded && !e.Sent {
			e.Kind = upstream.Unavailable
		}
		return e
	}
	e.Classify(context.Background(), "backend")
	return e
}

// canceled makes the Error of a context that is done.
func canceled(ctx context.Context, addr string, sent bool) *Error {
	e := &Error{Proto: proto, Op: "wait", Addr: addr, Sent: sent}
	e.Ended(ctx)
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
	return err != nil && !upstream.IsTimeout(err)
}
