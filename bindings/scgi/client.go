package scgi

import (
	"context"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

// Config describes a backend and how to talk to it. What it says of keeping connections has no
// effect: SCGI ends a response by closing the connection.
type Config = upstream.Config

// Client sends requests to one backend. It is safe for concurrent use.
type Client struct{ config Config }

// NewClient returns a client for the backend that config describes.
func NewClient(config Config) *Client {
	return &Client{config.WithDefaults()}
}

// Do sends a request and returns when the head of the response is there. The caller must
// close the response's Body, which is never nil; that of an answer to HEAD, of 204 and 304 is
// empty. When ctx ends, at any time until Body was read to its end, the connection is closed
// and what is waiting for the application returns. Nothing of ctx but Err is used as long as
// an application behind a unix socket answers at once, so a context that costs something can be
// made late.
//
// An error is an [Error].
func (c *Client) Do(ctx context.Context, r *Request) (*fcgi.Response, error) {
	head, err := r.appendHead(nil)
	if err != nil {
		return nil, &Error{Proto: proto, Op: "request", Addr: c.config.Address, Kind: upstream.BadRequest, Err: err}
	}
	nc, err := c.config.Dial(ctx, proto, nil)
	if err != nil {
		return nil, err
	}
	x := newExchange(ctx, nc, &c.config)
	resp, err := x.run(r, head)
	if err != nil {
		x.end()
		return nil, err
	}
	return resp, nil
}
