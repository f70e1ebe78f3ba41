package httpproxy

import (
	"sync"
	"time"
)

// pool keeps the idle connections of a client. The one used last is used next, so that the
// others can grow old.
type pool struct {
	max      int
	idleTime time.Duration

	mu     sync.Mutex
	idle   []*conn // the oldest first
	timer  *time.Timer
	closed bool
}

// get returns an idle connection that is still open, or nil.
func (p *pool) get() *conn {
	for {
		cn := p.take()
		if cn == nil {
			return nil
		}
		if time.Since(cn.idleSince) < p.idleTime && cn.alive() {
			cn.reused = true
			return cn
		}
		cn.nc.Close()
	}
}

// take removes the connection used last, and returns nil when there is none.
func (p *pool) take() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle) - 1
	if n < 0 {
		return nil
	}
	cn := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	return cn
}

// yield closes an idle connection, if there is one: it may hold the worker of the upstream
// that shall take a new one.
func (p *pool) yield() {
	if cn := p.take(); cn != nil {
		cn.nc.Close()
	}
}

// put keeps cn, or closes it when there are enough.
func (p *pool) put(cn *conn) {
	cn.idleSince = time.Now()
	p.mu.Lock()
	if p.closed || len(p.idle) >= p.max {
		p.mu.Unlock()
		cn.nc.Close()
		return
	}
	p.idle = append(p.idle, cn)
	if len(p.idle) == 1 {
		p.arm(p.idleTime)
	}
	p.mu.Unlock()
}

// arm sets the timer for the oldest connection. Called with the lock held.
func (p *pool) arm(d time.Duration) {
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
		return
	}
	p.timer.Reset(d)
}

// expire closes the connections that were idle for too long.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].idleSince) >= p.idleTime {
		p.idle[n].nc.Close()
		n++
	}
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	if rest > 0 && !p.closed {
		p.arm(time.Until(p.idle[0].idleSince.Add(p.idleTime)))
	}
}

// close closes the idle connections. Those in use are closed when they come back.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cn := range p.idle {
		cn.nc.Close()
	}
	p.idle, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
}
