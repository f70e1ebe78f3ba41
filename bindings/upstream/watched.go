package upstream

import (
	"io"
	"net"
	"time"
)

// Loop is what serves a request when others share its goroutine.
type Loop interface {
	// Waits is called before something waits, so that the others go on meanwhile.
	Waits()
	// Adopt returns a [Watched] connection in the place of an idle one, or that itself when
	// there can be none.
	Adopt(nc net.Conn) net.Conn
	// Send sends what there is room for on a connection that Adopt has returned, now or when the
	// request pauses; then an error is found when the answer is read.
	Send(to net.Conn, p []byte) (int, error)
	// Place tells such goroutines apart: what comes over a connection that was adopted goes on
	// in the one that has adopted it, on whose processor a request should stay. It is above 0.
	Place() int
}

// Watched is a connection that is looked after by somebody who says when something has come,
// so that nobody needs to wait in a read.
type Watched interface {
	net.Conn
	// Quiet reports whether the other side has neither closed the connection nor sent anything
	// that was not read.
	Quiet() bool
	// TryRead reads what has come; with again that is nothing, and the connection is open.
	TryRead(p []byte) (n int, again bool, err error)
}

// waits is called before the connection waits.
func (c *Conn) waits() {
	if c.Loop != nil {
		c.Loop.Waits()
	}
}

// Adopt gives an idle connection to a loop, if it is not with one already, and reports whether
// it is watched.
func (c *Conn) Adopt(loop Loop) bool {
	if c.watched != nil {
		return true
	}
	c.Net = loop.Adopt(c.Net)
	if c.watched, _ = c.Net.(Watched); c.watched == nil {
		return false
	}
	c.place = loop.Place()
	c.raw = nil
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	return true
}

// Send returns the kept connection over which it has sent a request; nil when there is none that
// loop watches, or when that did not take the request at once.
func (p *Pool[C]) Send(loop Loop, request []byte) C {
	var none C
	for place := loop.Place(); ; {
		c := p.get(place)
		if c == none {
			return none
		}
		conn := c.shared()
		if !conn.Adopt(loop) {
			p.Put(c)
			return none
		}
		err := conn.Send(loop, request)
		if err == nil {
			return c
		}
		conn.Net.Close()
		if err != ErrStale {
			return none
		}
	}
}

// Send is the first half of [Conn.Ask], on a kept connection that is watched. It does not wait:
// when the request does not fit the connection that is an error.
func (c *Conn) Send(loop Loop, request []byte) error {
	if !c.watched.Quiet() {
		return ErrStale
	}
	n, err := loop.Send(c.Net, request)
	if err == nil && n < len(request) {
		err = io.ErrShortWrite
	}
	return err
}

// Receive is the second half: it reads the first bytes of the answer. Without wait, again says
// that they are not there yet.
func (c *Conn) Receive(p []byte, wait bool) (n int, again bool, err error) {
	if wait {
		c.readBy = time.Time{} // who has watched has set a deadline of its own
		n, err = c.Read(p)
		return n, false, err
	}
	if n, again, err = c.watched.TryRead(p); n == 0 && !again && err == nil {
		err = io.EOF
	}
	return n, again, err
}
