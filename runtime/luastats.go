package runtime

import (
	"sync/atomic"
	"time"
)

// LuaStats counts what the Lua code of a program does while it handles requests. Its numbers
// only grow. It is safe for concurrent use.
type LuaStats struct {
	calls, errors, waits atomic.Int64
	ran, waited          atomic.Int64 // nanoseconds
}

// Calls returns how many calls from actions and filters into Lua have ended.
func (s *LuaStats) Calls() int64 { return s.calls.Load() }

// Errors returns how many of them ended with an error, limits included.
func (s *LuaStats) Errors() int64 { return s.errors.Load() }

// Ran returns how long Lua code ran; what it waited for, like a backend, does not count.
func (s *LuaStats) Ran() time.Duration { return time.Duration(s.ran.Load()) }

// Waits returns how many calls had to wait for the Lua state, which another request used, and
// for how long in all.
func (s *LuaStats) Waits() (n int64, in time.Duration) {
	return s.waits.Load(), time.Duration(s.waited.Load())
}

// LuaStats returns the counters of the program. Nothing is counted before the first call.
func (b *Builder) LuaStats() *LuaStats {
	b.prog.luaStats.CompareAndSwap(nil, &LuaStats{})
	return b.prog.luaStats.Load()
}

// shortWait is how often a request looks whether a state is free before it waits for it, which
// takes about as long as a short handler runs.
const shortWait = 500

// lock locks the state for a request. Where another one has it for long, the front end hears
// of the wait, so that it can serve others meanwhile.
func (st *state) lock(vr *VRequest) {
	if st.mu.TryLock() {
		return
	}
	var begun time.Time
	stats := st.heap.prog.luaStats.Load()
	if stats != nil {
		begun = time.Now()
	}
	if !st.lockSoon() {
		vr.Waits()
		st.mu.Lock()
	}
	if stats != nil {
		stats.waits.Add(1)
		stats.waited.Add(int64(time.Since(begun)))
	}
}

// lockSoon locks the state if it becomes free within about a microsecond.
func (st *state) lockSoon() bool {
	for range shortWait {
		if st.mu.TryLock() {
			return true
		}
	}
	return false
}

func (st *state) countRun(ran time.Duration) {
	if stats := st.heap.prog.luaStats.Load(); stats != nil {
		stats.ran.Add(int64(ran))
	}
}

func (st *state) countCall(failed bool) {
	stats := st.heap.prog.luaStats.Load()
	if stats == nil {
		return
	}
	stats.calls.Add(1)
	if failed {
		stats.errors.Add(1)
	}
}
