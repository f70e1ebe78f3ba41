package fcgi

import (
	"context"
	"net"
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
	answer  *answer           // to the request that it serves

	fresh    bool // never gave a byte of an answer
	starving bool // the pool knows that this connection waits for a worker
	answered bool // a byte of the answer to this request was read
	broken   bool // the request was not sent in full
}

func newConn(nc net.Conn, p *upstream.Pool[*conn], config *Config) *conn {
	c := &conn{Conn: upstream.NewConn(nc), pool: p, config: config, fresh: true}
	c.records.src = c
	c.Late, c.SendTimeout = c.late, config.SendTimeout
	return c
}

// begin prepares the connection for one more request.
func (c *conn) begin(a *answer) {
	c.answered, c.broken, c.upload, c.answer, c.Loop = false, false, nil, a, a.loop
}

// hold takes a read buffer.
func (c *conn) hold() {
	c.mem = readBuffers.Get().(*[readBuffer]byte)
	c.records.buf = c.mem[:]
}

// letGo gives the read buffer back.
func (c *conn) letGo() {
	if c.mem != nil {
		readBuffers.Put(c.mem)
		c.mem = nil
		c.records = recordReader{src: c}
	}
}

// release ends the use of the connection. The reading goroutine calls it when it is done.
func (c *conn) release() {
	c.letGo()
	c.Loop = nil
}

func (c *conn) close() { c.Net.Close() }

// reusable reports whether another request may go over this connection: this one ended,
// was sent in full, and nothing is left over.
func (c *conn) reusable() bool {
	return !c.broken && c.records.clean() && (c.upload == nil || c.upload.sent.Load())
}

// ask sends a request that is complete and reads the first bytes of the answer.
func (c *conn) ask(request []byte) upstream.Asked {
	asked := c.Ask(request, c.records.buf)
	c.records.w = asked.Read
	c.took(asked.Read)
	return asked
}

// Read reads from the backend within the read timeout. Time in which a request body is
// still being sent does not count.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.took(n)
	return n, err
}

// took notes that n bytes of the answer have come.
func (c *conn) took(n int) {
	if c.starving {
		c.starving = false
		c.pool.Fed()
	}
	if n > 0 {
		c.answered, c.fresh = true, false
	}
}

// late is what a read does while nothing comes; see [upstream.Conn].
func (c *conn) late(waited time.Duration) (more time.Duration) {
	c.answer.watch()
	if c.fresh && c.pool != nil && !c.starving {
		if waited < starveAfter {
			return starveAfter - waited
		}
		c.starving = true
		c.pool.Starve()
	}
	t := c.config.ReadTimeout
	if t <= 0 {
		return -1
	}
	if waited < t {
		return t - waited
	}
	return max(c.upload.wait(t), 0)
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
