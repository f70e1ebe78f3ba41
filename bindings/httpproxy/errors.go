package httpproxy

import "luaserve/bindings/upstream"

// Error is the error of [Client.Do] and of reading a response body. Op is "dial", "send",
// "head" or "body"; "request" and "upload" are not the upstream's fault.
type Error = upstream.Error

const proto = "http"

// fault makes the Error of something that went wrong after connecting.
func (cn *conn) fault(op string, err error) *Error {
	e := &Error{Proto: proto, Op: op, Addr: cn.config.Address, Sent: true, Err: err}
	e.Classify(cn.ctx, "upstream")
	return e
}
