package runtime

import (
	"context"
	"io"
	"sync/atomic"
	"time"
)

// Exchange is what the runtime knows of one HTTP request: the narrow interface between
// a front end (net/http, a fast HTTP/1.1 engine, a test) and the pipeline.
// The strings stay valid until the [Reply] is closed.
type Exchange interface {
	Context() context.Context // ends when the client goes away; asked for only by actions that wait
	Method() string
	Target() string                        // the request target as received
	Proto() string                         // "HTTP/1.0", "HTTP/1.1", "HTTP/2.0"
	Host() string                          // the Host field or :authority
	Connection() Connection                // what the requests of one connection share
	EachHeader(f func(name, value string)) // every field in order, Host included
	ContentLength() int64                  // -1 when the body is chunked
	Body() io.Reader
	// CanUpgrade reports whether the front end can hand the connection over to another
	// protocol; see [Reply.Tunnel].
	CanUpgrade() bool
}

// Waiter is what an [Exchange] implements that serves other requests in the goroutine of this
// one: Waits is called before the request waits for something, a backend or the like, so that
// others go on meanwhile. It may be called any number of times.
type Waiter interface{ Waits() }

// Waits tells the front end that the request is about to wait.
func (vr *VRequest) Waits() {
	if w, ok := vr.exchange.(Waiter); ok {
		w.Waits()
	}
}

// Batcher is what an [Exchange] implements whose request may have been read together with others,
// before any of them was handled. Batch is what they share; nil when the request came alone, or
// has waited or been preceded by another one on its connection since.
type Batcher interface{ Batch() *Batch }

// Reply is the answer to one exchange. The front end sends Status and Header, then the
// body, and closes the Reply in any case; closing releases the request.
type Reply struct {
	Status int
	Header *Header
	// Length is the length of the body in bytes, -1 when it is not known in advance.
	Length int64

	vr      *VRequest
	body    *ChunkQueue
	trailer func() []Field
	closed  func()
}

// WriteBody copies the body to w as it comes. After each piece of a stream it calls
// flush, when that is not nil. An error means that the body is incomplete: a front end
// must then cut the connection, so that the client can tell. The log says why, as an error
// unless the client is gone.
func (r *Reply) WriteBody(w io.Writer, flush func()) error {
	if r.body == nil {
		return nil
	}
	if r.vr != nil && len(r.vr.pacers) > 0 {
		w = &pacedWriter{w: w, flush: flush, pacers: r.vr.pacers}
	}
	if r.vr != nil && r.vr.sent != nil {
		w = &countedWriter{w, r.vr.sent}
	}
	err := r.body.writeTo(w, flush)
	if r.vr != nil && err != nil {
		r.vr.cutOff(err)
	}
	return err
}

// countedWriter counts what is written.
type countedWriter struct {
	w io.Writer
	n *atomic.Int64
}

func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// KeepAlive returns how long the connection may wait for its next request and how many
// requests it may serve in all, as the script has it for this one (lighttpd2,
// keepalive.timeout and keepalive.requests); 0 leaves either to the front end.
func (r *Reply) KeepAlive() (idle time.Duration, requests int64) {
	if r.vr == nil {
		return 0, 0
	}
	seconds := r.vr.Option(r.vr.prog.keepAlive[0]).(int64)
	return time.Duration(seconds) * time.Second, r.vr.Option(r.vr.prog.keepAlive[1]).(int64)
}

// OnClose has f called when the Reply is closed.
func (r *Reply) OnClose(f func()) { r.closed = f }

// NewReply is an answer that no program made, for servers and tests. body may be nil; the
// Reply closes it. length is its length in bytes, -1 when it is not known.
func NewReply(status int, length int64, body io.ReadCloser) *Reply {
	r := &Reply{Status: status, Header: &Header{}, Length: length, body: &ChunkQueue{}}
	if body != nil {
		r.body.AddStream(body)
	}
	return r
}

// NewErrorReply is the built-in page of a status, for when there is no program to ask.
func NewErrorReply(status int) *Reply {
	page := ErrorPage(status)
	r := NewReply(status, int64(len(page)), nil)
	r.Header.Insert("Content-Type", "text/html; charset=utf-8")
	r.body.AddString(page)
	return r
}

// Close ends the exchange: filters hear of it, backends that still send are dropped, the
// request's memory is reused. The Reply must not be used afterwards.
func (r *Reply) Close() {
	vr, body, closed := r.vr, r.body, r.closed
	*r = Reply{}
	if vr != nil {
		vr.release()
	} else if body != nil {
		body.Reset()
	}
	if closed != nil {
		closed()
	}
}
