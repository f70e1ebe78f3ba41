package scgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"luaserve/bindings/fcgi"
)

// Error is the error of [Client.Do] and of reading a response body. It has the fields of a
// [fcgi.Error] and unwraps to one, so that a gateway treats both the same. Op is "dial",
// "send", "head" or "body"; "request" and "upload" are not the application's fault.
type Error fcgi.Error

// Error prints "scgi /run/x.sock: dial: connect: connection refused".
func (e *Error) Error() string { return fmt.Sprintf("scgi %s: %s: %v", e.Addr, e.Op, e.Err) }

// Unwrap returns the fcgi.Error.
func (e *Error) Unwrap() error { return (*fcgi.Error)(e) }

// classify makes the Error of a fault that happened while talking to a backend.
func classify(ctx context.Context, op, addr string, err error) *Error {
	e := &Error{Op: op, Addr: addr, Kind: fcgi.BadResponse, Sent: true, Err: err}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Kind, e.Err = fcgi.Timeout, context.Cause(ctx)
	case ctx.Err() != nil:
		e.Kind, e.Err = fcgi.Canceled, context.Cause(ctx)
	case isTimeout(err):
		e.Kind, e.Err = fcgi.Timeout, fmt.Errorf("no progress: %w", bare(err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Err = fmt.Errorf("the backend closed the connection before the end: %w", io.ErrUnexpectedEOF)
	case isNet(err):
		e.Err = fmt.Errorf("connection lost: %w (%w)", io.ErrUnexpectedEOF, bare(err))
	}
	return e
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

func isNet(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

// bare strips the net.OpError, which repeats the address.
func bare(err error) error {
	if oe, ok := errors.AsType[*net.OpError](err); ok {
		return oe.Err
	}
	return err
}
