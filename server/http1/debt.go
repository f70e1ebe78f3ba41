package http1

import (
	"errors"
	"net"
	"time"
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
	if !b.use() {
		return 0, net.ErrClosed
	}
	defer b.unuse()
	n, err := b.tryWrite(p, false)
	if err == errAgain {
		return 0, nil
	}
	return n, err
}

// paid is called by the loop when it has sent n bytes of what is owed; below zero it could not. It
// reports whether the session waits now. If not, it has to proceed.
func (c *conn) paid(n int) bool {
	if d := &c.owed; n < len(d.data) {
		d.data = d.data[max(n, 0):]
		return false
	}
	s, reply := c.session, c.reply
	if c.settle(); reply != nil {
		if c.pause(reply) {
			return true
		}
		c.reply = reply
	} else if c.park() == errParked {
		return true
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

// payOff is for a session that has to send by itself what the loop could not. It waits where it
// has to, and goes on.
func (c *conn) payOff() error {
	err := c.pay()
	if c.settle(); c.reply != nil {
		return c.resume(false) // an error is found there too
	}
	if err != nil {
		c.abort(err)
		return errLast
	}
	return nil
}

// pay sends what is owed, waiting where it has to.
func (c *conn) pay() error {
	d := c.owed
	if d.to == nil {
		return nil
	}
	c.owed = debt{}
	if d.to != c.watched {
		c.watched.yield() // theirs does not do it
	}
	if !d.to.use() {
		return net.ErrClosed
	}
	defer d.to.unuse()
	w := writer{rwc: d.to, watched: d.to, timeout: c.limits.WriteTimeout}
	err := w.send(d.data, false)
	if d.to != c.watched {
		d.to.SetWriteDeadline(time.Time{}) // that of the pool's is another one
	}
	return err
}
