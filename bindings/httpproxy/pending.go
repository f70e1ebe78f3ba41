package httpproxy

import (
	"context"
	"net"

	"luaserve/bindings/upstream"
)

// Pending is a request that was sent and whose answer nobody waits for yet. One goroutine at a
// time may use it. It can be used for one request after another.
type Pending struct {
	conn     *conn
	method   string
	trailers bool
	answer   answer
}

// Start sends a request over a kept connection that r.Loop watches. It is [Client.Do] up to the
// answer, without waiting; p is what waits for that. False says that this cannot be done for the
// request, or not now: Do has to be called, with the same arguments.
func (c *Client) Start(ctx context.Context, r *Request, p *Pending) bool {
	if r.Length != 0 || !upstream.Idempotent(r.Method) || r.Upgrade != "" {
		return false
	}
	w, err := newWire(r, !c.config.Keeps())
	if err != nil {
		return false
	}
	cn := c.pool.Send(r.Loop, w.bytes)
	w.free()
	if cn == nil {
		return false
	}
	cn.begin(ctx, r.Loop)
	p.conn, p.method, p.trailers = cn, r.Method, r.Trailers
	p.answer.Response = Response{}
	p.answer.head.fields = p.answer.fields[:0]
	return true
}

// Free forgets a request whose answer came whole, so that nothing of it is held: its Response
// must not be used any more.
func (p *Pending) Free() {
	clear(p.answer.Header)
	p.conn, p.answer.Response, p.answer.head = nil, Response{}, head{}
}

// On is the connection on which the answer comes.
func (p *Pending) On() net.Conn { return p.conn.Net }

// Resume goes on with what [Client.Do] does when something has come, or with wait at any time.
// With again nothing had come. After [upstream.ErrStale] the request has to be sent again, with
// Fresh set, by Do.
func (p *Pending) Resume(wait bool) (resp *Response, again bool, err error) {
	cn := p.conn
	cn.hold()
	asked := upstream.Asked{Sent: 1} // all of it, which is more than nothing
	if asked.Read, again, asked.ReadErr = cn.Receive(cn.mem[:], wait); again {
		cn.letGo()
		return nil, true, nil
	}
	if err = cn.answerOf(asked, "", &p.answer.head); err == nil {
		return p.answer.respond(cn, p.method, p.trailers), false, nil
	}
	if cn.drop(); cn.wasStale(err) {
		err = upstream.ErrStale
	}
	return nil, false, err
}
