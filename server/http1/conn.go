package http1

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"luaserve/runtime"
)

// conn is what a session needs while it has a request: buffers and what is known of the
// request. One goroutine serves it.
type conn struct {
	*session
	buf  []byte // buf[r:w] was read and not used yet; nil while the request is paused
	r, w int
	seen int // how much of that was searched for the end of a head
	out  writer
	head head
	body *body // nil without one

	reply *runtime.Reply // of a request that is paused; else nil
	batch *runtime.Batch // see Batch
	lent  *buffers       // what buffers are lent in; nil until they were
	owed  debt
	asked []byte // the memory for a request to a backend that is owed

	begun    bool            // a part of a head has come
	drained  bool            // the last read took all that there was
	finished bool            // the request is over, its answer perhaps not all sent
	limits   *runtime.Limits // as they were when the request began
	watch    watcher
}

// bufferSize is what a request has at first for its head, and an answer for its own, in bytes.
const bufferSize = 4 << 10

var connPool = sync.Pool{New: func() any {
	c := &conn{buf: make([]byte, bufferSize), out: writer{buf: make([]byte, 0, bufferSize)}}
	c.out.flushNow = func() { c.out.flush() }
	return c
}}

// buffers are those of a conn that does not need them for now. The ones used last are used next:
// they are still in the processor's caches, which those of all paused requests would not fit.
type buffers struct{ in, out []byte }

var buffersPool = sync.Pool{New: func() any { return &buffers{make([]byte, bufferSize), make([]byte, 0, bufferSize)} }}

// lendBuffers gives the buffers to others, if nothing is in them and nobody may read into them.
func (c *conn) lendBuffers() {
	if c.r < c.w || len(c.out.buf) > 0 || c.body != nil || c.watch.active() {
		return
	}
	b := c.lent
	if b == nil {
		b = &buffers{}
	}
	b.in, b.out = c.buf, c.out.buf
	c.r, c.w, c.buf, c.out.buf, c.lent = 0, 0, nil, nil, nil
	buffersPool.Put(b)
}

// takeBuffers takes buffers again, if it has lent its own.
func (c *conn) takeBuffers() {
	if c.buf != nil {
		return
	}
	c.lent = buffersPool.Get().(*buffers)
	c.buf, c.out.buf = c.lent.in, c.lent.out
}

func newConn(s *session) *conn {
	c := connPool.Get().(*conn)
	c.session = s
	c.out.rwc, c.out.watched = s.rwc, s.watched
	return c
}

// release gives the memory to other sessions.
func (c *conn) release() {
	if cap(c.buf) > 4*bufferSize {
		return
	}
	c.head.reset()
	c.session, c.body, c.limits, c.batch, c.owed = nil, nil, nil, nil, debt{}
	c.r, c.w, c.seen, c.begun = 0, 0, 0, false
	c.out.rwc, c.out.watched, c.out.buf = nil, nil, c.out.buf[:0]
	connPool.Put(c)
}

// takeHead parses the next head, if all of it has come. An error ends the session; a
// *headError is told to the client.
func (c *conn) takeHead() (ok bool, err error) {
	if !c.begun {
		if !c.skipEmptyLines() {
			return false, nil
		}
		if !c.begin() {
			return false, io.EOF
		}
		c.begun, c.seen, c.until = true, 0, never
		c.head.reset()
		c.limits = c.srv.limits()
	}
	n := headEnd(c.buf[c.r:c.w], c.seen)
	if c.seen = c.w - c.r; n > c.limits.HeaderBytes || n == 0 && c.seen > c.limits.HeaderBytes {
		return false, c.tooLong()
	}
	if n == 0 {
		return false, nil
	}
	text := string(c.buf[c.r : c.r+n])
	c.r += n
	if err := c.head.parse(text, c.limits); err != nil {
		return false, err
	}
	return true, nil
}

// answer has the request answered whose head was taken. The error is errLast when no other
// one follows.
func (c *conn) answer() error {
	c.body = nil
	if c.head.contentLength != 0 {
		c.body = newBody(c, &c.head)
	}
	c.finished = false
	return c.deliver(c.srv.handle(c))
}

// resume goes on with a paused request; see [runtime.Reply.Resume].
func (c *conn) resume(wait bool) error {
	reply := c.reply
	c.reply = nil
	c.takeBuffers()
	reply.Resume(wait)
	return c.deliver(reply)
}

// deliver sends an answer when it is complete. Until then the request is left to the loops.
func (c *conn) deliver(reply *runtime.Reply) error {
	for wait := false; reply.Paused() != nil; wait = true {
		if c.owed.to != nil {
			c.reply = reply
			return errOwes
		}
		if c.pause(reply) {
			return errParked
		}
		reply.Resume(wait) // something has come already, or seems to have
	}
	if c.owed.to != nil {
		c.breakOff()
	}
	c.batch = nil // what follows on the connection sees what this request has done
	ok := c.respond(reply)
	c.finish(reply)
	if ok && (c.body == nil || c.body.drain()) {
		c.begun, c.until = false, never
		if c.owed.to != nil {
			return errOwes
		}
		c.state.Store(waiting)
		return nil
	}
	return errLast
}

// pause leaves a session to the loop that watches what its request waits for. The caller must not
// touch the session any more when it is true.
func (c *conn) pause(reply *runtime.Reply) bool {
	on, ok := reply.Paused().(watched)
	if !ok {
		return false
	}
	c.lendBuffers()
	s := c.session
	c.reply, s.conn = reply, c
	if on.attach(s, c.now()+moment(pauseFor)) {
		return true
	}
	c.reply, s.conn = nil, nil
	c.takeBuffers()
	return false
}

// pauseFor is how long a request is left to the loops. Then it gets a goroutine, which waits for
// the backend within its limits and has the client watched.
const pauseFor = 50 * time.Millisecond

// finish ends what the program does for a request, once: the memory of the reply belongs to
// another request then.
func (c *conn) finish(reply *runtime.Reply) {
	if c.finished {
		return
	}
	c.finished = true
	if c.body != nil {
		c.body.stop() // before the memory of the request is used again
	}
	reply.Close()
	c.watch.stop(c)
}

// tooLong says which part of an endless head is too long.
func (c *conn) tooLong() error {
	if line, _, _, ok := cutLine(string(c.buf[c.r:c.w])); !ok || len(line) > c.limits.TargetBytes+64 {
		return &headError{414, "HTTP/1.1", "the request line is too long"}
	}
	return &headError{431, "HTTP/1.1", "the request head is too long"}
}

// skipEmptyLines skips empty lines before a request line (RFC 9112, 2.2) and reports
// whether anything else has come.
func (c *conn) skipEmptyLines() bool {
	for c.r < c.w && (c.buf[c.r] == '\r' || c.buf[c.r] == '\n') {
		c.r++
	}
	return c.r < c.w
}

// waitForMore waits until more of a head has come.
func (c *conn) waitForMore() error {
	deadline, err := c.deadline()
	if err != nil {
		return err
	}
	c.rwc.SetReadDeadline(deadline.time())
	if err := c.fill(); c.begun && errors.Is(err, os.ErrDeadlineExceeded) {
		return errLate
	} else if err != nil {
		return err
	}
	return nil
}

// errLate is what a client is told that took too long for its head.
var errLate = &headError{408, "HTTP/1.1", "the request head did not come in time"}

// deadline is when more must have come: of a head that has begun, or of the next one.
func (c *conn) deadline() (moment, error) {
	if !c.begun && c.srv.closing.Load() {
		return never, io.EOF
	}
	if c.until != never {
		return c.until, nil
	}
	limits := c.srv.limits() // there may have been a reload
	wait := limits.HeaderTimeout
	if !c.begun && c.served > 0 {
		wait = c.idle
	}
	c.until = c.now() + moment(wait)
	return c.until, nil
}

// now is the present moment; on a watched connection it may be a little earlier.
func (c *conn) now() moment {
	if c.watched != nil {
		return c.watched.now()
	}
	return now()
}

// readMore reads what has come on a watched connection.
func (c *conn) readMore() error {
	if c.drained {
		return errAgain
	}
	c.batch = nil
	room := c.room()
	n, err := c.watched.tryRead(room)
	if err == nil && n == 0 {
		return io.EOF
	}
	c.w += n
	c.drained = n < len(room)
	return err
}

// park leaves the session to its loop; nil means that it has to go on. The memory is only kept
// for a head that has begun.
func (c *conn) park() error {
	deadline, err := c.deadline()
	if err != nil {
		return err
	}
	s, empty := c.session, !c.begun && c.r == c.w
	if s.conn = c; empty {
		s.conn = nil
	}
	if s.watched.attach(s, deadline) {
		if empty {
			c.release()
		}
		return errParked
	}
	s.conn, c.drained = nil, false
	return nil
}

// room makes room behind what the buffer holds.
func (c *conn) room() []byte {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(c.buf) {
		if c.r > 0 {
			c.w = copy(c.buf, c.buf[c.r:c.w])
			c.r = 0
		} else {
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
	}
	return c.buf[c.w:]
}

// isAllRead reports whether the client has sent all that it will, as far as it has said so, and
// nothing of that is unread, as far as is known: the connection can be closed at once then. Those
// who send bodies are known to send more than they said (RFC 9112, 2.2), and would lose a part of
// the answer when the connection is reset under it.
func (c *conn) isAllRead() bool {
	get := c.head.method == "GET" || c.head.method == "HEAD"
	return c.watched != nil && get && c.body == nil && !c.head.keepAlive && c.drained && c.r == c.w && !c.watched.hasMore()
}

// fill reads more from the connection behind what the buffer holds.
func (c *conn) fill() error {
	c.drained = false
	n, err := c.rwc.Read(c.room())
	c.w += n
	if n > 0 {
		return nil
	}
	return err
}

// read reads body bytes: what is buffered first.
func (c *conn) read(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	began, err := c.await()
	if err != nil {
		return 0, err
	}
	c.drained = false // what is behind the body may have come with it
	n, err := c.rwc.Read(p)
	c.body.pace.Spend(time.Since(began), n)
	return n, err
}

// await sets the deadline for the next bytes of the body, unless that is stopped.
func (c *conn) await() (began time.Time, err error) {
	began = time.Now()
	c.rwc.SetReadDeadline(began.Add(c.body.pace.Left(c.limits)))
	if c.body.over.Load() {
		return began, errOver
	}
	return began, nil
}

func (c *conn) readByte() (byte, error) {
	if c.r == c.w {
		began, err := c.await()
		if err != nil {
			return 0, err
		}
		err = c.fill()
		c.body.pace.Spend(time.Since(began), c.w-c.r)
		if err != nil {
			return 0, err
		}
	}
	b := c.buf[c.r]
	c.r++
	return b, nil
}

// The Exchange of the connection.

// Context ends when the client goes away. It is watched for from the first call on, which
// costs a goroutine: actions that do not wait never ask.
func (c *conn) Context() context.Context {
	c.Waits()
	return c.watch.context(c)
}

// Waits implements [runtime.Waiter].
func (c *conn) Waits() {
	c.batch = nil
	if c.watched != nil {
		c.watched.yield()
	}
}

// Batch implements [runtime.Batcher].
func (c *conn) Batch() *runtime.Batch {
	if c.body != nil { // which comes later
		return nil
	}
	return c.batch
}

// CanPause implements [runtime.Pauser].
func (c *conn) CanPause() bool { return c.watched != nil }

// Adopt implements [runtime.Pauser].
func (c *conn) Adopt(nc net.Conn) net.Conn {
	if c.watched == nil {
		return nc
	}
	return c.watched.adopt(nc)
}

// Place implements [runtime.Pauser].
func (c *conn) Place() int {
	if c.watched == nil {
		return 0
	}
	return c.watched.place()
}

func (c *conn) Method() string                 { return c.head.method }
func (c *conn) Target() string                 { return c.head.target }
func (c *conn) Proto() string                  { return c.head.proto }
func (c *conn) Host() string                   { return c.head.host }
func (c *conn) Connection() runtime.Connection { return c.peer }
func (c *conn) ContentLength() int64           { return c.head.contentLength }

// CanUpgrade implements [runtime.Exchange].
func (c *conn) CanUpgrade() bool { return true }

func (c *conn) Body() io.Reader {
	if c.body == nil {
		return nil
	}
	return c.body
}

func (c *conn) EachHeader(f func(name, value string)) {
	for _, field := range c.head.fields {
		f(field.Name, field.Value)
	}
}

var (
	_ runtime.Exchange = (*conn)(nil)
	_ runtime.Pauser   = (*conn)(nil)
	_ runtime.Batcher  = (*conn)(nil)
)
