package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pooled is a pointer to a struct that embeds a Conn.
type pooled interface {
	comparable
	shared() *Conn
}

// Pool keeps the idle connections of a client. The one used last is used next, so that the
// others can grow old. C is a pointer to a struct that embeds a [Conn].
type Pool[C pooled] struct {
	max      int
	idleTime time.Duration

	// starving counts the connections that wait for a worker of the backend to take
	// them. While there are any, connections are closed instead of kept.
	starving atomic.Int32

	mu     sync.Mutex
	idle   []idle[C] // the oldest first
	timer  *time.Timer
	armed  bool // the timer runs
	closed bool
}

// idle is a connection that nobody uses.
type idle[C pooled] struct {
	conn  C
	place int // of the loop that has adopted it, 0 when none has
}

var start = time.Now()

// uptime is the present time. It costs half of what time.Now does, which asks a second clock for
// the time of day.
func uptime() time.Duration { return time.Since(start) }

// NewPool returns a pool that keeps at most max connections, each for idleTime.
func NewPool[C pooled](max int, idleTime time.Duration) *Pool[C] {
	return &Pool[C]{max: max, idleTime: idleTime}
}

// Get returns an idle connection, or nil. The backend may have closed it; [Conn.Ask] finds out.
func (p *Pool[C]) Get() C { return p.get(0) }

// get is Get for a loop: if there are connections that it has adopted itself it returns one of
// those, else one that none has.
func (p *Pool[C]) get(place int) C {
	for {
		c, ok := p.take(place)
		if !ok {
			return c
		}
		s := c.shared()
		if uptime()-s.idleSince < p.idleTime {
			s.Reused = true
			return c
		}
		s.Net.Close()
	}
}

// Put keeps c, or closes it when there are enough or others need its place.
func (p *Pool[C]) Put(c C) {
	s := c.shared()
	s.idleSince = uptime()
	p.mu.Lock()
	if p.closed || len(p.idle) >= p.max || p.Starving() {
		p.mu.Unlock()
		s.Net.Close()
		return
	}
	p.idle = append(p.idle, idle[C]{c, s.place})
	if !p.armed {
		p.arm(p.idleTime)
	}
	p.mu.Unlock()
}

// take removes the connection used last, of the best place for one. ok is false when there is
// none.
func (p *Pool[C]) take(place int) (c C, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return c, false
	}
	i := p.nearest(place)
	c = p.idle[i].conn
	last := copy(p.idle[i:], p.idle[i+1:]) + i
	p.idle[last] = idle[C]{}
	p.idle = p.idle[:last]
	return c, true
}

// nearest returns the index of the connection used last that is at a place; else of one that is
// nowhere, else of any. There are connections.
func (p *Pool[C]) nearest(place int) int {
	free := -1
	for i := len(p.idle) - 1; i >= 0; i-- {
		switch at := p.idle[i].place; {
		case place == 0 || at == place:
			return i
		case at == 0 && free < 0:
			free = i
		}
	}
	if free < 0 {
		free = len(p.idle) - 1
	}
	return free
}

// Len returns the number of idle connections.
func (p *Pool[C]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// Yield closes an idle connection, if there is one: it may hold the worker of the backend that
// shall take a new one.
func (p *Pool[C]) Yield() {
	if c, ok := p.take(0); ok {
		c.shared().Net.Close()
	}
}

// Starve says that a connection waits to be accepted, until [Pool.Fed] is called. Meanwhile no
// connection is kept, and an idle one makes room at once.
func (p *Pool[C]) Starve() {
	p.starving.Add(1)
	p.Yield()
}

// Fed takes a [Pool.Starve] back.
func (p *Pool[C]) Fed() { p.starving.Add(-1) }

// Starving reports whether a connection waits to be accepted.
func (p *Pool[C]) Starving() bool { return p.starving.Load() > 0 }

// arm sets the timer for the oldest connection. Called with the lock held.
func (p *Pool[C]) arm(d time.Duration) {
	p.armed = true
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.expire)
	} else {
		p.timer.Reset(d)
	}
}

// expire closes the connections that were idle for too long.
func (p *Pool[C]) expire() {
	p.mu.Lock()
	p.armed = false
	n := 0
	for n < len(p.idle) && uptime()-p.idle[n].conn.shared().idleSince >= p.idleTime {
		n++
	}
	old := slices.Clone(p.idle[:n])
	rest := copy(p.idle, p.idle[n:])
	clear(p.idle[rest:])
	p.idle = p.idle[:rest]
	if rest > 0 && !p.closed {
		p.arm(p.idle[0].conn.shared().idleSince + p.idleTime - uptime())
	}
	p.mu.Unlock()
	closeAll(old)
}

// Close closes the idle connections. Those in use are closed when they come back.
func (p *Pool[C]) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.timer != nil {
		p.timer.Stop()
	}
	p.mu.Unlock()
	closeAll(idle)
}

func closeAll[C pooled](conns []idle[C]) {
	for _, c := range conns {
		c.conn.shared().Net.Close()
	}
}
