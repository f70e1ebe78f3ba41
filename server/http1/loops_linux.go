package http1

import (
	"log/slog"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// loops are the loops of a server, one a processor, and the goroutines that run them.
type loops struct {
	all  []*loop
	last atomic.Uint32 // the loop of the last connection

	// elsewhere counts the goroutines that serve without a loop: requests that wait or compute,
	// and connections that loops cannot watch.
	elsewhere *atomic.Int32

	mu      sync.Mutex
	resting []chan job // goroutines without a loop
	spare   int        // how many of them nobody has needed for a while
	closed  bool

	asleep atomic.Bool // the guard; see guard
	wake   chan struct{}
}

// job is to run a loop from a turn on.
type job struct {
	loop *loop
	turn uint64
}

func newLoops(elsewhere *atomic.Int32, log *slog.Logger) (_ *loops, err error) {
	p := &loops{elsewhere: elsewhere, wake: make(chan struct{}, 1)}
	for range goruntime.GOMAXPROCS(0) {
		l, err := newLoop(p)
		if err != nil {
			p.close()
			return nil, err
		}
		p.all = append(p.all, l)
		l.place = len(p.all)
	}
	from := 0
	for _, l := range p.all {
		if l.ring, err = newRing(from); err != nil {
			log.Debug("system calls are made one by one", "error", err)
		} else {
			from = l.ring.from
		}
		go p.work(job{l, 0})
	}
	go p.guard()
	return p, nil
}

// add makes a socket of a descriptor, for one loop after the other.
func (p *loops) add(fd int) *socket {
	s := newSocket(p.all[int(p.last.Add(1))%len(p.all)], fd)
	s.loop.enter(s)
	return s
}

// close ends the loops. The sockets are closed already.
func (p *loops) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.all {
		l.close()
	}
	for _, r := range p.resting {
		close(r)
	}
	p.resting, p.spare = nil, 0
	p.awake()
}

// restingMost is how many goroutines without a loop are kept for later: their stacks have
// grown already.
const restingMost = 64

// work runs one loop after another.
func (p *loops) work(j job) {
	jobs := make(chan job, 1)
	for ok := true; ok; j, ok = <-jobs {
		if j.loop.run(j.turn) {
			p.elsewhere.Add(-1)
		}
		p.mu.Lock()
		if p.closed || len(p.resting) >= restingMost {
			p.mu.Unlock()
			return
		}
		p.resting = append(p.resting, jobs)
		p.mu.Unlock()
	}
}

// employ has a goroutine do a job.
func (p *loops) employ(j job) {
	p.mu.Lock()
	if n := len(p.resting); n > 0 {
		jobs := p.resting[n-1]
		p.resting = p.resting[:n-1]
		p.spare = min(p.spare, n-1)
		p.mu.Unlock()
		jobs <- j
		return
	}
	p.mu.Unlock()
	go p.work(j)
}

// spareAfter is after how many looks of the guard a goroutine that rested all the while may end.
const spareAfter = 64

// dismiss ends the goroutines that nobody has needed since it was called last.
func (p *loops) dismiss() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.resting[:p.spare] {
		close(r)
	}
	p.resting = slices.Delete(p.resting, 0, p.spare)
	p.spare = len(p.resting)
}

// guardEvery is how often the guard looks. A request that computes for longer than one to
// two of them does not keep the other connections of its loop waiting.
const guardEvery = 2 * time.Millisecond

// guard passes the loops on whose turn takes too long, and ends the pauses that do. It sleeps
// while all of them wait for clients.
func (p *loops) guard() {
	seen := make([]uint64, len(p.all))
	waits := false
	for quiet, n := 0, 0; !p.ended(); n++ {
		if n%8 == 0 {
			waits = p.overdue()
		}
		if n%spareAfter == 0 {
			p.dismiss()
		}
		if p.look(seen) || waits {
			quiet = 0
			p.asleep.Store(false)
		}
		switch quiet++; {
		case p.asleep.Load():
			<-p.wake // they waited still after they could see that the guard sleeps
		case quiet > 2*spareAfter: // nobody rests any more
			p.asleep.Store(true)
		default:
			time.Sleep(guardEvery)
		}
	}
}

// look passes on the loops that are in the turn in which they were seen, and reports whether
// any has been in one since.
func (p *loops) look(seen []uint64) (busy bool) {
	for i, l := range p.all {
		turn := l.turn.Load()
		busy = busy || turn&1 != 0 || turn != seen[i]
		if turn == seen[i] && turn&1 != 0 {
			l.pass(turn &^ 1)
		}
		seen[i] = turn
	}
	return busy
}

func (p *loops) overdue() (waits bool) {
	for _, l := range p.all {
		waits = l.overdue() || waits
	}
	return waits
}

func (p *loops) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// awake is called by a loop that goes on.
func (p *loops) awake() {
	if p.asleep.Load() && p.asleep.CompareAndSwap(true, false) {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}
