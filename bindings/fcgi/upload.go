package fcgi

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/bindings/upstream"
)

// uploadChunk is how much of a request body is read and sent at a time, in bytes.
const uploadChunk = 32 << 10

var uploadBuffers = sync.Pool{New: func() any { return new([uploadChunk + 4*headerLen]byte) }}

// upload sends a request body that did not go out with the params, in a goroutine of its
// own, so that an application may answer before it has read everything.
type upload struct {
	stdin  io.Reader
	length int64 // -1 when it is not known
	conn   *conn
	answer *answer
	done   func() // tells that stdin is free, or nil

	sent  atomic.Bool               // all was written, the end included
	ended atomic.Pointer[time.Time] // when run ended; nil while it runs
}

// run sends the body. When the body fails, the application must not take what it got for
// the whole, so the request is given up. When the application stops reading, its answer
// may still come; only a timeout before the head gives the request up.
func (u *upload) run() {
	err := u.send()
	now := time.Now()
	u.ended.Store(&now)
	if err != nil {
		e, ok := err.(*Error)
		if !ok && upstream.IsTimeout(err) && !u.answer.headDone.Load() {
			e = classify("send", u.conn.config.Address, err)
		}
		if e != nil {
			u.answer.abort(e)
		}
	}
	if u.done != nil {
		u.done()
	}
}

// send returns an *Error when stdin failed, any other error when the connection did.
func (u *upload) send() error {
	mem := uploadBuffers.Get().(*[uploadChunk + 4*headerLen]byte)
	defer uploadBuffers.Put(mem)
	left := u.length
	for !u.answer.over() {
		room := mem[headerLen : headerLen+uploadChunk]
		if left >= 0 && left < uploadChunk {
			room = room[:left]
		}
		n, err := 0, io.EOF
		if len(room) > 0 {
			n, err = u.stdin.Read(room)
		}
		if left > 0 {
			left -= int64(n)
		}
		last := err == io.EOF || left == 0
		if err != nil && err != io.EOF || err == io.EOF && left > 0 {
			return stdinError(u.conn.config.Address, err, true)
		}
		wire := mem[:0]
		if n > 0 {
			wire = closeRecord(mem[:headerLen+n], 0, typeStdin)
		}
		if last {
			wire = appendEmpty(wire, typeStdin)
		}
		if len(wire) > 0 {
			if _, err := u.conn.Write(wire); err != nil {
				return err
			}
		}
		if last {
			u.sent.Store(true)
			return nil
		}
	}
	return nil
}

// wait returns how long to wait on for an answer when nothing came for timeout: the time
// counts from the end of the upload. A nil upload has no say.
func (u *upload) wait(timeout time.Duration) time.Duration {
	if u == nil {
		return 0
	}
	ended := u.ended.Load()
	if ended == nil {
		return timeout
	}
	return time.Until(ended.Add(timeout))
}
