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

// conn is one connection with its buffers. One goroutine serves it.
type conn struct {
	srv  *Server
	rwc  net.Conn
	buf  []byte // buf[r:w] was read and not used yet
	r, w int
	out  writer
	head head
	body *body // nil without one

	finished bool            // the request is over, its answer perhaps not all sent
	limits   *runtime.Limits // as they were when the request began

	served int64         // requests that were answered
	idle   time.Duration // for the next request, as the last one had it

	peer  runtime.Connection
	last  func() bool // whether the request that is answered is the last one; may be nil
	watch watcher
}

var connPool = sync.Pool{New: func() any { return &conn{buf: make([]byte, 4<<10)} }}

// serveConn speaks HTTP/1 on a connection until it ends, and closes it.
func (s *Server) serveConn(rwc net.Conn, peer runtime.Connection, last func() bool) {
	c := connPool.Get().(*conn)
	c.srv, c.rwc, c.r, c.w = s, rwc, 0, 0
	c.peer, c.last = peer, last
	c.served, c.idle = 0, 0
	c.out.reset(rwc)
	panicked := true
	defer func() {
		rwc.Close()
		if panicked {
			// others may still hold the connection, so nobody else gets it
			if c.body != nil {
				c.body.stop()
			}
			c.watch.stop(c)
			return
		}
		c.rwc, c.body, c.last, c.limits = nil, nil, nil, nil
		c.peer = runtime.Connection{}
		c.head.reset()
		if cap(c.buf) <= 16<<10 {
			connPool.Put(c)
		}
	}()
	for first := true; c.serveOne(first); {
		first = false
	}
	panicked = false
}

// serveOne serves one request and reports whether the connection goes on.
func (c *conn) serveOne(first bool) bool {
	if err := c.readHead(first); err != nil {
		var he *headError
		if errors.As(err, &he) {
			c.refuse(he)
		}
		return false
	}
	c.rwc.SetDeadline(time.Time{})
	c.body = nil
	if c.head.contentLength != 0 {
		c.body = newBody(c, &c.head)
	}
	c.finished = false
	reply := c.srv.handle(c)
	ok := c.respond(reply)
	c.finish(reply)
	if ok && (c.body == nil || c.body.drain()) {
		return true
	}
	c.lingeringClose()
	return false
}

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

// readHead reads until the end of a head and parses it.
func (c *conn) readHead(first bool) error {
	c.head.reset()
	c.limits = c.srv.limits()
	waits := !first && c.r == c.w // between two requests
	timeout := c.limits.HeaderTimeout
	if waits {
		timeout = c.idle
		if c.srv.closing.Load() {
			return io.EOF
		}
	}
	c.rwc.SetReadDeadline(time.Now().Add(timeout))
	c.srv.setIdle(c.rwc, true)
	seen := 0
	for begun := false; ; {
		if c.skipEmptyLines() && !begun {
			begun = true
			c.srv.setIdle(c.rwc, false)
			if waits {
				c.limits = c.srv.limits() // there may have been a reload
				c.rwc.SetReadDeadline(time.Now().Add(c.limits.HeaderTimeout))
			}
		}
		if n := headEnd(c.buf[c.r:c.w], seen); n > c.limits.HeaderBytes {
			return c.tooLong()
		} else if n > 0 {
			text := string(c.buf[c.r : c.r+n])
			c.r += n
			if err := c.head.parse(text, c.limits); err != nil {
				return err
			}
			return nil
		}
		if seen = c.w - c.r; seen > c.limits.HeaderBytes {
			return c.tooLong()
		}
		if err := c.fill(); err != nil {
			if begun && errors.Is(err, os.ErrDeadlineExceeded) {
				return &headError{408, "HTTP/1.1", "the request head did not come in time"}
			}
			return err
		}
	}
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

// fill reads more from the connection behind what the buffer holds.
func (c *conn) fill() error {
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
	n, err := c.rwc.Read(c.buf[c.w:])
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

// lingeringClose lets the client read the answer before the connection goes: closing
// with unread input would reset it.
func (c *conn) lingeringClose() {
	type closeWriter interface{ CloseWrite() error }
	cw, ok := c.rwc.(closeWriter)
	if !ok || cw.CloseWrite() != nil {
		return
	}
	c.rwc.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	io.CopyN(io.Discard, c.rwc, maxDrain)
}

// The Exchange of the connection.

// Context ends when the client goes away. It is watched for from the first call on, which
// costs a goroutine: actions that do not wait never ask.
func (c *conn) Context() context.Context { return c.watch.context(c) }

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

var _ runtime.Exchange = (*conn)(nil)
