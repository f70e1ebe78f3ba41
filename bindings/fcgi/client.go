package fcgi

import (
	"context"
	"io"

	"luaserve/bindings/upstream"
)

// Config describes a backend and how to talk to it. Its SendTimeout may run up to an eighth
// longer, its ReadTimeout a moment, a tenth of a second on a new connection. Without
// keep-alive the application closes the connection (FCGI_KEEP_CONN, FastCGI 5.1, is not set).
type Config struct {
	upstream.Config

	// Stderr gets the lines that applications write to stderr, of requests that have no
	// function of their own for it, without their newline. A line of more than 8 KiB comes
	// in pieces. It may be called by several goroutines at once. Nil drops them.
	Stderr func(line string)
}

// Client sends requests to one backend. It is safe for concurrent use.
type Client struct {
	config Config
	pool   *upstream.Pool[*conn] // nil when connections are not kept
}

// NewClient returns a client for the backend that config describes. It connects when the
// first request comes.
func NewClient(config Config) *Client {
	config.Config = config.WithDefaults()
	c := &Client{config: config}
	if config.Keeps() {
		c.pool = upstream.NewPool[*conn](config.MaxIdle, config.IdleTime)
	}
	return c
}

// Close closes the idle connections. Requests in progress go on and later ones still work,
// but no connection is kept any more.
func (c *Client) Close() {
	if c.pool != nil {
		c.pool.Close()
	}
}

// Idle returns how many connections are kept for later requests.
func (c *Client) Idle() int {
	if c.pool == nil {
		return 0
	}
	return c.pool.Len()
}

// Do sends a request and returns when the head of the response is there. The caller must
// close the response's Body. When ctx ends, at any time until Body was read to its end, the
// connection is closed and what is waiting returns. Nothing of ctx but Err is used as long as
// the application answers at once, so a context that costs something can be made late.
//
// The lines that the application writes to stderr go to stderr as they come, or to
// [Config].Stderr when it is nil; it is called by the goroutine that calls Do, Read or Close,
// and must not use the Body.
//
// An error is an [Error]. Do repeats a request itself only on a new connection, after the
// backend closed a kept one without an answer.
func (c *Client) Do(ctx context.Context, r *Request, stderr func(line string)) (*Response, error) {
	uploading := false
	if r.StdinDone != nil {
		defer func() {
			if !uploading {
				r.StdinDone()
			}
		}()
	}
	if err := r.check(ctx, c.config.Address); err != nil {
		return nil, err
	}
	out, err := encode(r, c.pool != nil, c.config.Address)
	if err != nil {
		return nil, err
	}
	defer out.free()

	a := &answer{}
	c.initAnswer(a, ctx, r, out, stderr)
	for reuse := out.repeatable && !r.Fresh; ; {
		cn, err := c.connect(ctx, r.Loop, reuse)
		if err != nil {
			a.unwatch()
			return nil, err
		}
		cn.begin(a)
		a.conn.Store(cn)
		if ctx.Err() != nil { // it ended before conn was stored
			a.abort(canceled(ctx, c.config.Address, false))
		}
		again, err := a.exchange(cn, r, out, &uploading)
		if err == nil {
			return &a.response, nil
		}
		switch again {
		case no:
			a.unwatch()
			return nil, err
		case overNew:
			reuse = false
		}
	}
}

func (c *Client) initAnswer(a *answer, ctx context.Context, r *Request, out *outgoing, stderr func(line string)) {
	a.config, a.ctx, a.loop, a.isHead, a.left = &c.config, ctx, r.Loop, out.isHead, -1
	if a.lines.emit = stderr; stderr == nil {
		a.lines.emit = c.config.Stderr
	}
}

// again says how to go on after an error.
type again int

const (
	no       again = iota
	overKept       // nothing was sent: on another kept connection
	overNew        // on a new connection
)

// connect returns a connection to send a request on. A request that may not be repeated
// gets a new one, as a kept one may be closed by the backend at any moment; an idle one is
// closed for it, as that may hold the worker that shall take the new one.
func (c *Client) connect(ctx context.Context, loop upstream.Loop, reuse bool) (*conn, error) {
	if c.pool != nil {
		if reuse {
			if cn := c.pool.Get(); cn != nil {
				return cn, nil
			}
		} else {
			c.pool.Yield()
		}
	}
	if loop != nil {
		loop.Waits()
	}
	return c.dial(ctx)
}

// exchange sends the request and reads the response head. With an error it says whether to
// try again.
func (a *answer) exchange(c *conn, r *Request, out *outgoing, uploading *bool) (again, error) {
	c.hold()
	var asked upstream.Asked
	if out.stream {
		asked.Sent, asked.SendErr = c.Write(out.wire)
	} else {
		asked = c.ask(out.wire)
	}
	switch sendErr := asked.SendErr; {
	case sendErr == upstream.ErrStale:
		return overKept, a.fail(c, "send", sendErr)
	case upstream.IsTimeout(sendErr):
		c.broken = true
		return no, a.fail(c, "send", sendErr)
	case sendErr != nil:
		c.broken = true // but the application may have answered and left
	case out.stream:
		a.watch()
		c.upload = &upload{stdin: r.Stdin, length: out.length, conn: c, answer: a, done: r.StdinDone}
		*uploading = true
		go c.upload.run()
	}
	return a.readAnswer(c, asked)
}

// readAnswer reads the response head, and the body when it is there.
func (a *answer) readAnswer(c *conn, asked upstream.Asked) (again, error) {
	h, err := head{}, asked.ReadErr
	if err == nil {
		h, err = a.readHead(c)
	}
	if err != nil {
		return a.headFailed(c, asked, err)
	}
	a.headDone.Store(true)
	a.response = Response{Status: h.status, Header: h.fields, Length: h.length, Body: a, statusGiven: h.statusGiven}
	a.noBody = a.isHead || h.status == 204 || h.status == 304
	if !a.noBody {
		a.left = h.length
	}
	a.settle(c)
	a.readWhole(c)
	if a.err != nil && a.err != io.EOF {
		return no, a.err // nothing was passed on yet, so it can still be told
	}
	return no, nil
}

// headFailed ends the request after its response head could not be read.
func (a *answer) headFailed(c *conn, asked upstream.Asked, err error) (again, error) {
	op, next := "head", no
	if c.Reused && !c.answered && lost(err) && a.cause.Load() == nil {
		next = overNew
	}
	if asked.SendErr != nil && lost(err) {
		op, err = "send", asked.SendErr
	}
	e := a.fail(c, op, err)
	if asked.SendErr != nil && asked.Sent == 0 {
		e.Sent = false
	}
	return next, e
}
