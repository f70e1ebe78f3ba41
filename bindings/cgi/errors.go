package cgi

import (
	"context"

	"luaserve/bindings/upstream"
)

// Error is the error of [Runner.Do] and of reading a response body. Addr is the program, Op
// "start", "head" or "body"; "request" and "upload" are not the program's fault. A program
// that cannot be run is Misconfigured; one for which there is no place or no memory is
// Unavailable.
type Error = upstream.Error

const proto = "cgi"

// canceled is the Error of a context that is done.
func canceled(ctx context.Context, program string) *Error {
	e := &Error{Proto: proto, Op: "wait", Addr: program, Sent: true}
	e.Ended(ctx)
	return e
}
