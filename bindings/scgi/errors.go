package scgi

import (
	"context"

	"luaserve/bindings/upstream"
)

// Error is the error of [Client.Do] and of reading a response body. Op is "dial", "send",
// "head" or "body"; "request" and "upload" are not the application's fault.
type Error = upstream.Error

const proto = "scgi"

// classify makes the Error of a fault that happened while talking to a backend.
func classify(ctx context.Context, op, addr string, err error) *Error {
	e := &Error{Proto: proto, Op: op, Addr: addr, Sent: true, Err: err}
	e.Classify(ctx, "backend")
	return e
}
