package fcgi

import (
	"context"
	"net"

	"luaserve/bindings/upstream"
)

// Pending is a request that was sent and whose answer nobody waits for yet. One goroutine at a
// time may use it. It can be used for one request after another.
type Pending struct{ answer answer }

// Start sends a request over a kept connection that r.Loop watches. It is [Client.Do] up to the
// answer, without waiting; p is what waits for that. False says that this cannot be done for the
// request, or not now: Do has to be called, with the same arguments.
func (c *Client) Start(ctx context.Context, r *Request, stderr func(line string), p *Pending) bool {
	if c.pool == nil || r.Stdin != nil || r.check(ctx, c.config.Address) != nil {
		return false
	}
	out, err := encode(r, true, c.config.Address)
	if err != nil {
		return false
	}
	defer out.free()
	if !out.repeatable {
		return false
	}
	cn := c.pool.Send(r.Loop, out.wire)
	if cn == nil {
		return false
	}
	c.initAnswer(&p.answer, ctx, r, out, stderr)
	cn.begin(&p.answer)
	p.answer.conn.Store(cn)
	return true
}

// Free forgets a request whose answer came whole, so that nothing of it is held: its Response
// must not be used any more. It is false when p cannot be used again, as others may still know
// of it.
func (p *Pending) Free() bool {
	if p.answer.stop != nil {
		return false // it was watched, so the end of the context may be on its way to it
	}
	p.answer = answer{}
	return true
}

// On is the connection on which the answer comes.
func (p *Pending) On() net.Conn { return p.answer.conn.Load().Net }

// Resume goes on with what [Client.Do] does when something has come, or with wait at any time.
// With again nothing had come. After [upstream.ErrStale] the request has to be sent again, with
// Fresh set, by Do.
func (p *Pending) Resume(wait bool) (resp *Response, again bool, err error) {
	cn := p.answer.conn.Load()
	cn.hold()
	asked := upstream.Asked{Sent: 1} // all of it, which is more than nothing
	if asked.Read, again, asked.ReadErr = cn.Receive(cn.records.buf, wait); again {
		cn.letGo()
		return nil, true, nil
	}
	cn.records.w = asked.Read
	cn.took(asked.Read)
	next, err := p.answer.readAnswer(cn, asked)
	if err == nil {
		return &p.answer.response, false, nil
	}
	p.answer.unwatch()
	if next != no {
		err = upstream.ErrStale
	}
	return nil, false, err
}
