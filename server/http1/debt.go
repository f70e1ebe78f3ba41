package http1

import (
	"errors"
	"net"
)

// debt is what is to be sent for a session before it waits: the end of an answer, or a request to
// a backend. Of sessions that are served one after the other it is sent in one system call, when
// all of them were.
type debt struct {
	to   watched // nil when nothing is owed
	data []byte
}

// errOwes says that the session waits for its loop to send what it owes.
var errOwes = errors.New("the loop has something to send")

// sendLast sends the end of an answer, or leaves it to the loop.
func (c *conn) sendLast(keep bool) error {
	allRead := c.body == nil && c.drained && c.r == c.w // else it may be a while until the session waits
	if !keep || !allRead || len(c.out.buf) == 0 || c.watched == nil || !c.watched.isOneOfMany() {
		return c.out.flush()
	}
	c.owed = debt{c.watched, c.out.buf}
	return nil
}

// Send implements [runtime.Pauser].
func (c *conn) Send(to net.Conn, p []byte) (int, error) {
	b, ok := to.(watched)
	if !ok {
		return to.Write(p)
	}
	if c.owed.to == nil && len(p) <= bufferSize && b.place() == c.watched.place() && c.watched.isOneOfMany() {
		c.asked = append(c.asked[:0], p...)
		c.owed = debt{b, c.asked}
		return len(p), nil
	}
	return sendNow(b, p)
}

// sendNow sends what there is room for.
func sendNow(to watched, p []byte) (int, error) {
	if !to.use() {
		return 0, net.ErrClosed
	}
	defer to.unuse()
	n, err := to.tryWrite(p, false)
	if err == errAgain {
		return 0, nil
	}
	return n, err
}

// paid is called by the loop when it has sent n bytes of what is owed; below zero it could not. It
// reports whether the session waits now. If not, it has to proceed.
func (c *conn) paid(n int) bool {
	s, reply := c.session, c.reply
	switch {
	case n < len(c.owed.data) && reply == nil:
		c.owed.data = c.owed.data[max(n, 0):]
		return false
	case n < len(c.owed.data):
		c.breakOff()
	case reply != nil:
		c.settle()
		if c.pause(reply) {
			return true
		}
		c.reply = reply
	default:
		c.settle()
		if c.park() == errParked {
			return true
		}
	}
	s.conn = c
	return false
}

// settle notes that nothing is owed any more.
func (c *conn) settle() {
	c.owed = debt{}
	if c.reply == nil {
		c.out.reset()
		c.state.Store(waiting)
	}
}

// breakOff closes a connection to a backend that does not take a request whole, or that nobody
// waits for: the request goes over another one.
func (c *conn) breakOff() {
	c.owed.to.Close()
	c.owed = debt{}
}

// payOff is for a session that has to send by itself what the loop has not, and goes on. The
// client of an answer it waits for.
func (c *conn) payOff() error {
	d := c.owed
	if c.reply != nil {
		if n, _ := sendNow(d.to, d.data); n < len(d.data) {
			c.breakOff()
		} else {
			c.settle()
		}
		return c.resume(false)
	}
	err := c.out.send(d.data, false)
	if c.settle(); err != nil {
		c.abort(err)
		return errLast
	}
	return nil
}
