package fcgi

import (
	"io"
	"sync"

	"github.com/yookoala/gofast"

	"luaserve/bindings/upstream"
)

const (
	// inlineStdin is the longest request body, in bytes, that goes out in one write
	// with the params and is kept for a repetition.
	inlineStdin = 32 << 10
	// keepBuffer is the largest buffer, in bytes, that is worth keeping.
	keepBuffer = 128 << 10
)

// outgoing is a request as it goes over the wire.
type outgoing struct {
	wire []byte // from BEGIN_REQUEST on; to the end of STDIN unless stream is set
	// repeatable: the request may be sent a second time.
	repeatable bool
	// stream: the body does not come with wire, an upload has to follow.
	stream bool
	length int64 // of the body when stream is set, -1 when it is not known
	isHead bool  // the response to HEAD has no body
}

var outgoingPool = sync.Pool{New: func() any { return &outgoing{wire: make([]byte, 0, 4<<10)} }}

// encode puts r into records. It reads a short body, which may wait. The caller frees the
// result.
func encode(r *Request, keep bool, addr string) (*outgoing, error) {
	out := outgoingPool.Get().(*outgoing)
	method := r.method()
	out.isHead = method == "HEAD"
	role := r.Role
	if role == 0 {
		role = gofast.RoleResponder
	}
	w := appendBegin(out.wire[:0], uint16(role), keep)
	w = appendParams(w, r.Params)
	out.length = r.stdinLength()
	out.stream = out.length < 0 || out.length > inlineStdin
	out.repeatable = !out.stream && r.idempotent(method)
	if !out.stream {
		if out.length > 0 {
			n := int(out.length)
			start := len(w)
			w = append(openRecord(w), make([]byte, n)...)
			if _, err := io.ReadFull(r.Stdin, w[start+headerLen:]); err != nil {
				out.wire = w
				out.free()
				return nil, stdinError(addr, err, false)
			}
			w = closeRecord(w, start, typeStdin)
		}
		w = appendEmpty(w, typeStdin)
	}
	out.wire = w
	return out, nil
}

// free gives the buffer back.
func (out *outgoing) free() {
	if cap(out.wire) <= keepBuffer {
		outgoingPool.Put(out)
	}
}

// stdinError makes the Error of a request body that could not be read to its promised end.
func stdinError(addr string, err error, sent bool) *Error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &Error{Proto: proto, Op: "stdin", Addr: addr, Kind: upstream.BadRequest, Sent: sent, Err: err}
}
