package runtime

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luafast"
)

// Results of a Lua handler (lighttpd2, liHandlerResult).
const (
	HandlerGoOn         = 0
	HandlerComeback     = 1
	HandlerWaitForEvent = 2
	HandlerError        = 3
)

// maxEnters bounds the actions that one request enters: one that enters itself would
// never end.
const maxEnters = 1000

// luaFunction is an action that calls a Lua function with vr.
type luaFunction struct {
	heap  *heap
	root  int            // index of the function in the roots of each state
	bound *lua.LFunction // a function made while a request ran lives in one state only
	state *state
}

// Run calls the function, then the actions that it entered, and calls it again when it
// asked to wait for them or for what has happened already.
func (f *luaFunction) Run(vr *VRequest) error {
	pin := vr.pinTo(f.heap)
	for {
		depth := len(vr.entered)
		vr.woken = false
		result, err := f.call(vr, pin)
		if err != nil {
			return err
		}
		again := len(vr.entered) > depth || vr.woken
		if vr.woken {
			vr.enters++
		}
		for len(vr.entered) > depth {
			last := vr.entered[len(vr.entered)-1]
			vr.entered = vr.entered[:len(vr.entered)-1]
			if vr.enters++; vr.enters > maxEnters {
				return fmt.Errorf("more than %d actions were entered: does one enter itself?", maxEnters)
			}
			if err := last.Run(vr); err != nil {
				return err
			}
		}
		switch result {
		case HandlerGoOn:
			return nil
		case HandlerComeback, HandlerWaitForEvent:
			if !again {
				return fmt.Errorf("the handler waits for an event, but nothing is pending")
			}
			if vr.enters > maxEnters {
				return fmt.Errorf("the handler was run again more than %d times", maxEnters)
			}
		case HandlerError:
			return fmt.Errorf("the handler returned HANDLER_ERROR")
		default:
			return fmt.Errorf("the handler returned %d, which is no handler result", result)
		}
	}
}

func (f *luaFunction) call(vr *VRequest, pin *pin) (int, error) {
	st := pin.state
	fn := f.bound
	if fn == nil {
		fn = st.roots[f.root].(*lua.LFunction)
	} else if f.state != st {
		return 0, fmt.Errorf("the function belongs to another Lua state")
	}
	result, err := pin.call(f, fn, pin.vrObject())
	if err != nil {
		return 0, err
	}
	return handlerResult(result), nil
}

// handlerResult is what lua_tointeger makes of a return value: 0 for what is no number.
func handlerResult(v lua.LValue) int {
	switch v := v.(type) {
	case lua.LNumber:
		return int(v)
	case lua.LString:
		return int(lua.LVAsNumber(v))
	}
	return HandlerGoOn
}

// vrObject is the Lua object that stands for the request in this state.
func (p *pin) vrObject() lua.LValue {
	return p.object(p.state.heap.prog.registry.vrObject, p.vr)
}

// EnterAction has a run when the Lua function that calls is done (lighttpd2, vr:enter_action).
func (vr *VRequest) EnterAction(a Action) { vr.entered = append(vr.entered, a) }

// Wake says that what the running Lua function asked for has happened already: it may
// return HANDLER_WAIT_FOR_EVENT and is run again.
func (vr *VRequest) Wake() { vr.woken = true }

// luaFilter is an action that puts an instance of a Lua filter class into the request.
type luaFilter struct {
	heap *heap
	root int
	in   bool
}

// Run calls class:new(vr); a nil result means no filter this time.
func (f *luaFilter) Run(vr *VRequest) error {
	pin := vr.pinTo(f.heap)
	st := pin.state
	class := st.roots[f.root]
	scope := &struct{ filter *luaFilter }{f}
	results, err := st.invoke(&call{vr: vr, pin: pin, handler: scope}, class, "new", 1, pin.vrObject())
	if err != nil {
		return err
	}
	if results[0] == lua.LNil {
		return nil
	}
	filter := vr.NewLuaFilter(results[0], pin, scope)
	if f.in {
		vr.AddFilterIn(filter)
	} else {
		vr.AddFilterOut(filter)
	}
	return nil
}

// invoke calls obj:name(args…). Looking the method up may run Lua too (__index), so all of
// it happens in one call, with its lock and time budget. A method "finished" may be missing.
func (st *state) invoke(c *call, obj lua.LValue, name string, nret int, args ...lua.LValue) ([]lua.LValue, error) {
	return st.call(c, st.invokeMethod, nret, append([]lua.LValue{obj, lua.LString(name)}, args...)...)
}

// methodOf returns the method that invoke is to call, and its arguments, when it is found
// without running Lua: then it need not be called through the function invoke, which is no
// Lua function that st.fast could run. It returns nil when there is nothing to call. args are
// changed.
func (st *state) methodOf(invoke *lua.LFunction, args []lua.LValue) (*lua.LFunction, []lua.LValue) {
	name := args[1].(lua.LString)
	method, ok := luafast.Method(args[0], name)
	if !ok || method == nil && name != optionalMethod {
		return invoke, args
	}
	args[1] = args[0]
	return method, args[1:]
}

const optionalMethod = "finished"

// invokeMethod is the Lua side of invoke: the object, the name, the arguments.
func invokeMethod(L *lua.LState) int {
	obj, name := L.Get(1), L.CheckString(2)
	method := L.GetField(obj, name)
	if method.Type() != lua.LTFunction {
		if name == optionalMethod {
			return 0
		}
		L.RaiseError("the Lua filter has no method %q", name)
	}
	top := L.GetTop()
	L.Push(method)
	L.Push(obj)
	for i := 3; i <= top; i++ {
		L.Push(L.Get(i))
	}
	L.Call(top-1, lua.MultRet)
	return L.GetTop() - top
}
