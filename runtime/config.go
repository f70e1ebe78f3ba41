package runtime

import (
	"errors"
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// The names that a script configures with: action.header.add(…), setup.listen(…), the
// same names bare, request.path:prefix(…), all{…}, any{…}, none{…}.

// setupDone is what a setup returns: nothing that anybody could use.
type setupDone string

func (s setupDone) String() string { return "setup " + string(s) }

// configError is raised as a Lua error object when a setup or an action cannot be made.
// tostring gives lighttpd2's short text; uncaught, the whole message is what the user sees.
type configError struct {
	pos   Pos
	short string
	err   error
}

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

func (st *state) installConfig() {
	L := st.L
	meta := func(name string, funcs map[string]lua.LGFunction) {
		mt := L.NewTable()
		for k, f := range funcs {
			mt.RawSetString(k, L.NewFunction(f))
		}
		mt.RawSetString("__metatable", lua.LFalse) // all requests share it
		st.metas.RawSetString(name, mt)
	}
	text := func(L *lua.LState) int {
		L.Push(lua.LString(fmt.Sprint(L.CheckUserData(1).Value)))
		return 1
	}
	meta("accessor root", map[string]lua.LGFunction{"__index": st.accessorIndex, "__tostring": text})
	meta("accessor", map[string]lua.LGFunction{"__index": st.accessorIndex, "__call": st.accessorCall, "__tostring": text})
	meta("action", map[string]lua.LGFunction{"__tostring": func(L *lua.LState) int {
		L.Push(lua.LString(L.CheckUserData(1).Value.(*Node).Name))
		return 1
	}})
	meta("condition", map[string]lua.LGFunction{"__tostring": text})
	meta("error", map[string]lua.LGFunction{"__tostring": text})
	meta("lvalue", map[string]lua.LGFunction{"__index": st.lvalueIndex, "__tostring": text})
	meta("lvalue group", map[string]lua.LGFunction{"__index": st.lvalueGroupIndex})
	meta("lvalue keyed", map[string]lua.LGFunction{"__index": st.lvalueKeyIndex})
	meta("kvlist", map[string]lua.LGFunction{"__index": kvIndex})
	meta("config error", map[string]lua.LGFunction{
		"__tostring": func(L *lua.LState) int {
			L.Push(lua.LString(L.CheckUserData(1).Value.(*configError).short))
			return 1
		},
		"__index": func(L *lua.LState) int {
			e := L.CheckUserData(1).Value.(*configError)
			L.Push(lua.LString(e.pos.String() + ": " + e.Error()))
			return 1
		},
	})
	ops := L.NewTable()
	for i := range condOps {
		ops.RawSetString(condOps[i].name, L.NewFunction(st.conditionOp(&condOps[i])))
	}
	st.metas.RawSetString("operators", ops)
	st.invokeMethod = L.NewFunction(invokeMethod)
	st.metas.RawSetString("invoke", st.invokeMethod) // among the built-in functions, for forks
	st.base.RawSetString("action", st.handle(&accessor{kind: accessAction}, "accessor root"))
	for _, group := range []string{"request", "physical", "response"} {
		st.base.RawSetString(group, st.handle(group, "lvalue group"))
	}
	for _, op := range comboOps {
		st.base.RawSetString(op.name, L.NewFunction(st.combineConditions(op)))
	}
}

// bareName finds a name that is used without action or setup before it. It is the __index
// of the globals of a load.
func (st *state) bareName(L *lua.LState) int {
	name, ok := L.Get(2).(lua.LString)
	if ok {
		if v := st.base.RawGet(name); v != lua.LNil {
			L.Push(v)
			return 1
		}
		if name == "setup" && st.builder.load != nil && st.builder.load.mayUseSetups {
			L.Push(st.handle(&accessor{kind: accessSetup}, "accessor root"))
			return 1
		}
		if st.builder.knows(string(name)) {
			L.Push(st.builder.load.once(named{accessBare, "", string(name)}, func() *lua.LUserData {
				return st.handle(&accessor{kind: accessBare, name: string(name)}, "accessor")
			}))
			return 1
		}
		st.builder.refuseUnknown(L, string(name))
	}
	L.Push(lua.LNil)
	return 1
}

// refuseUnknown raises an error for a global that nobody has set: as a nil it would vanish
// from a list of actions without a word. Libraries that a script requires may look for
// globals that are not there, and rawget(_G, name) always works.
func (b *Builder) refuseUnknown(L *lua.LState, name string) {
	if b.load == nil || !b.load.sources[callerPos(L).File] {
		return
	}
	unknown := &UnknownNameError{What: "name", Name: name, Nearest: Nearest(name, b.names(accessBare)), Hint: nameHints[name]}
	if a := Nearest(name, b.names(accessAction)); a != "" {
		unknown.What, unknown.Nearest = "action", a
	}
	err := error(unknown)
	L.Error(b.st.handle(&configError{pos: callerPos(L), short: err.Error(), err: err}, "config error"), 1)
}

// nameHints say what to do about names that are somewhere else.
var nameHints = map[string]string{
	"core":        `write lua.plugin "core.lua" first`,
	"secdownload": `write lua.plugin "secdownload.lua" first`,
	"vr":          "it is the argument of a handler: function(vr) … end",
	"REQ":         "it is there while a request is handled",
	"include":     "use lua.plugin or dofile",
}

// raise ends a call that could not be served with an error object.
func (st *state) raise(L *lua.LState, a *accessor, b *Builder, err error) {
	var inner *configError
	if errors.As(err, &inner) && inner.pos.File != "" {
		err = inner
	}
	short := "creating action failed"
	if a.kind == accessSetup {
		short = "setup failed"
	}
	var unknownName *UnknownNameError
	isItself := errors.As(err, &unknownName) && (unknownName.What == "action" || unknownName.What == "setup")
	if refused, ok := errors.AsType[*SandboxError](err); ok && refused.Name == a.name {
		isItself = true
	}
	if !isItself && inner == nil {
		err = fmt.Errorf("%s: %w", a.name, err)
	}
	L.Error(st.handle(&configError{pos: b.Pos(), short: short, err: err}, "config error"), 1)
}
