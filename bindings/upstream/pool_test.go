package upstream

import (
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
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

// A loop gets the connection used last of those that it has adopted itself, else of those that
// none has, else of all; the others keep their order.
func TestPoolKeepsPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := NewPool[*client](8, time.Minute)
		defer p.Close()
		var kept []*client // the oldest first
		pick := func(place int) *client {
			for _, fits := range []func(c *client) bool{
				func(c *client) bool { return place == 0 || c.place == place },
				func(c *client) bool { return c.place == 0 },
				func(c *client) bool { return true },
			} {
				for i, c := range slices.Backward(kept) {
					if fits(c) {
						kept = slices.Delete(kept, i, i+1)
						return c
					}
				}
			}
			return nil
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			place := rapid.IntRange(0, 3).Draw(t, "place")
			if rapid.Bool().Draw(t, "put") && len(kept) < 8 {
				c := connect()
				c.place = place
				p.Put(c)
				kept = append(kept, c)
			} else if got, want := p.get(place), pick(place); got != want {
				t.Fatalf("the wrong connection for %d", place)
			}
			if p.Len() != len(kept) {
				t.Fatalf("%d connections are kept, want %d", p.Len(), len(kept))
			}
		}
	})
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
