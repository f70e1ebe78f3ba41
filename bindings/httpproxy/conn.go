package httpproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/bindings/upstream"
)

// readBuffer is the size of the buffer that a request has, in bytes. A response that fits into
// it is read at once.
const readBuffer = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// conn is a connection to the upstream. It serves one request at a time.
type conn struct {
	upstream.Conn
	pool   *upstream.Pool[*conn]
	config *Config

	mem  *[readBuffer]byte // nil while the connection is idle
	r, w int               // mem[r:w] was read and not used

	ctx      context.Context // of the request
	stop     func() bool     // ends watching it; nil as long as it is not watched
	answered bool            // a byte of an answer to this request was read
	whole    bool            // the request was sent to its end

	uploading   atomic.Bool               // the time to read does not count yet
	uploadEnded atomic.Pointer[time.Time] // when it began to count; nil before
	progress    atomic.Int32              // what the answer means for the rest of the upload
}

// How an answer that came early counts for an upload.
const (
	noAnswer int32 = iota
	accepted       // go on, but do not wait long
	refused        // the upstream does not want the rest, or is gone
)

func newConn(nc net.Conn, c *Client) *conn {
	cn := &conn{Conn: upstream.NewConn(nc), pool: c.pool, config: &c.config}
	cn.Late, cn.SendTimeout = cn.late, c.config.SendTimeout
	return cn
}

// begin prepares the connection for a request.
func (cn *conn) begin(ctx context.Context, loop upstream.Loop) {
	cn.ctx, cn.Loop, cn.stop, cn.answered, cn.whole = ctx, loop, nil, false, false
	cn.progress.Store(noAnswer)
	cn.uploadEnded.Store(nil)
}

// hold takes a read buffer.
func (cn *conn) hold() {
	cn.mem = readBuffers.Get().(*[readBuffer]byte)
	cn.r, cn.w = 0, 0
}

// letGo gives the read buffer back.
func (cn *conn) letGo() {
	if cn.mem != nil {
		readBuffers.Put(cn.mem)
		cn.mem = nil
	}
}

// release ends the use of the connection. It reports whether there was nothing left to read in
// the buffer.
func (cn *conn) release() bool {
	cn.letGo()
	cn.Loop = nil
	return cn.r == cn.w
}

// watch closes the connection when the context of the request ends, from the first call on.
func (cn *conn) watch() {
	if cn.stop == nil && cn.ctx.Done() != nil {
		cn.stop = context.AfterFunc(cn.ctx, func() { cn.Net.Close() })
	}
}

// unwatch ends that. It reports whether the connection can still be used.
func (cn *conn) unwatch() bool { return cn.stop == nil || cn.stop() }

// drop closes the connection after a fault.
func (cn *conn) drop() {
	cn.unwatch()
	cn.Net.Close()
	cn.release()
}

// finish is called when the response was read to its end: the connection goes back to the
// pool if nothing speaks against it.
func (cn *conn) finish(keep bool) {
	clean := cn.release()
	if cn.unwatch() && keep && cn.whole && clean {
		cn.ctx, cn.stop = nil, nil
		cn.pool.Put(cn)
		return
	}
	cn.Net.Close()
}

// wasStale reports whether err says that the upstream had closed a kept connection.
func (cn *conn) wasStale(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && cn.Reused && !cn.answered && e.Kind == upstream.BadResponse
}

// late is what a read does while nothing comes; see [upstream.Conn].
func (cn *conn) late(waited time.Duration) (more time.Duration) {
	cn.watch()
	t := cn.config.ReadTimeout
	switch {
	case t <= 0:
		return -1
	case cn.uploading.Load():
		return t
	case waited < t:
		return t - waited
	}
	if ended := cn.uploadEnded.Load(); ended != nil {
		return max(time.Until(ended.Add(t)), 0)
	}
	return 0
}

// buffered returns what was read and not used.
func (cn *conn) buffered() []byte { return cn.mem[cn.r:cn.w] }

// fill reads more behind what is in the buffer, which must not be full.
func (cn *conn) fill() error {
	if cn.r > 0 {
		cn.w = copy(cn.mem[:], cn.mem[cn.r:cn.w])
		cn.r = 0
	}
	n, err := cn.Conn.Read(cn.mem[cn.w:])
	cn.w += n
	cn.answered = cn.answered || n > 0
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// Read reads bytes of a body: what is buffered first.
func (cn *conn) Read(p []byte) (int, error) {
	if cn.r == cn.w {
		if len(p) >= readBuffer {
			return cn.Conn.Read(p)
		}
		if err := cn.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, cn.buffered())
	cn.r += n
	return n, nil
}

// exchange sends a request that is complete in w and reads the head of the response.
func (cn *conn) exchange(r *Request, w *wire, h *head) error {
	return cn.answerOf(cn.Ask(w.bytes, cn.mem[:]), r.Upgrade, h)
}

// answerOf reads the head of the response of which the first bytes have come, or not.
func (cn *conn) answerOf(a upstream.Asked, upgrade string, h *head) error {
	if a.SendErr == upstream.ErrStale {
		return a.SendErr
	}
	if upstream.IsTimeout(a.SendErr) {
		return cn.fault("send", a.SendErr)
	}
	cn.whole = a.SendErr == nil
	cn.w, cn.answered = a.Read, a.Read > 0
	err := a.ReadErr
	if err == nil {
		err = cn.readHead(upgrade, h)
	}
	if err != nil {
		return cn.fault("head", err)
	}
	return nil
}
