package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luafast"
	"luaserve/runtime/luastring"
)

// heap is a loaded Lua heap: the script's, or that of a lua.handler file. It has one or
// more states, each a copy of what the script left behind.
type heap struct {
	prog    *Program
	sandbox Sandbox
	isFile  bool // of lua.handler
	states  []*state
	// roots are the functions and tables that the pipeline refers to, as the script made
	// them; each state has its own copy at the same index.
	roots []lua.LValue
	next  atomic.Uint32
	full  atomic.Bool // see retention
}

// addRoot keeps a Lua value that requests will need and returns its index.
func (h *heap) addRoot(v lua.LValue) int {
	h.roots = append(h.roots, v)
	return len(h.roots) - 1
}

// state is one Lua state with its lock. The lock is held while Lua runs and given up
// while a binding waits (see [VRequest.Blocking]).
type state struct {
	mu    sync.Mutex
	heap  *heap
	L     *lua.LState
	idle  []*lua.LState // threads that no call uses
	roots []lua.LValue

	base    *lua.LTable // the global table, _G
	env     *lua.LTable // the environment of every function of the script
	envMeta *lua.LTable
	view    view
	// invokeMethod calls the method of an object; see [state.invoke]
	invokeMethod *lua.LFunction
	metatables   map[*Object]*lua.LTable
	metas        *lua.LTable               // other metatables, by name
	newGlobal    *lua.LFunction            // sets the first global of a handler
	builtins     []lua.LValue              // what was there before the script, in an order that is the same in every state
	names        map[*lua.LFunction]string // of the functions among them

	hidden map[*lua.LTable]*lua.LTable // where what was in a library is, see protectShared

	builder *Builder
	current *call // the call that runs now
	kept    retention
	waiting int // calls that wait without the lock
	// loadLogged is how much was written to the log while the script was loaded, in bytes.
	loadLogged int
	dog        watchdog
	fast       *luafast.Machine
	leaf       Call // what leaf functions are given
}

// call is one run of a Lua function for a request.
type call struct {
	vr      *VRequest
	pin     *pin
	outer   *call // that waits while this one runs, of the same request
	handler any   // identity of the handler or filter whose globals these are
	thread  *lua.LState
	inner   *lua.LState   // the coroutine in which the call waits, thread itself when in none
	used    time.Duration // of the time budget, before the last wait
	stopped error         // by the watchdog, before the last wait
	waited  bool
	result  [1]lua.LValue // the memory of its result
}

// luaOptions grow a thread's registry in big steps (a step of 4096 is three times faster
// than the default of 32). Its bound of 2 MiB leaves room for the 200 calls of the deepest
// recursion and for unpack with 80,000 values more; a thread keeps what it grew to.
var luaOptions = lua.Options{
	RegistrySize:     512,
	RegistryMaxSize:  1 << 17,
	RegistryGrowStep: 4096,
	CallStackSize:    200,
	SkipOpenLibs:     true,
}

// newState makes a Lua state with the libraries and the runtime's own objects.
func newState(h *heap) *state {
	L := lua.NewState(luaOptions)
	st := &state{heap: h, L: L, metatables: map[*Object]*lua.LTable{}, metas: L.NewTable()}
	st.dog.init(h.prog.luaLimits)
	st.fast = luafast.New(&st.dog.fired)
	st.leaf.st = st
	st.openLibraries()
	st.metas.RawSetString("concat", h.prog.concat) // among the built-in functions, for forks
	st.base = L.G.Global
	st.envMeta = L.NewTable()
	st.env = L.NewTable()
	st.env.Metatable = st.envMeta
	L.Env = st.env
	st.installEnvironment()
	st.installObjects()
	st.installConfig()
	st.installHost()
	st.builtins = st.collectBuiltins()
	st.fast.AddLibrary(st.names)
	st.fast.SetConcat(h.prog.concat, luastring.Join(h.prog.maxString))
	return st
}

// thread returns a Lua thread of the state for one call.
func (st *state) thread() *lua.LState {
	var th *lua.LState
	if n := len(st.idle); n > 0 {
		th = st.idle[n-1]
		st.idle = st.idle[:n-1]
	} else {
		th, _ = st.L.NewThread()
	}
	if th.Env != st.env { // setfenv(0, …) has changed it
		th.Env = st.env
	}
	return th
}

// maxIdleThreads bounds what a burst of blocked calls leaves behind.
const maxIdleThreads = 64

// putThread takes a thread back whose stack is empty.
func (st *state) putThread(th *lua.LState) {
	if len(st.idle) < maxIdleThreads {
		st.idle = append(st.idle, th)
	}
}

// call runs fn(args…) for a request on a thread of its own and returns its first nret
// results. The state is locked meanwhile.
func (st *state) call(c *call, fn lua.LValue, nret int, args ...lua.LValue) (results []lua.LValue, err error) {
	st.lock(c.vr)
	if st.kept.err != nil {
		st.mu.Unlock()
		return nil, &LuaError{Msg: st.kept.err.Error()}
	}
	c.outer, c.thread = c.vr.running, st.thread()
	c.vr.Physical.batcher = nil // it may change files, and see that it has
	st.resume(c)
	defer st.leave(c)
	if nret <= len(c.result) {
		results = c.result[:nret]
	} else {
		results = make([]lua.LValue, nret)
	}
	err = st.run(c, fn.(*lua.LFunction), args, results)
	st.countCall(err != nil)
	return results, err
}

// run calls fn(args…) on the thread of c. What is simple in it runs in st.fast, the rest in
// gopher-lua.
func (st *state) run(c *call, fn *lua.LFunction, args, results []lua.LValue) error {
	if fn == st.invokeMethod {
		if fn, args = st.methodOf(fn, args); fn == nil {
			for i := range results {
				results[i] = lua.LNil
			}
			st.putThread(c.thread)
			return nil
		}
	}
	st.leaf.L, st.leaf.VR = c.thread, c.vr
	nargs, finished := st.fast.Run(c.thread, fn, args, results)
	if st.fast.Escaped() {
		c.pin.escaped = true
	}
	if !finished {
		if err := c.thread.PCall(nargs, len(results), nil); err != nil {
			// the thread is not reused: an error may have left frames behind
			return st.luaError(err)
		}
		for i := range results {
			results[i] = c.thread.Get(i - len(results))
		}
		c.thread.SetTop(0)
	}
	if cause := st.dog.expired(); cause != nil { // a pcall was the last thing that it did
		return &LuaError{Msg: cause.Error()}
	}
	st.putThread(c.thread)
	return nil
}

// leave ends a call and unlocks the state.
func (st *state) leave(c *call) {
	st.suspend(c)
	c.vr.running = c.outer
	st.look()
	st.mu.Unlock()
}

// resume makes c the running call: its globals are the visible ones, its time counts.
func (st *state) resume(c *call) {
	c.vr.running = c
	st.current = c
	st.cleanEnvironment()
	st.showGlobals(c)
	st.dog.start(c.used, c.waited || c.vr.trace != nil || st.heap.prog.luaStats.Load() != nil, c.stopped)
	st.runOn(c)
}

func (st *state) suspend(c *call) {
	ran, stopped := st.dog.stop()
	st.countRun(ran)
	if c.vr.trace != nil {
		c.vr.trace.luaRan(ran)
	}
	c.used += ran
	c.stopped = stopped
	c.waited = true
	c.inner = st.L.G.CurrentThread
	st.current = nil
}

// Blocking runs f, which waits for something, without holding the lock of the Lua state
// that is calling, so that other requests can use it meanwhile. Outside of Lua it just runs f.
func (vr *VRequest) Blocking(f func()) {
	vr.Waits()
	c := vr.running
	if c == nil {
		f()
		return
	}
	st := c.pin.state
	st.suspend(c)
	vr.running = nil
	st.waiting++
	st.mu.Unlock()
	defer func() {
		st.lock(vr)
		st.waiting--
		st.resume(c)
	}()
	f()
}

// luaError turns what PCall returned into a LuaError. Values other than strings keep
// their own text. No Lua runs here, so there is no __tostring: it would run after the call,
// with nothing that stops it.
func (st *state) luaError(err error) error {
	var api *lua.ApiError
	if !errors.As(err, &api) {
		return &LuaError{Msg: err.Error()}
	}
	if ud, ok := api.Object.(*lua.LUserData); ok {
		if cause, ok := ud.Value.(error); ok {
			return fmt.Errorf("%w", cause)
		}
	}
	msg := ""
	switch v := api.Object.(type) {
	case lua.LString:
		msg = string(v)
	case nil:
		msg = err.Error()
	default:
		msg = rawText(v)
	}
	if cause := st.dog.expired(); cause != nil {
		msg = withCause(msg, cause)
	}
	return &LuaError{Msg: msg, Traceback: api.StackTrace}
}

// withCause adds why a call was stopped to the error that it ended with, in the place of
// what Go says of its context.
func withCause(msg string, cause error) string {
	if place, ok := strings.CutSuffix(msg, context.Canceled.Error()); ok {
		return place + cause.Error()
	}
	return msg + ": " + cause.Error()
}

// rawText describes a value that was raised as an error.
func rawText(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LNumber, lua.LBool:
		return v.String()
	case *lua.LTable:
		for _, field := range []lua.LValue{v.RawGetString("message"), v.RawGetInt(1)} {
			if text, ok := field.(lua.LString); ok {
				return string(text)
			}
		}
	}
	return "an error object: a " + v.Type().String()
}

// close ends the state's watchdog.
func (st *state) close() { st.dog.close() }
