package runtime

import (
	"context"
	"errors"
	"math"
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
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
type watchdog struct {
	mu      sync.Mutex
	timer   *time.Timer
	ctx     context.Context
	cancel  context.CancelCauseFunc
	limits  luaLimits     // of the running call
	used    time.Duration // of its budget, before it started
	started time.Time     // zero when none runs
	heap    int64         // size of the heap when the running call was first seen, -1 before
	armed   bool
	fired   bool
}

// watchTick is the time between two looks at a running call.
const watchTick = 20 * time.Millisecond

func (d *watchdog) init() {
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
}

func (d *watchdog) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ctx
}

// start begins to watch a call that has used some of its budget before. One that was
// stopped before is stopped at once.
func (d *watchdog) start(limits luaLimits, used time.Duration, stopped error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fired {
		d.fired = false
		d.init()
	}
	if stopped != nil {
		d.fire(stopped)
		return
	}
	d.limits, d.used, d.started, d.heap = limits, used, time.Now(), -1
	if d.armed || limits.budget <= 0 && limits.memory <= 0 {
		return
	}
	d.armed = true
	if d.timer == nil {
		d.timer = time.AfterFunc(d.pause(), d.check)
	} else {
		d.timer.Reset(d.pause())
	}
}

// stop ends the watch and returns how long the call ran since start, and what stopped it.
func (d *watchdog) stop() (ran time.Duration, stopped error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.started.IsZero() {
		ran = time.Since(d.started)
		d.started = time.Time{}
	}
	if d.fired {
		stopped = context.Cause(d.ctx)
	}
	return ran, stopped
}

// left is what remains of the running call's budget.
func (d *watchdog) left() time.Duration {
	if d.limits.budget <= 0 {
		return math.MaxInt64
	}
	return d.limits.budget - d.used - time.Since(d.started)
}

func (d *watchdog) pause() time.Duration { return min(max(d.left(), 0), watchTick) }

// check runs when the timer fires: it stops a call that is over its limits, and rests when
// nothing runs.
func (d *watchdog) check() {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.started.IsZero():
		d.armed = false
	case d.left() <= 0:
		d.armed = false
		d.fire(errBudget)
	case d.overMemory():
		d.armed = false
		d.fire(errMemory)
	default:
		d.timer.Reset(d.pause())
	}
}

func (d *watchdog) fire(cause error) {
	d.fired = true
	d.cancel(cause)
}

// overMemory reports whether the heap has grown too much since the running call was first
// seen. Go does not tell what a goroutine allocates, so it is the heap of the process that
// counts, without what is garbage. Calls that are over between two looks are not blamed.
func (d *watchdog) overMemory() bool {
	if d.limits.memory <= 0 {
		return false
	}
	if d.heap < 0 {
		d.heap = heapBytes()
		return false
	}
	if heapBytes()-d.heap <= d.limits.memory {
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

func (d *watchdog) expired() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fired {
		return context.Cause(d.ctx)
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
