package runtime

import (
	lua "github.com/yuin/gopher-lua"
)

// gopher-lua's coroutines know one flow of control in a state. Here several calls share a
// state, each with a thread of its own, and some of them wait inside of a coroutine. So
// resume, wrap, status and running are replaced:
//
//   - a coroutine runs under the time budget of the call that resumes it, not of the one
//     that made it, and one that was made while the script was loaded has a budget too;
//   - one that runs, or waits in another call, is not resumed a second time. gopher-lua
//     compares with the last thread that ran, which may be another call's.

const errResumeRunning = "can not resume a running thread"

// openCoroutines puts the replacements into the library.
func openCoroutines(L *lua.LState) {
	lib, ok := L.G.Global.RawGetString(lua.CoroutineLibName).(*lua.LTable)
	if !ok {
		return
	}
	original := func(name string) lua.LGFunction { return lib.RawGetString(name).(*lua.LFunction).GFunction }
	resume, create, wrap := original("resume"), original("create"), original("wrap")
	wrapped := func(L *lua.LState) int { // what coroutine.wrap returns
		th := L.ToThread(lua.UpvalueIndex(1))
		if th.Parent != nil || th == L {
			L.RaiseError("%s", errResumeRunning)
		}
		L.Insert(th, 1)
		return resumeThread(L, th, resume)
	}
	for name, f := range map[string]lua.LGFunction{
		"create": func(L *lua.LState) int { return withoutContext(L, create) },
		"wrap": func(L *lua.LState) int {
			withoutContext(L, wrap)
			th := L.Get(-1).(*lua.LFunction).Upvalues[0].Value()
			L.Push(L.NewClosure(wrapped, th))
			return 1
		},
		"resume": func(L *lua.LState) int {
			th := L.CheckThread(1)
			if th.Parent != nil || th == L {
				L.Push(lua.LFalse)
				L.Push(lua.LString(errResumeRunning))
				return 2
			}
			return resumeThread(L, th, resume)
		},
		"status":  threadStatus,
		"running": runningThread,
	} {
		lib.RawSetString(name, L.NewFunction(f))
	}
}

// withoutContext makes a coroutine that has no context yet: resume gives it one. A context
// derived from the running one would end with it, and be kept by it until then.
func withoutContext(L *lua.LState, create lua.LGFunction) int {
	L.CheckFunction(1)
	ctx := L.RemoveContext()
	n := create(L)
	if ctx != nil {
		L.SetContext(ctx)
	}
	return n
}

// maxNested bounds how many coroutines may wait for each other: each has frames on Go's stack,
// and when that is full the process ends. Lua 5.1 has the same limit.
const maxNested = 200

func checkNesting(L *lua.LState) {
	depth := 0
	for th := L; th != nil; th = th.Parent {
		if depth++; depth > maxNested {
			L.RaiseError("stack overflow: more than %d coroutines in each other", maxNested)
		}
	}
}

// resumeThread runs th until it yields, ends or fails. A thread has a parent exactly while
// it is resumed.
func resumeThread(L, th *lua.LState, resume lua.LGFunction) int {
	checkNesting(L)
	if ctx := L.Context(); ctx != nil {
		th.SetContext(ctx)
	} else {
		th.RemoveContext()
	}
	L.G.CurrentThread = L
	returned := false
	defer func() {
		L.G.CurrentThread = L
		if !returned { // an error passes through coroutine.wrap, which leaves the thread as it is
			th.Parent, th.Dead = nil, true
		}
	}()
	n := resume(L)
	returned = true
	return n
}

func threadStatus(L *lua.LState) int {
	th := L.CheckThread(1)
	status := "suspended"
	switch {
	case th.Dead:
		status = "dead"
	case th == L:
		status = "running"
	case th.Parent != nil:
		status = "normal"
	}
	L.Push(lua.LString(status))
	return 1
}

// runningThread returns nil for the thread of a call: a script must not get hold of it.
func runningThread(L *lua.LState) int {
	if L.Parent == nil {
		L.Push(lua.LNil)
	} else {
		L.Push(L)
	}
	return 1
}

// runOn makes the thread in which a call was interrupted, or its own when it begins, the
// current one of the state, and gives it and the threads that resumed it the context that
// counts now.
func (st *state) runOn(c *call) {
	th := c.inner
	if th == nil {
		th = c.thread
	}
	st.L.G.CurrentThread = th
	for ctx := st.dog.ctx; th != nil; th = th.Parent {
		if th.Context() != ctx {
			th.SetContext(ctx)
		}
	}
}
