// Package memcached is a client of one memcached server. It speaks the classic text protocol
// (protocol.txt in memcached's sources) as far as a cache of responses needs it: gets and set.
//
// It trusts the server with nothing: an operation ends within its timeout whatever the server
// sends, memory is taken for what came and not for what was announced, and a server that fails
// is left alone for a moment, so that a slow one is waited for once a second and not once a
// request.
package memcached

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"luaserve/bindings/upstream"
)

// Config describes a server. Only Network and Address are required.
type Config struct {
	Network string // "unix" or "tcp"
	Address string // as net.Dial takes it; see [upstream.ParseAddress]
	Within  string // the directory that a unix socket must lie in, see [upstream.DialWithin]; "" is no limit

	// Timeout limits an operation in all: connecting, sending, and the whole answer. 0 means
	// 1 second.
	Timeout time.Duration
	// Pause is for how long the server is not asked after it failed; then one operation
	// tries again. 0 means 1 second.
	Pause time.Duration
	// MaxIdle is how many connections are kept for later operations, each for IdleTime. 0
	// means 16 and 1 minute.
	MaxIdle  int
	IdleTime time.Duration
}

// Item is what a server holds under a key.
type Item struct {
	Flags uint32 // belongs to those who store
	CAS   uint64 // changes with each set
	Value []byte
}

// What a server can answer instead of an item or of having stored one.
var (
	ErrNotFound  = errors.New("not found")
	ErrNotStored = errors.New("not stored")
	ErrExists    = errors.New("changed by somebody else")
)

// ErrPaused is returned while a server that failed is left alone.
var ErrPaused = errors.New("the server failed a moment ago and is left alone")

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	config Config
	pool   *upstream.Pool[*conn]
	born   time.Time
	// retryAt is when a server that failed may be asked again, in nanoseconds since born,
	// which a change of the clock leaves alone; 0 when it works.
	retryAt atomic.Int64
}

// NewClient returns a client for the server that config describes. It connects when there is
// something to ask.
func NewClient(config Config) *Client {
	orDefault(&config.Timeout, time.Second)
	orDefault(&config.Pause, time.Second)
	orDefault(&config.MaxIdle, 16)
	orDefault(&config.IdleTime, time.Minute)
	return &Client{config: config, born: time.Now(), pool: upstream.NewPool[*conn](config.MaxIdle, config.IdleTime)}
}

func orDefault[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Close closes the idle connections. Operations that run come to their end.
func (c *Client) Close() { c.pool.Close() }

// Get returns what is stored under key. max bounds the length of the value in bytes; a
// longer one is a [*TooLargeError]. Any key is possible, see [Key].
//
// What is not there is [ErrNotFound]; other errors are [ErrPaused] or an [upstream.Error].
func (c *Client) Get(key string, max int64) (*Item, error) {
	key = Key(key)
	var item *Item
	err := c.do("get", net.Buffers{[]byte("gets " + key + "\r\n")}, func(br *bufio.Reader) (err error) {
		item, err = readItem(br, key, max)
		return err
	})
	if err != nil {
		return nil, err
	}
	return item, nil
}

// Set stores a value under key, whatever was there. ttl is for how long in seconds, 0 until
// the server needs the place. Any key is possible, see [Key].
//
// Errors are [ErrNotStored], [ErrExists], [ErrNotFound], [ErrPaused] or an [upstream.Error];
// one that wraps a [RefusedError] says why the server does not want the value.
func (c *Client) Set(key string, flags uint32, ttl int64, value []byte) error {
	head := appendSet(nil, Key(key), flags, expiry(ttl, time.Now()), len(value))
	return c.do("set", net.Buffers{head, value, []byte("\r\n")}, readStored)
}

// conn is a connection to the server.
type conn struct {
	upstream.Conn
	br *bufio.Reader
}

// do sends a command and has its answer read. Commands can be repeated: one that met a
// connection which the server had closed meanwhile is, on a new one.
func (c *Client) do(op string, command net.Buffers, read func(*bufio.Reader) error) error {
	if !c.mayTry() {
		return ErrPaused
	}
	deadline := time.Now().Add(c.config.Timeout)
	if cn := c.pool.Get(); cn != nil {
		err := cn.exchange(deadline, command, read)
		if !isLost(err) {
			return c.end(op, cn, err)
		}
		cn.Net.Close()
	}
	nc, err := c.dial(deadline)
	if err != nil {
		c.pause()
		e := c.fault("dial", upstream.Bare(err))
		if e.Kind = upstream.Unavailable; upstream.IsTimeout(err) {
			e.Kind = upstream.Timeout
		}
		return e
	}
	cn := &conn{Conn: upstream.NewConn(nc), br: bufio.NewReader(nc)}
	return c.end(op, cn, cn.exchange(deadline, command, read))
}

func (c *Client) dial(deadline time.Time) (net.Conn, error) {
	if c.config.Within != "" && c.config.Network == "unix" {
		return upstream.DialWithin(context.Background(), c.config.Within, c.config.Address, deadline)
	}
	return (&net.Dialer{Deadline: deadline}).Dial(c.config.Network, c.config.Address)
}

func (cn *conn) exchange(deadline time.Time, command net.Buffers, read func(*bufio.Reader) error) error {
	if err := cn.Net.SetDeadline(deadline); err != nil {
		return err
	}
	command = slices.Clone(command) // writing uses it up
	if _, err := command.WriteTo(cn.Net); err != nil {
		return err
	}
	err := read(cn.br)
	if inSync(err) && cn.br.Buffered() > 0 {
		return errors.New("the answer goes on behind its end")
	}
	return err
}

// inSync reports whether an answer was read to its end: another may follow on its connection.
func inSync(err error) bool {
	switch err {
	case nil, ErrNotFound, ErrNotStored, ErrExists:
		return true
	}
	return false
}

// isLost reports whether the connection ended.
func isLost(err error) bool {
	_, isNet := errors.AsType[*net.OpError](err)
	return err != nil && !upstream.IsTimeout(err) && (isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF))
}

// end decides what becomes of the connection, and of the server.
func (c *Client) end(op string, cn *conn, err error) error {
	if inSync(err) {
		c.retryAt.Store(0)
		c.pool.Put(cn)
		return err
	}
	cn.Net.Close()
	e := c.fault(op, err)
	e.Classify(context.Background(), "server")
	_, refused := errors.AsType[RefusedError](err)
	_, tooLarge := errors.AsType[*TooLargeError](err)
	if refused || tooLarge { // one item is at fault
		c.retryAt.Store(0)
	} else {
		c.pause()
	}
	return e
}

func (c *Client) fault(op string, err error) *upstream.Error {
	return &upstream.Error{Proto: "memcached", Op: op, Addr: c.config.Address, Err: err}
}

// mayTry reports whether the server may be asked. After a pause the first who comes tries,
// and the others wait for what becomes of it.
func (c *Client) mayTry() bool {
	at := c.retryAt.Load()
	if at == 0 {
		return true
	}
	return int64(time.Since(c.born)) >= at && c.retryAt.CompareAndSwap(at, c.pauseEnds())
}

func (c *Client) pause() { c.retryAt.Store(c.pauseEnds()) }

func (c *Client) pauseEnds() int64 { return int64(time.Since(c.born) + c.config.Pause) }
