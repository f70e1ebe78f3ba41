package httpproxy

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"luaserve/bindings/upstream"
)

// Config describes an upstream and how to talk to it. Only Network and Address are required.
// A negative SendTimeout or ReadTimeout means no limit.
type Config struct {
	Network string // "unix" or "tcp"
	Address string // as net.Dial takes it; see [upstream.ParseAddress]

	// ConnectTimeout limits connecting, name lookup included. 0 means 5 seconds.
	ConnectTimeout time.Duration
	// SendTimeout limits how long the upstream may not take what is sent: it is the time
	// for one write, not for the request. 0 means 60 seconds.
	SendTimeout time.Duration
	// ReadTimeout limits the wait for the next bytes of an answer, not for all of it. It
	// counts from the end of sending. 0 means 60 seconds.
	ReadTimeout time.Duration
	// RefusedTimeout is how long the upstream may not take what is sent after it has
	// answered; then the rest of the request is kept back. 0 means 5 seconds.
	RefusedTimeout time.Duration

	// MaxIdle is how many connections are kept for later requests. 0 means 64; less
	// means none.
	MaxIdle int
	// IdleTime is how long they are kept. 0 means 30 seconds.
	IdleTime time.Duration

	// MaxHeadBytes limits a response head, with the interim ones before it. 0 means 64 KiB.
	MaxHeadBytes int
}

func orDefault[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Client sends requests to one upstream. It is safe for concurrent use.
type Client struct {
	config Config
	pool   *upstream.Pool[*conn]
}

// NewClient returns a client for the upstream that config describes. It connects when the
// first request comes.
func NewClient(config Config) *Client {
	orDefault(&config.ConnectTimeout, 5*time.Second)
	orDefault(&config.SendTimeout, 60*time.Second)
	orDefault(&config.ReadTimeout, 60*time.Second)
	orDefault(&config.RefusedTimeout, 5*time.Second)
	orDefault(&config.MaxIdle, 64)
	orDefault(&config.IdleTime, 30*time.Second)
	orDefault(&config.MaxHeadBytes, 64<<10)
	return &Client{config: config, pool: upstream.NewPool[*conn](config.MaxIdle, config.IdleTime)}
}

// Close closes the idle connections. Requests in progress go on and later ones still work,
// but no connection is kept any more.
func (c *Client) Close() { c.pool.Close() }

// Do sends a request and returns when the head of the response is there. The caller must
// close the response's Body. When ctx ends, at any time until Body was read to its end, the
// connection is closed and what is waiting for the upstream returns.
//
// An error is an [Error].
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	w, err := newWire(r)
	if err != nil {
		return nil, &Error{Proto: proto, Op: "request", Addr: c.config.Address, Kind: upstream.BadRequest, Err: err}
	}
	defer w.free()
	if w.repeatable {
		if cn := c.pool.Get(); cn != nil {
			resp, err := c.attempt(ctx, cn, r, w)
			if err == nil || !cn.wasStale(err) {
				return resp, err
			}
		}
	} else {
		c.pool.Yield()
	}
	cn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	return c.attempt(ctx, cn, r, w)
}

// attempt sends the request over cn, which it closes when that fails.
func (c *Client) attempt(ctx context.Context, cn *conn, r *Request, w *wire) (*Response, error) {
	cn.begin(ctx)
	if err := w.load(r); err != nil {
		cn.drop()
		return nil, &Error{Proto: proto, Op: "upload", Addr: c.config.Address, Kind: upstream.BadRequest, Err: err}
	}
	exchange := cn.exchange
	if w.stream {
		exchange = cn.exchangeUploading
	}
	resp, err := exchange(r, w)
	if err != nil {
		cn.drop()
		return nil, err
	}
	return newResponse(cn, resp)
}

// dial connects to the upstream. A unix socket whose backlog is full refuses at once with
// EAGAIN, where TCP would wait; so the wait is made here.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	deadline := time.Now().Add(c.config.ConnectTimeout)
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		nc, err := d.DialContext(ctx, c.config.Network, c.config.Address)
		if err == nil {
			return newConn(nc, c), nil
		}
		e := &Error{Proto: proto, Op: "dial", Addr: c.config.Address, Kind: upstream.Unavailable, Err: upstream.Bare(err)}
		full := errors.Is(err, syscall.EAGAIN)
		switch {
		case ctx.Err() != nil:
			e.Kind, e.Err = upstream.Canceled, context.Cause(ctx)
			return nil, e
		case full && time.Until(deadline) < pause, !full && upstream.IsTimeout(err):
			e.Kind = upstream.Timeout
			return nil, e
		case !full:
			return nil, e
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
