package runtime

import (
	"context"
	"errors"
	"math"
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errBudget = errors.New("the time budget for Lua is used up")
	errMemory = errors.New("the memory that a Lua call may take is used up")
)

// luaLimits bound one Lua call; 0 or less means no limit.
type luaLimits struct {
	budget time.Duration
	memory int64 // bytes
}

// setDefaults replaces what is 0. Of the memory limit of the process, if it has one, Lua code
// gets at most so many quarters.
func (l *luaLimits) setDefaults(budget time.Duration, memory, quarters int64) {
	if l.budget == 0 {
		l.budget = budget
	}
	if l.memory == 0 {
		l.memory = min(memory, debug.SetMemoryLimit(-1)/4*quarters)
	}
}

// watchdog stops Lua code that runs too long or takes too much memory. One context serves
// all calls of a state; only when it fires is a new one made.
//
// To begin and to end the watch of a call costs one atomic addition each: the call is
// counted, and a timer that looks every now and then sees whether the same one still runs.
// Its time counts from there, unless it was asked to be exact.
type watchdog struct {
	limits luaLimits     // written by who holds the state, under mu
	number atomic.Uint64 // odd while a call runs; each start and each stop adds one
	used   atomic.Int64  // of the running call's budget, before it started; nanoseconds
	since  atomic.Int64  // when the running call started if that is exact, else 0; see now
	armed  atomic.Bool   // the timer runs
	fired  atomic.Bool   // the running call is to stop; no call begins with it
	seen   atomic.Uint64 // the number of the call that the timer saw last

	mu     sync.Mutex
	timer  *time.Timer
	ctx    context.Context // read by who holds the state, who alone replaces it
	cancel context.CancelCauseFunc
	cause  error
	seenAt time.Duration // when the timer saw that call first
	heap   int64         // size of the heap at that time
}

// watchTick is the time between two looks at a running call.
const watchTick = 20 * time.Millisecond

var watchEpoch = time.Now()

// now is the time since the program began.
func now() time.Duration { return time.Since(watchEpoch) }

func (d *watchdog) init(limits luaLimits) {
	d.limits = limits
	d.renew()
}

// setLimits changes the limits of the calls to come. Who holds the state calls it.
func (d *watchdog) setLimits(limits luaLimits) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limits = limits
}

func (d *watchdog) renew() {
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
}

// start begins to watch a call that has used some of its budget before. exact has its time
// measured from the beginning. One that was stopped before is stopped at once.
func (d *watchdog) start(used time.Duration, exact bool, stopped error) {
	if d.fired.Load() || stopped != nil {
		d.restart(stopped)
	}
	if d.used.Load() != int64(used) {
		d.used.Store(int64(used))
	}
	since := int64(0)
	if exact {
		since = int64(now())
	}
	if d.since.Load() != since {
		d.since.Store(since)
	}
	d.number.Add(1)
	if !d.armed.Load() {
		d.arm()
	}
}

// restart makes a new context after the old one was used up.
func (d *watchdog) restart(stopped error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fired.Load() {
		d.fired.Store(false)
		d.renew()
	}
	if stopped != nil {
		d.fire(stopped)
	}
}

// arm has the timer look at what runs.
func (d *watchdog) arm() {
	if d.limits.budget <= 0 && d.limits.memory <= 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed.Swap(true) {
		return
	}
	pause := d.pause(0)
	if d.timer == nil {
		d.timer = time.AfterFunc(pause, d.check)
	} else {
		d.timer.Reset(pause)
	}
}

// stop ends the watch and returns how long the call ran since start, and what stopped it.
// A call that is not exact and was over before the timer saw it ran for no time.
func (d *watchdog) stop() (ran time.Duration, stopped error) {
	number := d.number.Add(1) - 1
	if since := d.since.Load(); since != 0 {
		ran = now() - time.Duration(since)
	} else if d.seen.Load() == number {
		ran = d.seenFor()
	}
	return ran, d.expired()
}

// begun returns when the running call began, as far as that is known.
func (d *watchdog) begun(seen time.Duration) time.Duration {
	if since := d.since.Load(); since != 0 {
		return time.Duration(since)
	}
	return seen
}

// pause is the time until the next look at a call that has run for a while.
func (d *watchdog) pause(ran time.Duration) time.Duration {
	return min(max(d.left(ran), 0), watchTick)
}

// left is what remains of the budget of a call that has run for a while.
func (d *watchdog) left(ran time.Duration) time.Duration {
	if d.limits.budget <= 0 {
		return math.MaxInt64
	}
	return d.limits.budget - time.Duration(d.used.Load()) - ran
}

// check runs when the timer fires: it stops a call that is over its limits, and rests when
// nothing runs.
func (d *watchdog) check() {
	d.mu.Lock()
	defer d.mu.Unlock()
	number := d.number.Load()
	if number%2 == 0 {
		d.armed.Store(false)
		if d.number.Load()%2 == 0 {
			return
		}
		d.armed.Store(true) // one has begun in between, and may not have armed the timer
		number = d.number.Load()
	}
	if d.seen.Load() != number {
		d.seenAt, d.heap = now(), heapBytes()
		d.seen.Store(number)
	}
	ran := now() - d.begun(d.seenAt)
	switch {
	case d.left(ran) <= 0:
		d.fireAt(number, errBudget)
	case d.overMemory():
		d.fireAt(number, errMemory)
	}
	if d.fired.Load() {
		d.armed.Store(false)
		return
	}
	d.timer.Reset(d.pause(ran))
}

// fireAt stops the call with a number, unless it is over.
func (d *watchdog) fireAt(number uint64, cause error) {
	d.fired.Store(true)
	if d.number.Load() != number { // who stops or starts now waits for mu
		d.fired.Store(false)
		return
	}
	d.fire(cause)
}

func (d *watchdog) fire(cause error) {
	d.fired.Store(true)
	d.cause = cause
	d.cancel(cause)
}

// overMemory reports whether the heap has grown too much since the running call was first
// seen. Go does not tell what a goroutine allocates, so it is the heap of the process that
// counts, without what is garbage. Calls that are over between two looks are not blamed.
func (d *watchdog) overMemory() bool {
	if d.limits.memory <= 0 || heapBytes()-d.heap <= d.limits.memory {
		return false
	}
	goruntime.GC()
	return heapBytes()-d.heap > d.limits.memory
}

// heapBytes is the size of all objects in the heap, with those that are garbage.
func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// seenFor returns how long ago the timer saw the running call first.
func (d *watchdog) seenFor() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now() - d.seenAt
}

// expired returns why the running call was stopped.
func (d *watchdog) expired() error {
	if !d.fired.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fired.Load() {
		return d.cause
	}
	return nil
}

func (d *watchdog) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
	d.cancel(context.Canceled)
}
