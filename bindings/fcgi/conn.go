package fcgi

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"luaserve/bindings/upstream"
)

const (
	readBuffer = 16 << 10
	// starveAfter is how long a new connection may wait for the first byte of its first
	// answer before idle connections make room: the workers of the backend may all be tied
	// to those.
	starveAfter = 100 * time.Millisecond
)

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// conn is a connection to the backend. One goroutine reads from it and one writes to it.
type conn struct {
	upstream.Conn
	pool   *upstream.Pool[*conn] // nil when connections are not kept
	config *Config

	records recordReader
	mem     *[readBuffer]byte // the memory of records.buf
	upload  *upload           // the request body that follows the params, or nil

	fresh    bool // never gave a byte of an answer
	answered bool // a byte of the answer to this request was read
	broken   bool // the request was not sent in full

	readBy, writeBy time.Time // the deadlines that are set
}

func newConn(nc net.Conn, p *upstream.Pool[*conn], config *Config) *conn {
	c := &conn{Conn: upstream.NewConn(nc), pool: p, config: config, fresh: true}
	c.records.src = c
	return c
}

// begin prepares the connection for one more request.
func (c *conn) begin() {
	c.answered, c.broken, c.upload = false, false, nil
	c.mem = readBuffers.Get().(*[readBuffer]byte)
	c.records.buf = c.mem[:]
}

// release gives the read buffer back. The reading goroutine calls it when it is done.
func (c *conn) release() {
	if c.mem != nil {
		readBuffers.Put(c.mem)
		c.mem = nil
		c.records = recordReader{src: c}
	}
}

func (c *conn) close() { c.Net.Close() }

// reusable reports whether another request may go over this connection: this one ended,
// was sent in full, and nothing is left over.
func (c *conn) reusable() bool {
	return !c.broken && c.records.clean() && (c.upload == nil || c.upload.sent.Load())
}

// Read reads from the backend within the read timeout. Time in which a request body is
// still being sent does not count.
func (c *conn) Read(p []byte) (int, error) {
	starving := false
	if c.fresh && c.pool != nil {
		c.setRead(starveAfter)
	} else {
		c.armRead()
	}
	for {
		n, err := c.Net.Read(p)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			if c.fresh && c.pool != nil && !starving {
				starving = true
				c.pool.Starve()
				c.setRead(c.config.ReadTimeout)
				continue
			}
			if wait := c.upload.wait(c.config.ReadTimeout); wait > 0 {
				c.setRead(wait)
				continue
			}
		}
		if starving {
			c.pool.Fed()
		}
		if n > 0 {
			c.answered, c.fresh = true, false
			return n, nil
		}
		return n, err
	}
}

// armRead makes sure that the read deadline is at least the read timeout away. Setting one
// costs, so it is set an eighth later than asked for and then left alone for a while.
func (c *conn) armRead() {
	if t := c.config.ReadTimeout; t > 0 && time.Until(c.readBy) < t {
		c.setRead(t + t/8)
	}
}

// setRead sets the read deadline; without a duration there is none.
func (c *conn) setRead(d time.Duration) {
	c.readBy = time.Time{}
	if d > 0 {
		c.readBy = time.Now().Add(d)
	}
	c.Net.SetReadDeadline(c.readBy)
}

// Write writes to the backend within the send timeout.
func (c *conn) Write(p []byte) (int, error) {
	if t := c.config.SendTimeout; t > 0 && time.Until(c.writeBy) < t {
		c.writeBy = time.Now().Add(t + t/8)
		c.Net.SetWriteDeadline(c.writeBy)
	}
	return c.Net.Write(p)
}

// dial connects to the backend.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	starving := false
	nc, err := c.config.Dial(ctx, proto, func() {
		if c.pool != nil {
			starving = true
			c.pool.Starve()
		}
	})
	if starving {
		c.pool.Fed()
	}
	if err != nil {
		return nil, err
	}
	return newConn(nc, c.pool, &c.config), nil
}
