package upstream

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// Conn is what a [Pool] has to know of a connection, and its way to read and write within
// time limits. The connections of the transports embed one. One goroutine at a time reads from
// it and one writes to it.
type Conn struct {
	Net    net.Conn
	Reused bool // came out of the pool, so it served a request before this one
	// Late is called when nothing has come for a moment, and again each time the wait that it
	// returned has passed: waited is how long this read takes already, more is how long it
	// waits on. With more at 0 the read fails; less means without a limit. It is called by the
	// goroutine that reads.
	Late func(waited time.Duration) (more time.Duration)
	// SendTimeout limits how long the backend may not take what is sent, and an eighth more;
	// 0 and less mean no limit.
	SendTimeout time.Duration

	// Loop is what the request that uses the connection runs in; nil when that has a goroutine of
	// its own.
	Loop Loop

	watched   Watched         // nil when Net is none
	place     int             // of the loop that has adopted Net; 0 when none has
	raw       syscall.RawConn // nil when Net has none
	ask       asker
	idleSince time.Duration // since start

	readBy, writeBy time.Time // the deadlines that are set; zero when there is none
}

// Moment is how long a read waits before it asks [Conn.Late] for the first time, or up to twice
// as long: most backends have answered by then, and what is needed for a longer wait costs.
const Moment = 10 * time.Millisecond

// NewConn wraps a connection that was just made.
func NewConn(nc net.Conn) Conn {
	c := Conn{Net: nc}
	c.watched, _ = nc.(Watched)
	if sc, ok := nc.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	return c
}

func (c *Conn) shared() *Conn { return c }

// Read reads what comes next.
func (c *Conn) Read(p []byte) (int, error) {
	c.waits()
	now := time.Now()
	c.armRead(now)
	n, err := c.Net.Read(p)
	return c.readOn(now, p, n, err)
}

// readOn takes the result of a read that began at start, and waits on where that ran into its
// deadline and [Conn.Late] says so.
func (c *Conn) readOn(start time.Time, p []byte, n int, err error) (int, error) {
	for n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		more := c.Late(time.Since(start))
		if more == 0 {
			break
		}
		c.setRead(more)
		n, err = c.Net.Read(p)
	}
	return n, err
}

// armRead makes sure that the read deadline is a moment away, or up to two: setting one costs,
// so it is set a moment later than it has to be and then left alone.
func (c *Conn) armRead(now time.Time) {
	if left := c.readBy.Sub(now); left < Moment || left > 2*Moment {
		c.readBy = now.Add(2 * Moment)
		c.Net.SetReadDeadline(c.readBy)
	}
}

// setRead sets the read deadline; less than 0 means that there is none.
func (c *Conn) setRead(d time.Duration) {
	c.readBy = time.Time{}
	if d > 0 {
		c.readBy = time.Now().Add(d)
	}
	c.Net.SetReadDeadline(c.readBy)
}

// Write writes within the send timeout.
func (c *Conn) Write(p []byte) (int, error) {
	c.armWrite(time.Now())
	return c.Net.Write(p)
}

// armWrite is armRead for the send timeout.
func (c *Conn) armWrite(now time.Time) {
	if t := c.SendTimeout; t > 0 && c.writeBy.Sub(now) < t {
		c.writeBy = now.Add(t + t/8)
		c.Net.SetWriteDeadline(c.writeBy)
	}
}

// Rearm is to be called after others have set deadlines of Net: they do not count any more.
func (c *Conn) Rearm() {
	c.readBy, c.writeBy = time.Time{}, time.Time{}
	c.Net.SetDeadline(time.Time{})
}

// Asked is what became of [Conn.Ask].
type Asked struct {
	Sent    int   // bytes of the request that were written
	SendErr error // why no more
	Read    int   // bytes of the answer
	ReadErr error
}

// ErrStale is the SendErr of a kept connection that the backend has closed, or on which it has
// sent something that would be taken for the answer. Nothing was sent then.
var ErrStale = errors.New("the backend has closed a kept connection")

// Ask writes a request and reads the first bytes of its answer into p. When writing fails it
// reads what there is: the backend may have answered and left. On a kept connection it looks
// first whether that is still open.
func (c *Conn) Ask(request, p []byte) (a Asked) {
	if c.Reused && c.watched != nil && !c.watched.Quiet() {
		a.SendErr = ErrStale
		return a
	}
	c.waits()
	if c.raw == nil || !c.Reused {
		a.Sent, a.SendErr = c.Write(request)
		return c.answer(p, a)
	}
	now := time.Now()
	c.armWrite(now)
	c.armRead(now)
	a = c.askRaw(request, p)
	for errors.Is(a.SendErr, os.ErrDeadlineExceeded) { // passed before anything was tried
		c.setRead(2 * Moment)
		a = c.askRaw(request, p)
	}
	switch {
	case a.SendErr == ErrStale:
	case a.SendErr != nil:
		a = c.answer(p, a)
	case a.Sent < len(request):
		n, err := c.Net.Write(request[a.Sent:])
		a.Sent, a.SendErr = a.Sent+n, err
		a = c.answer(p, a)
	default:
		a.Read, a.ReadErr = c.readOn(now, p, a.Read, a.ReadErr)
	}
	return a
}

// answer reads what there is after a request was written, or could not be.
func (c *Conn) answer(p []byte, a Asked) Asked {
	if !IsTimeout(a.SendErr) {
		a.Read, a.ReadErr = c.Read(p)
	}
	return a
}
