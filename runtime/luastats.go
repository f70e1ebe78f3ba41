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

// lock locks the state for a request.
func (st *state) lock() {
	stats := st.heap.prog.luaStats.Load()
	if stats == nil {
		st.mu.Lock()
		return
	}
	if st.mu.TryLock() {
		return
	}
	begun := time.Now()
	st.mu.Lock()
	stats.waits.Add(1)
	stats.waited.Add(int64(time.Since(begun)))
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
