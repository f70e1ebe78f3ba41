package fcgi

import (
	"errors"
	"io"
	"time"

	"luaserve/bindings/upstream"
)

var errClosed = errors.New("the response body was closed")

// Read implements io.Reader. It gives as much as is at hand without waiting again.
func (a *answer) Read(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.data) > 0 {
		n := copy(p, a.data)
		a.data = a.data[n:]
		return n, nil
	}
	return a.read(p)
}

func (a *answer) read(p []byte) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	c := a.conn.Load()
	if c == nil {
		a.giveUp()
		return 0, a.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if c.records.left > 0 {
			if a.noBody || a.left == 0 {
				if !a.drain(c) {
					return 0, a.err
				}
				continue
			}
			return a.take(c, p)
		}
		ended, err := a.step(c)
		if err != nil {
			a.broke(c, err)
			return 0, a.err
		}
		if ended {
			a.finish(c)
			return 0, a.err
		}
	}
}

// take reads body bytes, and finishes the request at once when its end is at hand.
func (a *answer) take(c *conn, p []byte) (int, error) {
	if a.left >= 0 && int64(len(p)) > a.left {
		p = p[:a.left]
	}
	n := 0
	for {
		k, err := c.records.read(p[n:])
		n += k
		if a.left > 0 {
			a.left -= int64(k)
		}
		if err != nil {
			a.broke(c, err)
			return n, a.err
		}
		a.settle(c)
		if a.err != nil || n == len(p) || c.records.left == 0 || c.records.r == c.records.w {
			return n, nil
		}
	}
}

// settle takes in the records that are wholly in the buffer, up to the next piece of body.
// So the end of a short response is known, and the connection free for others, before its
// last bytes were passed on.
func (a *answer) settle(c *conn) {
	for a.err == nil && c.records.left == 0 {
		typ, length, whole := c.records.ahead()
		if !whole && !(typ == typeStdout && length > 0) {
			return
		}
		ended, err := a.step(c)
		if err != nil {
			a.broke(c, err)
		} else if ended {
			a.finish(c)
		}
	}
}

// readWhole reads the body at once when all of it, and the end of the request, is at hand.
func (a *answer) readWhole(c *conn) {
	if a.err != nil || a.noBody {
		return
	}
	n, ended := c.records.bodyAhead()
	if !ended || n == 0 {
		return
	}
	data := make([]byte, n)
	n = 0
	for a.err == nil && n < len(data) {
		k, _ := a.read(data[n:])
		n += k
	}
	a.data = data[:n]
	if a.err == io.EOF {
		a.response.Data = a.data
	}
}

// drain reads past body bytes that must not be there. A body that is longer than promised
// ends the connection at once; where none is allowed, a little is read past to keep it.
func (a *answer) drain(c *conn) bool {
	if a.noBody {
		if a.drainBy.IsZero() && a.config.ReadTimeout > 0 {
			a.drainBy = time.Now().Add(a.config.ReadTimeout)
		}
		a.drained += c.records.left
		if a.drained <= drainLimit && (a.drainBy.IsZero() || time.Now().Before(a.drainBy)) {
			if err := c.records.discard(c.records.left); err != nil {
				a.broke(c, err)
				return false
			}
			c.records.left = 0
			return true
		}
	}
	a.broke(c, errClosed)
	if a.cause.Load() == nil {
		a.err = io.EOF
	}
	return false
}

// broke ends reading after a fault.
func (a *answer) broke(c *conn, err error) {
	a.unwatch()
	a.err = a.fail(c, "body", err)
}

// giveUp ends reading after an abort from outside.
func (a *answer) giveUp() {
	a.unwatch()
	a.lines.Flush()
	a.err = a.cause.Load()
}

// Close implements io.Closer.
func (a *answer) Close() error {
	if !a.over() {
		a.abort(a.closed())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err == nil:
		a.giveUp()
	case len(a.data) > 0:
		a.data, a.err = nil, a.closed()
	}
	return nil
}

func (a *answer) closed() *Error {
	return &Error{Proto: proto, Op: "body", Addr: a.config.Address, Kind: upstream.Canceled, Sent: true, Err: errClosed}
}
