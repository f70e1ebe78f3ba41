package balancer

import (
	"context"
	"slices"
	"time"
)

// Turn is a request on its way through the backends. It belongs to the goroutine that serves
// the request.
type Turn struct {
	pool   *Pool
	key    uint64
	number uint64 // in the order of arrival

	at     int           // the backend that has it now, -1
	trial  bool          // it tries whether that one works again
	began  time.Time     // when it got there
	tried  []bool        // those that did not take it since it waited last; nil for none
	waited time.Duration // in all
	given  chan struct{} // closed when it need not wait any more
}

// Begin begins the way of a request. key counts in [Hash] only. Whoever calls it calls
// [Turn.Leave] when the request is over.
func (p *Pool) Begin(key string) *Turn {
	t := &Turn{pool: p, at: -1}
	if p.config.Policy == Hash {
		t.key = hash(key)
	}
	p.mu.Lock()
	p.arrivals++
	t.number = p.arrivals
	p.mu.Unlock()
	return t
}

// BusyError says why no backend can take a request, now or in the time that it may wait.
type BusyError struct {
	Reason string
	// RetryAfter is when another attempt has a chance, as far as that is known; at least a
	// second.
	RetryAfter time.Duration
}

// Error returns the reason.
func (e *BusyError) Error() string { return e.Reason }

// Next returns the backend that gets the request: one that has not had it yet, as long as
// there is one. When none can take it, Next waits; requests that came first are served first,
// also after a failure. The error is a *[BusyError], or the cause of the end of ctx. ctx is
// asked for only when there is something to wait for.
func (t *Turn) Next(ctx func() context.Context) (backend int, err error) {
	p := t.pool
	p.mu.Lock()
	now := time.Now()
	if len(p.queue) > 0 {
		p.dispatch(now) // a pause may be over since the last time
	}
	if p.give(t, now) {
		p.mu.Unlock()
		return t.at, nil
	}
	t.tried = nil // all had their chance; the next one that can take it will do
	if err := p.enqueue(t, now); err != nil {
		p.mu.Unlock()
		return -1, err
	}
	p.dispatch(now)
	waiting := t.at < 0
	p.mu.Unlock()
	if waiting {
		err = t.wait(ctx(), now)
	}
	return t.at, err
}

// enqueue puts t among those that wait, in the order of arrival.
func (p *Pool) enqueue(t *Turn, now time.Time) error {
	switch {
	case p.config.Backlog == 0 || p.config.Wait == 0:
		return p.busy("no backend can take the request", now)
	case t.waited >= p.config.Wait:
		return p.busy("no backend took the request in time", now)
	case len(p.queue) >= p.config.Backlog:
		return p.busy("too many requests wait for a backend", now)
	}
	t.given = make(chan struct{})
	place := len(p.queue)
	for place > 0 && p.queue[place-1].number > t.number {
		place--
	}
	p.queue = slices.Insert(p.queue, place, t)
	return nil
}

// wait returns when t was given a backend, has waited for too long, or ctx has ended.
func (t *Turn) wait(ctx context.Context, since time.Time) error {
	p := t.pool
	timer := time.NewTimer(p.config.Wait - t.waited)
	defer timer.Stop()
	var err error
	select {
	case <-t.given:
	case <-timer.C:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	t.waited += now.Sub(since)
	if t.at >= 0 { // perhaps at the last moment
		return nil
	}
	p.queue = slices.DeleteFunc(p.queue, func(other *Turn) bool { return other == t })
	p.setWake(now)
	if err == nil {
		err = p.busy("no backend took the request in time", now)
	}
	return err
}

// dispatch gives backends to those that wait, the oldest first, as far as there are any. It
// is called after everything that may let a backend take a request.
func (p *Pool) dispatch(now time.Time) {
	for len(p.queue) > 0 && p.give(p.queue[0], now) {
		close(p.queue[0].given)
		p.queue = slices.Delete(p.queue, 0, 1)
	}
	p.setWake(now)
}

// setWake has dispatch called when the next pause of a backend is over, if anybody waits for
// that.
func (p *Pool) setWake(now time.Time) {
	next := p.nextPause(now)
	switch {
	case len(p.queue) == 0 || next.IsZero():
		if p.wake != nil {
			p.wake.Stop()
		}
	case p.wake == nil:
		p.wake = time.AfterFunc(next.Sub(now), p.wakeUp)
	default:
		p.wake.Reset(next.Sub(now))
	}
}

func (p *Pool) wakeUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dispatch(time.Now())
}

// nextPause returns when the first pause of a backend ends, zero when none pauses.
func (p *Pool) nextPause(now time.Time) (first time.Time) {
	for i := range p.backends {
		b := &p.backends[i]
		for _, end := range [2]time.Time{b.retry, b.fullUntil} {
			if !b.down && end.After(now) && (first.IsZero() || end.Before(first)) {
				first = end
			}
		}
	}
	return first
}

// busy makes the error of a request that nobody can take.
func (p *Pool) busy(reason string, now time.Time) error {
	after := time.Second
	if next := p.nextPause(now); !next.IsZero() {
		after = max(after, next.Sub(now))
	}
	return &BusyError{Reason: reason, RetryAfter: after}
}

// Worked says that the backend answers the request, which stays in progress there until
// [Turn.Leave]. It reports whether the backend was ejected and is in use again now.
func (t *Turn) Worked() (restored bool) {
	p, now := t.pool, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.backends[t.at]
	b.latency.add(now.Sub(t.began), now)
	switch {
	case t.trial:
		t.trial = false
		b.restore()
		p.dispatch(now)
		return true
	case b.ejections == 0: // else it is an answer from before it broke
		b.failures = 0
	}
	return false
}

// Failed says that the backend could not be reached or did not answer, and leaves it. It
// returns for how long the backend is left out, 0 when it is not or was already.
func (t *Turn) Failed() (pause time.Duration) {
	p, now := t.pool, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.backends[t.at]
	b.failed++
	switch {
	case t.trial:
		t.trial, b.trial = false, false
		p.eject(b, now)
	case b.ejections == 0:
		if b.failures++; b.failures >= p.config.Fails {
			pause = p.eject(b, now)
		}
	}
	t.exclude()
	t.leave(now)
	return pause
}

// Refused says that the backend is there but has too much to do, and leaves it. Until one of
// its requests is over it gets no other one, for a pause at most.
func (t *Turn) Refused() {
	p, now := t.pool, time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.backends[t.at]
	if t.trial {
		t.trial = false
		b.restore()
	}
	b.full, b.fullUntil = b.inFlight-1, now.Add(p.config.Pause)
	t.exclude()
	t.leave(now)
}

// Leave says that the request is over for the backend that has it, if one has it: nothing
// was learnt of it, or Worked was called before.
func (t *Turn) Leave() {
	if t.at < 0 {
		return
	}
	t.pool.mu.Lock()
	defer t.pool.mu.Unlock()
	t.leave(time.Now())
}

func (t *Turn) leave(now time.Time) {
	b := &t.pool.backends[t.at]
	b.inFlight--
	if t.trial { // it found nothing out; another one may try
		t.trial, b.trial = false, false
	}
	t.at = -1
	t.pool.dispatch(now)
}

// exclude has the request not come back before all others were tried.
func (t *Turn) exclude() {
	if t.tried == nil {
		t.tried = make([]bool, len(t.pool.backends))
	}
	t.tried[t.at] = true
}

func (t *Turn) hasTried(i int) bool { return t.tried != nil && t.tried[i] }
