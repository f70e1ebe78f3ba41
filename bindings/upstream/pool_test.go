package upstream

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// client is a connection as a transport has it.
type client struct {
	Conn
	far net.Conn // the other end
}

// connect returns a connection that the system does not know, so it always counts as alive.
func connect() *client {
	near, far := net.Pipe()
	return &client{NewConn(near), far}
}

func (c *client) isClosed() bool {
	c.far.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.far.Read(make([]byte, 1))
	ne, ok := err.(net.Error)
	return !ok || !ne.Timeout()
}

func TestPoolUsesTheNewest(t *testing.T) {
	p := NewPool[*client](2, time.Minute)
	defer p.Close()
	if p.Get() != nil {
		t.Error("got a connection out of nothing")
	}
	a, b, c := connect(), connect(), connect()
	p.Put(a)
	p.Put(b)
	p.Put(c)
	if p.Len() != 2 || !c.isClosed() {
		t.Errorf("%d connections of at most 2, closed: %v", p.Len(), c.isClosed())
	}
	if got := p.Get(); got != b || !b.Reused || b.isClosed() {
		t.Error("the last one is not used next")
	}
	p.Yield()
	if p.Len() != 0 || !a.isClosed() {
		t.Error("an idle connection did not make room")
	}
	p.Yield()
}

func TestPoolStarving(t *testing.T) {
	p := NewPool[*client](2, time.Minute)
	defer p.Close()
	a, b, c := connect(), connect(), connect()
	p.Put(a)
	p.Put(b)
	p.Starve()
	if !p.Starving() || p.Len() != 1 || !b.isClosed() {
		t.Error("no idle connection made room")
	}
	p.Put(c)
	if p.Len() != 1 || !c.isClosed() {
		t.Error("a connection was kept while another one waits")
	}
	p.Fed()
	d := connect()
	p.Put(d)
	if p.Starving() || p.Len() != 2 {
		t.Error("no connection is kept any more")
	}
}

func TestPoolExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool[*client](3, 30*time.Second)
		a, b := connect(), connect()
		p.Put(a)
		time.Sleep(20 * time.Second)
		p.Put(b)
		time.Sleep(11 * time.Second)
		if p.Len() != 1 || !a.isClosed() || b.isClosed() {
			t.Errorf("%d connections, the old one closed: %v", p.Len(), a.isClosed())
		}
		time.Sleep(20 * time.Second)
		if p.Len() != 0 || !b.isClosed() {
			t.Error("the timer did not run again")
		}
		c, d := connect(), connect()
		p.Put(c)
		p.Close()
		p.Put(d)
		if p.Len() != 0 || !c.isClosed() || !d.isClosed() {
			t.Error("a closed pool keeps connections")
		}
	})
}
