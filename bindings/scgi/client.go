package scgi

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

// Config describes a backend and how to talk to it. Only Network and Address are required.
// A negative SendTimeout or ReadTimeout means no limit.
type Config struct {
	Network string // "unix" or "tcp"
	Address string // as net.Dial takes it; see [upstream.ParseAddress]

	// ConnectTimeout limits connecting, name lookup included. 0 means 5 seconds.
	ConnectTimeout time.Duration
	// SendTimeout limits how long the application may not take what is sent: it is the
	// time for one write, not for the request. 0 means 60 seconds.
	SendTimeout time.Duration
	// ReadTimeout limits the wait for the next bytes of an answer, not for all of it. 0
	// means 60 seconds.
	ReadTimeout time.Duration

	// MaxHeadBytes limits a response head. 0 means 64 KiB.
	MaxHeadBytes int
}

func orDefault[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Client sends requests to one backend. It is safe for concurrent use.
type Client struct{ config Config }

// NewClient returns a client for the backend that config describes.
func NewClient(config Config) *Client {
	orDefault(&config.ConnectTimeout, 5*time.Second)
	orDefault(&config.SendTimeout, 60*time.Second)
	orDefault(&config.ReadTimeout, 60*time.Second)
	orDefault(&config.MaxHeadBytes, 64<<10)
	return &Client{config}
}

// Do sends a request and returns when the head of the response is there. The caller must
// close the response's Body, which is never nil; that of an answer to HEAD, of 204 and 304 is
// empty. When ctx ends, at any time until Body was read to its end, the connection is closed
// and what is waiting for the application returns.
//
// An error is an [Error].
func (c *Client) Do(ctx context.Context, r *Request) (*fcgi.Response, error) {
	head, err := r.appendHead(nil)
	if err != nil {
		return nil, &Error{Proto: proto, Op: "request", Addr: c.config.Address, Kind: upstream.BadRequest, Err: err}
	}
	nc, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	x := &exchange{conn: nc, config: &c.config, ctx: ctx, readTimeout: c.config.ReadTimeout}
	x.unwatch = context.AfterFunc(ctx, func() { nc.Close() })
	resp, err := x.run(r, head)
	if err != nil {
		x.end()
		return nil, err
	}
	return resp, nil
}

// dial connects to the backend. A unix socket whose backlog is full refuses at once with
// EAGAIN, where TCP would wait; so the wait is made here.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	deadline := time.Now().Add(c.config.ConnectTimeout)
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		nc, err := d.DialContext(ctx, c.config.Network, c.config.Address)
		if err == nil {
			return nc, nil
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
