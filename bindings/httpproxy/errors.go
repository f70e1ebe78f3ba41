package httpproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// Kind says what sort of fault an [Error] is.
type Kind int

// The kinds of faults.
const (
	// Unavailable: the upstream could not be reached.
	Unavailable Kind = iota + 1
	// Timeout: connecting, sending or reading made no progress in time.
	Timeout
	// BadResponse: the answer is not HTTP/1, is incomplete, or the connection was lost.
	BadResponse
	// Canceled: the caller cancelled the context or closed the body.
	Canceled
	// BadRequest: the request cannot be sent, or its body failed or ended too early. Not
	// the upstream's fault.
	BadRequest
)

// Status returns how a gateway answers after such a fault (RFC 9110 section 15.6).
func (k Kind) Status() int {
	switch k {
	case Unavailable:
		return http.StatusServiceUnavailable
	case Timeout:
		return http.StatusGatewayTimeout
	case BadRequest:
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// Error is the error of [Client.Do] and of reading a response body. The error of a lost
// connection also matches io.ErrUnexpectedEOF.
type Error struct {
	Op   string // "dial", "send", "head" or "body"; "request" and "upload" are not the upstream's fault
	Addr string // address of the upstream, as [Config] has it
	Kind Kind
	// Sent reports whether the upstream may have begun to work on the request. When it is
	// false, repeating the request elsewhere is safe whatever its method.
	Sent bool
	Err  error
}

// Error prints "http 127.0.0.1:8080: dial: connect: connection refused".
func (e *Error) Error() string { return fmt.Sprintf("http %s: %s: %v", e.Addr, e.Op, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fault makes the Error of something that went wrong after connecting.
func (cn *conn) fault(op string, err error) *Error {
	e := &Error{Op: op, Addr: cn.config.Address, Kind: BadResponse, Sent: true, Err: err}
	switch {
	case errors.Is(cn.ctx.Err(), context.DeadlineExceeded):
		e.Kind, e.Err = Timeout, context.Cause(cn.ctx)
	case cn.ctx.Err() != nil:
		e.Kind, e.Err = Canceled, context.Cause(cn.ctx)
	case isTimeout(err):
		e.Kind, e.Err = Timeout, fmt.Errorf("no progress: %w", bare(err))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Err = fmt.Errorf("the upstream closed the connection before the end: %w", io.ErrUnexpectedEOF)
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
