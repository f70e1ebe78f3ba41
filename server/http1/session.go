package http1

import (
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"luaserve/runtime"
)

// session is a connection from its beginning to its end. While a loop watches it between two
// requests, a session is all that is kept of it.
type session struct {
	srv     *Server
	rwc     net.Conn
	watched watched // rwc, when a loop watches it; else nil
	peer    runtime.Connection
	last    func() bool // whether the request that is answered is the last one; may be nil
	left    func()      // called at the end; may be nil
	state   atomic.Int32

	previous, next *session // of all of the server; its lock guards them

	served    int64         // requests that were answered
	idle      time.Duration // how long the next one may take to begin, as the last one had it
	until     moment        // when what it waits for must have come; never while it does not wait
	lingering bool          // the last answer is out; what still comes is dropped
	conn      *conn         // nil unless a part of a request has come
}

// The states of a session. A server that shuts down ends those that wait, and lets those go on
// that have begun.
const (
	waiting int32 = iota
	serving
	ended
)

// watched is a connection that a loop watches, so that nothing needs to wait for it. What
// would wait returns errAgain here; the methods of net.Conn wait, and have the loop go on
// without their goroutine meanwhile.
type watched interface {
	net.Conn
	use() bool // keeps it open until unuse; false when it is closed
	unuse()
	tryRead(p []byte) (int, error)
	tryWrite(p []byte, more bool) (int, error)
	// sendFile may wait, for as long as the timeout says
	sendFile(f runtime.SentFile, off, n int64, timeout time.Duration) (int64, error)
	// attach leaves it to the loop until something comes, or the deadline is reached. It is
	// false when something has come already. When it is true the session belongs to the loop.
	attach(s *session, deadline moment) bool
	detach() bool // takes it back; false when somebody else has it
	cut()         // closes it under whoever uses it
	yield()       // has the loop go on without this goroutine, which is about to wait
	now() moment  // the present one, or a little earlier
	// adopt returns a connection to a backend as one that loops watch, or as it is
	adopt(nc net.Conn) net.Conn
	place() int // the number of its loop, from 1 on
	// isOneOfMany reports whether the session is served in a row with others, and may owe something
	isOneOfMany() bool
	// hasMore reports whether the loop has heard of something that was not read
	hasMore() bool
}

var (
	errAgain  = errors.New("it would have to wait")
	errParked = errors.New("the loop has the session")
	errLast   = errors.New("no request follows")
)

// serve answers the requests of a session, waiting for them, until it ends.
func (s *session) serve() {
	c := newConn(s)
	defer s.recovered(c)
	for err := error(nil); ; {
		var ok bool
		switch ok, err = c.takeHead(); {
		case err != nil:
		case ok:
			err = c.answer()
		default:
			err = c.waitForMore()
		}
		if err != nil {
			s.end(c, err)
			return
		}
	}
}

// input is what was read for a session before it proceeds.
type input struct {
	data  []byte         // at most bufferSize
	err   error          // of the reading
	batch *runtime.Batch // those that were read then; nil when nothing was
}

// isNew reports whether nothing of a request has come yet.
func (s *session) isNew() bool { return s.conn == nil && !s.lingering }

// receive takes over what was read for the session.
func (s *session) receive(in input) {
	if in.batch == nil {
		return
	}
	c := newConn(s)
	c.w = copy(c.buf, in.data)
	c.drained, c.batch = c.w < bufferSize, in.batch
	s.conn = c
}

// proceed answers the requests of a watched session that have come, and leaves it to the loop
// again, which has to send something first if it owes that. It does not wait for more.
func (s *session) proceed(in input) (owes bool) {
	c := s.conn
	paused := c != nil && c.reply != nil // that is to be ended also for a client that is gone
	if s.watched.use() {
		defer s.watched.unuse()
	} else if !paused {
		s.close()
		return false
	}
	if c == nil {
		c = newConn(s)
	}
	defer s.recovered(c)
	switch {
	case s.lingering:
		s.end(c, errLast)
		return false
	case c.owed.to != nil:
		return s.goOn(c, c.payOff())
	case paused:
		return s.goOn(c, c.resume(false))
	case in.batch == nil:
		c.drained, c.batch = false, nil
	}
	return s.goOn(c, in.err)
}

// goOn answers the requests that have come, unless err says that there are no more.
func (s *session) goOn(c *conn, err error) (owes bool) {
	for err == nil {
		var ok bool
		switch ok, err = c.takeHead(); {
		case err != nil:
		case ok:
			err = c.answer()
		default:
			if err = c.readMore(); err == errAgain {
				err = c.park()
			}
		}
	}
	switch err {
	case errParked:
	case errOwes:
		s.conn = c
		return true
	default:
		s.end(c, err)
	}
	return false
}

// late ends a watched session that has waited for too long; a paused request goes on instead,
// and waits by itself. It has a goroutine of its own.
func (s *session) late() {
	s.srv.Elsewhere(1)
	defer s.srv.Elsewhere(-1)
	if c := s.conn; c != nil && c.reply != nil {
		if s.watched.use() {
			defer s.watched.unuse()
		}
		defer s.recovered(c)
		if s.goOn(c, c.resume(true)) { // there is no loop to send it
			s.proceed(input{})
		}
		return
	}
	if s.conn == nil || s.lingering || !s.watched.use() {
		s.close()
		return
	}
	defer s.watched.unuse()
	s.end(s.conn, errLate)
}

// end sends what is still to be said, and ends the session, at once or after lingering.
func (s *session) end(c *conn, err error) {
	refusal, refused := errors.AsType[*headError](err)
	if refused {
		c.refuse(refusal)
	}
	lingers := refused || s.lingering || err == errLast && !c.isAllRead()
	if lingers && s.linger(c) == errParked {
		return
	}
	c.release()
	s.close()
}

// linger lets the client read the answer before the connection goes: closing with unread input
// would reset it.
func (s *session) linger(c *conn) error {
	const longest = 500 * time.Millisecond
	if !s.lingering {
		cw, ok := s.rwc.(interface{ CloseWrite() error })
		if !ok || cw.CloseWrite() != nil {
			return io.EOF
		}
		s.lingering, s.until = true, since(time.Now().Add(longest))
	}
	if s.watched == nil {
		s.rwc.SetReadDeadline(time.Now().Add(longest))
		_, err := io.CopyN(io.Discard, s.rwc, maxDrain)
		return err
	}
	buf := c.buf
	for dropped := 0; dropped < maxDrain; {
		n, err := s.watched.tryRead(buf)
		if err == errAgain {
			s.conn = nil
			if s.watched.attach(s, s.until) {
				c.release()
				return errParked
			}
			continue
		}
		if err != nil || n == 0 {
			return io.EOF
		}
		dropped += n
	}
	return io.EOF
}

// begin makes the session one that has a request, unless the server has ended it.
func (s *session) begin() bool { return s.state.CompareAndSwap(waiting, serving) }

// close ends the session. It is called once, by whoever has it.
func (s *session) close() {
	if s.left != nil {
		s.left() // before the client learns of the end
	}
	s.rwc.Close()
	s.srv.forget(s)
}

// cut closes the connection under whoever has the session.
func (s *session) cut() {
	switch {
	case s.watched == nil:
		s.rwc.Close()
	case s.watched.detach():
		s.close()
	default:
		s.watched.cut()
	}
}

// recovered is deferred where requests are served.
func (s *session) recovered(c *conn) {
	r := recover()
	if r == nil {
		return
	}
	s.srv.log.Error("a request panicked", "panic", r, "remote", s.peer.Remote.String(), "stack", string(debug.Stack()))
	s.rwc.Close()
	// others may still hold the buffers, so no other connection gets them
	if c.body != nil {
		c.body.stop()
	}
	c.watch.stop(c)
	s.close()
}
