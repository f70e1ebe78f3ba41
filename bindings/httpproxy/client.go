package httpproxy

import (
	"context"
	"time"

	"luaserve/bindings/upstream"
)

// Config describes an upstream and how to talk to it.
type Config struct {
	upstream.Config

	// RefusedTimeout is how long the upstream may not take what is sent after it has
	// answered; then the rest of the request is kept back. 0 means 5 seconds.
	RefusedTimeout time.Duration
}

// Client sends requests to one upstream. It is safe for concurrent use.
type Client struct {
	config Config
	pool   *upstream.Pool[*conn]
}

// NewClient returns a client for the upstream that config describes. It connects when the
// first request comes.
func NewClient(config Config) *Client {
	config.Config = config.WithDefaults()
	if config.RefusedTimeout == 0 {
		config.RefusedTimeout = 5 * time.Second
	}
	if !config.Keeps() {
		config.MaxIdle = 0
	}
	return &Client{config: config, pool: upstream.NewPool[*conn](config.MaxIdle, config.IdleTime)}
}

// Close closes the idle connections. Requests in progress go on and later ones still work,
// but no connection is kept any more.
func (c *Client) Close() { c.pool.Close() }

// Idle returns how many connections are kept for later requests.
func (c *Client) Idle() int { return c.pool.Len() }

// Do sends a request and returns when the head of the response is there. The caller must
// close the response's Body. When ctx ends, at any time until Body was read to its end, the
// connection is closed and what is waiting for the upstream returns. Nothing of ctx but Err is
// used as long as the upstream answers at once, so a context that costs something can be made
// late.
//
// An error is an [Error].
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	w, err := newWire(r, !c.config.Keeps())
	if err != nil {
		return nil, &Error{Proto: proto, Op: "request", Addr: c.config.Address, Kind: upstream.BadRequest, Err: err}
	}
	defer w.free()
	reuse := w.repeatable && !r.Fresh
	if !reuse {
		c.pool.Yield()
	}
	for reuse {
		cn := c.pool.Get()
		if cn == nil {
			break
		}
		resp, err := c.attempt(ctx, cn, r, w)
		if err == nil || err != upstream.ErrStale && !cn.wasStale(err) {
			return resp, err
		}
		if err != upstream.ErrStale {
			break // it was sent once; a second time, it goes over a new connection
		}
	}
	if r.Loop != nil {
		r.Loop.Waits()
	}
	nc, err := c.config.Dial(ctx, proto, nil)
	if err != nil {
		return nil, err
	}
	return c.attempt(ctx, newConn(nc, c), r, w)
}

// attempt sends the request over cn, which it closes when that fails. ErrStale says that
// nothing was sent because cn cannot be used.
func (c *Client) attempt(ctx context.Context, cn *conn, r *Request, w *wire) (*Response, error) {
	cn.begin(ctx, r.Loop)
	cn.hold()
	if err := w.load(r); err != nil {
		cn.drop()
		return nil, &Error{Proto: proto, Op: "upload", Addr: c.config.Address, Kind: upstream.BadRequest, Err: err}
	}
	a := &answer{}
	a.head.fields = a.fields[:0]
	var err error
	if w.stream {
		err = cn.exchangeUploading(r, w, &a.head)
	} else {
		err = cn.exchange(r, w, &a.head)
	}
	if err != nil {
		cn.drop()
		return nil, err
	}
	return a.respond(cn, r.Method, r.Trailers), nil
}
