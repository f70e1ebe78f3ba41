package runtime

import (
	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luafast"
)

// What globals mean in a script (lighttpd2, "Lua API"):
//
//   - while a script is loaded its globals live in a table of the load, which is forgotten;
//   - in a handler globals live as long as the handler and the request;
//   - REQ is a table that all handlers of one request share;
//   - _G is the table of the state: what is put there stays.
//
// Every function of a script has the same environment table, st.env, which is
// empty. Its metatable leads to the globals that count at the moment, so that changing
// them is one store and not a walk over closures.

const reqGlobal = "REQ"

// view is which globals the functions of a script see at the moment.
type view struct {
	globals *lua.LTable // those of a handler, or _G
	// changed says that the environment table may have been in the hands of the script, which
	// may have changed it then. Only getfenv gives it out.
	changed bool
}

func (st *state) installEnvironment() {
	st.envMeta.RawSetString("__index", st.base)
	st.newGlobal = st.L.NewFunction(st.setNewGlobal)
	st.metas.RawSetString("newglobal", st.newGlobal)
	st.envMeta.RawSetString("__newindex", st.newGlobal)
	meta := st.L.NewTable()
	missing := st.L.NewFunction(st.missingGlobal)
	st.fast.AddLeaf(missing, luafast.LeafAny)
	meta.RawSetString("__index", missing)
	st.metas.RawSetString("base", meta)
	st.base.Metatable = meta
}

// cleanEnvironment undoes what a script can do to the environment that all its functions
// share, by rawset(getfenv(1), …) and setmetatable(getfenv(1), …): nothing of it must reach
// another request.
func (st *state) cleanEnvironment() {
	if !st.view.changed {
		return
	}
	st.env.Metatable = st.envMeta
	if k, _ := st.env.Next(lua.LNil); k != lua.LNil {
		*st.env = lua.LTable{Metatable: st.envMeta}
	}
}

// setNewGlobal gives the running handler a table for its globals when it sets the first one.
func (st *state) setNewGlobal(L *lua.LState) int {
	key, value := L.Get(2), L.Get(3)
	c := st.current
	if c == nil {
		L.RaiseError("global %q set outside of a script", key.String())
		return 0
	}
	globals := st.L.NewTable()
	meta := st.L.NewTable()
	meta.RawSetString("__index", st.base)
	globals.Metatable = meta
	globals.RawSet(key, value)
	c.pin.setGlobals(c.handler, globals)
	st.showGlobals(c)
	return 0
}

// missingGlobal is asked for names that neither the handler nor _G has.
func (st *state) missingGlobal(L *lua.LState) int {
	c := st.current
	if c != nil && L.Get(2) == lua.LString(reqGlobal) {
		L.Push(c.pin.req())
		return 1
	}
	L.Push(lua.LNil)
	return 1
}

// showGlobals makes the globals of a call the visible ones.
func (st *state) showGlobals(c *call) {
	globals := c.pin.globals(c.handler)
	if globals == nil {
		globals = st.base
	}
	if globals != st.view.globals || st.view.changed {
		st.useGlobals(globals)
	}
}

// useGlobals has globals read and written elsewhere. Those of a handler that has set none
// are _G, which is not written to.
func (st *state) useGlobals(globals *lua.LTable) {
	st.envMeta.RawSetString("__index", globals)
	if globals == st.base {
		st.envMeta.RawSetString("__newindex", st.newGlobal)
	} else {
		st.envMeta.RawSetString("__newindex", globals)
	}
	st.view.globals = globals
}

// watchEnvironment notes when a script is given an environment.
func (st *state) watchEnvironment(lib *lua.LTable) {
	original := lib.RawGetString("getfenv").(*lua.LFunction).GFunction
	lib.RawSetString("getfenv", st.L.NewFunction(func(L *lua.LState) int {
		st.view.changed = true
		return original(L)
	}))
}

// pin ties a request to the state that it first entered: its REQ table, its globals and
// the Lua objects that stand for it live there.
type pin struct {
	memory  pinMemory
	vr      *VRequest
	state   *state
	reqTab  *lua.LTable
	escaped bool // Lua may have kept one of the objects
	usual   call // the memory of a call; another one is made where calls are within each other
	busy    bool // a call has it
}

// pinMemory is what requests one after another use again.
type pinMemory struct {
	scopes  []scope
	objects []objectRef
	made    *state // the state that they fit
	loose   bool   // one of them stands for what is no part of the request
}

// fit makes the objects those of a state.
func (m *pinMemory) fit(st *state) {
	if m.made == st {
		return
	}
	m.made = st
	for i := range m.objects {
		o := &m.objects[i]
		o.data.Env, o.data.Metatable = st.env, st.metatables[o.object]
	}
}

type scope struct {
	handler any
	globals *lua.LTable
}

// pinTo returns the pin of the request for a heap. The first state whose lock is free is
// taken, from the first on: requests one after another on an idle server meet the same one.
func (vr *VRequest) pinTo(h *heap) *pin {
	for _, p := range vr.pins {
		if p.state.heap == h {
			return p
		}
	}
	p := vr.firstPin
	if len(vr.pins) > 0 || p == nil {
		p = &pin{}
	}
	if vr.firstPin == nil {
		vr.firstPin = p
	}
	p.vr, p.state = vr, vr.parentState(h)
	if p.state == nil {
		p.state = h.pick()
	}
	p.memory.fit(p.state)
	if vr.pins == nil {
		vr.pins = vr.pinSpace[:0]
	}
	vr.pins = append(vr.pins, p)
	return p
}

// parentState is the state of h that the request is in whose subrequest vr is, if any: an
// action that a handler made lives in that state alone.
func (vr *VRequest) parentState(h *heap) *state {
	for up := vr.parent; up != nil; up = up.parent {
		for _, p := range up.pins {
			if p.state.heap == h {
				return p.state
			}
		}
	}
	return nil
}

func (h *heap) pick() *state {
	if len(h.states) == 1 {
		return h.states[0]
	}
	for _, st := range h.states {
		if st.mu.TryLock() {
			st.mu.Unlock()
			return st
		}
	}
	return h.states[int(h.next.Add(1))%len(h.states)]
}

func (p *pin) req() *lua.LTable {
	if p.reqTab == nil {
		p.reqTab = p.state.L.NewTable()
	}
	return p.reqTab
}

func (p *pin) globals(handler any) *lua.LTable {
	for i := range p.memory.scopes {
		if p.memory.scopes[i].handler == handler {
			return p.memory.scopes[i].globals
		}
	}
	return nil
}

func (p *pin) setGlobals(handler any, globals *lua.LTable) {
	p.memory.scopes = append(p.memory.scopes, scope{handler, globals})
}

// call runs a function of the state for the request and returns its result; handler is whose
// globals it has.
func (p *pin) call(handler any, fn, arg lua.LValue) (lua.LValue, error) {
	c, within := &p.usual, p.busy
	switch {
	case within:
		c = &call{}
	case c.vr != nil: // of a call before
		*c = call{}
	}
	p.busy = true // for ever if there is a panic, which ends the request
	c.vr, c.pin, c.handler = p.vr, p, handler
	results, err := p.state.call(c, fn, 1, arg)
	p.busy = within
	if err != nil {
		return lua.LNil, err
	}
	return results[0], nil
}

// release cuts the Lua objects of the request from it: a script that kept one gets an
// error, not another request. Those that no script can have are used again.
func (p *pin) release() {
	m := &p.memory
	if p.escaped {
		p.state.mu.Lock()
		for _, o := range m.objects {
			o.data.Value = nil
		}
		p.state.mu.Unlock()
		clear(m.objects)
		m.objects = m.objects[:0]
	}
	if m.loose {
		for i := range m.objects {
			if o := &m.objects[i]; !o.part {
				o.self, o.data.Value = nil, nil
			}
		}
		m.loose = false
	}
	clear(m.scopes)
	m.scopes = m.scopes[:0]
	kept := p.memory
	*p = pin{}
	p.memory = kept
}
