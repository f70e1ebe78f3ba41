package fcgi

import (
	"sync"
	"sync/atomic"
	"time"
)

// pool keeps the idle connections of a client. The one used last is used next, so that the
// others can grow old.
type pool struct {
	max      int
	idleTime time.Duration

	// starving counts the connections that wait for a worker of the backend to take
	// them. While there are any, connections are closed instead of kept.
	starving atomic.Int32

	mu     sync.Mutex
	idle   []*conn // the oldest first
	timer  *time.Timer
	armed  bool // the timer runs
	closed bool
}

// get returns an idle connection that is still open, or nil.
func (p *pool) get() *conn {
	for {
		c := p.take()
		if c == nil {
			return nil
		}
		if time.Since(c.idleSince) < p.idleTime && c.alive() {
			c.reused = true
			return c
		}
		c.close()
	}
}

// put keeps c, or closes it when there are enough or others need its place.
func (p *pool) put(c *conn) {
	c.idleSince = time.Now()
	p.mu.Lock()
	if p.closed || len(p.idle) >= p.max || p.starving.Load() > 0 {
		p.mu.Unlock()
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if !p.armed {
		p.arm(p.idleTime)
	}
	p.mu.Unlock()
}

// take removes the connection used last, and returns nil when there is none.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	c := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return c
}

// yield closes an idle connection, if there is one, to make room for a new one.
func (p *pool) yield() {
	if c := p.take(); c != nil {
		c.close()
	}
}

// starve says that a connection waits to be accepted; fed takes it back.
func (p *pool) starve() {
	p.starving.Add(1)
	p.yield()
}

func (p *pool) fed() { p.starving.Add(-1) }

// arm sets the timer for the oldest connection. Called with the lock held.
func (p *pool) arm(d time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
	} else {
		p.timer.Reset(d)
	}
}

// expire closes the connections that were idle for too long.
func (p *pool) expire() {
	p.mu.Lock()
	p.armed = false
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].idleSince) >= p.idleTime {
		n++
	}
	old := append([]*conn(nil), p.idle[:n]...)
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	if rest > 0 && !p.closed {
		p.arm(time.Until(p.idle[0].idleSince.Add(p.idleTime)))
	}
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}

// close closes the idle connections. Those in use are closed when they come back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}
