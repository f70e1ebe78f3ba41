package balancer

import (
	"strconv"
	"sync"
	"time"
)

// Backend is one of those that requests are spread over.
type Backend struct {
	// Name tells it from the others and, in [Hash], decides which keys it gets. Where two
	// have the same name, "#2" is added to the second one.
	Name string
	// Weight is its share of the requests, compared with the weights of the others; at least 1.
	Weight int
}

// Config says how a [Pool] works.
type Config struct {
	Backends []Backend // at least one
	Policy   Policy
	// MaxInFlight is how many requests a backend gets at once, 0 any number.
	MaxInFlight int
	// Backlog is how many requests may wait while no backend can take one, and Wait how
	// long each of them may, in all. Without either none waits.
	Backlog int
	Wait    time.Duration
	// Fails is how many failures in a row eject a backend, at least 1. It is left out for
	// Pause, then a single request tries it. When that one fails too, the next pause is
	// twice as long, up to MaxPause.
	Fails           int
	Pause, MaxPause time.Duration
}

// Pool is a set of backends with what is known of them. It is safe for concurrent use and
// needs no closing.
type Pool struct {
	config   Config
	schedule []int // the turns of round robin: each backend as often as its weight says

	mu       sync.Mutex
	backends []backend
	next     int     // place in schedule
	arrivals uint64  // number of the last turn
	queue    []*Turn // those that wait, in the order in which they arrived
	wake     *time.Timer
}

// backend is what is known of one.
type backend struct {
	name   string
	seed   uint64 // of its scores in Hash
	weight float64

	down      bool // says whoever checks it
	inFlight  int
	failures  int       // in a row
	ejections int       // in a row, 0 while it is in use
	trial     bool      // a request tries whether it works again
	retry     time.Time // when it may be tried, once ejected
	full      int       // how many requests it takes, as far as it said so
	fullUntil time.Time // for how long that is believed
	latency   average

	requests, failed int64 // in all
}

// New returns a pool for the backends in config.
func New(config Config) *Pool {
	p := &Pool{config: config, schedule: schedule(config.Backends)}
	count := map[string]int{}
	for _, b := range config.Backends {
		if count[b.Name]++; count[b.Name] > 1 {
			b.Name += "#" + strconv.Itoa(count[b.Name])
		}
		p.backends = append(p.backends, backend{name: b.Name, seed: hash(b.Name), weight: float64(b.Weight)})
	}
	return p
}

// Name returns the name of a backend, which no other one has.
func (p *Pool) Name(i int) string { return p.backends[i].name }

// usable reports whether b may get a request now.
func (p *Pool) usable(b *backend, now time.Time) bool {
	switch {
	case b.down, p.config.MaxInFlight > 0 && b.inFlight >= p.config.MaxInFlight:
		return false
	case b.inFlight >= b.full && now.Before(b.fullUntil):
		return false
	}
	return b.ejections == 0 || !b.trial && !now.Before(b.retry)
}

// give gives a backend to t, if there is one that can take it.
func (p *Pool) give(t *Turn, now time.Time) bool {
	i := p.pick(t, now)
	if i < 0 {
		return false
	}
	b := &p.backends[i]
	b.inFlight++
	b.requests++
	t.at, t.began = i, now
	t.trial = b.ejections > 0
	b.trial = b.trial || t.trial
	return true
}

// eject leaves b out, each time in a row for longer. It returns for how long.
func (p *Pool) eject(b *backend, now time.Time) time.Duration {
	pause := p.config.Pause
	for range b.ejections {
		pause = min(2*pause, p.config.MaxPause)
	}
	b.ejections++
	b.failures = 0
	b.retry = now.Add(pause)
	return pause
}

// restore takes b back into use.
func (b *backend) restore() {
	b.ejections, b.failures, b.trial, b.retry = 0, 0, false, time.Time{}
}

// SetDown says whether a backend is down, as a health check has it: it gets no requests then.
// When it is not down any more, failures of before are forgotten. It reports whether that is
// news.
func (p *Pool) SetDown(i int, down bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.backends[i]
	if b.down == down {
		return false
	}
	if b.down = down; !down {
		b.restore()
		p.dispatch(time.Now())
	}
	return true
}

// State says whether a backend gets requests.
type State string

// The states of a backend.
const (
	Up      State = "up"
	Ejected State = "ejected" // it failed; a request tries it from time to time
	Down    State = "down"    // says the health check
)

// Status is what there is to know of a pool at one moment.
type Status struct {
	Waiting  int // requests that no backend can take
	Backends []BackendStatus
}

// BackendStatus is what there is to know of a backend.
type BackendStatus struct {
	Name             string
	State            State
	InFlight         int
	Requests, Failed int64         // since the beginning; a request that was tried again counts again
	Latency          time.Duration // until the first byte of an answer, averaged; 0 is not known
}

// Status returns the state of the pool.
func (p *Pool) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Waiting: len(p.queue)}
	for i := range p.backends {
		b := &p.backends[i]
		state := Up
		switch {
		case b.down:
			state = Down
		case b.ejections > 0:
			state = Ejected
		}
		s.Backends = append(s.Backends, BackendStatus{
			Name: b.name, State: state, InFlight: b.inFlight, Requests: b.requests, Failed: b.failed,
			Latency: time.Duration(b.latency.value * float64(time.Second)),
		})
	}
	return s
}
