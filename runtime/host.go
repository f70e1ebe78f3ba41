package runtime

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	luar "layeh.com/gopher-luar"
)

// HostValue is a Go value or function that an embedder gives to scripts under a name of
// its own (see [Config.Host]).
//
// A function is callable as it is. Of a struct or a pointer scripts see only the fields
// and methods that Allow names; what those return is as closed, unless Allow names more
// with a dot: "Owner", "Owner.Email". Slices and maps become Lua tables (copies). A method
// is called with a colon. The value is shared by all Lua states and called from several
// goroutines at once, so it must be safe for that; a call holds the lock of its Lua
// state, so one that waits belongs into a [Module], which has [VRequest.Blocking].
type HostValue struct {
	Value any
	Allow []string
}

// installHost binds the embedder's values into a fresh state.
func (st *state) installHost() {
	for name, hv := range st.heap.prog.host {
		if !st.mayUse(name, SandboxHandler) {
			continue
		}
		h := &hostBinding{st: st, name: name, allow: hv.Allow}
		st.base.RawSetString(name, h.lua(reflect.ValueOf(hv.Value)))
	}
}

// checkHost refuses what could only fail later.
func checkHost(host map[string]HostValue) error {
	for name, hv := range host {
		v := reflect.ValueOf(hv.Value)
		switch v.Kind() {
		case reflect.Invalid, reflect.Chan, reflect.UnsafePointer:
			return fmt.Errorf("host value %q: a %s cannot be given to scripts", name, v.Kind())
		case reflect.Func:
			if v.IsNil() {
				return fmt.Errorf("host value %q is a nil function", name)
			}
		}
		for _, allowed := range hv.Allow {
			first, _, _ := strings.Cut(allowed, ".")
			if !hasMember(v.Type(), first) {
				return fmt.Errorf("host value %q has no exported field or method %q", name, first)
			}
		}
	}
	return nil
}

func hasMember(t reflect.Type, name string) bool {
	if _, ok := t.MethodByName(name); ok {
		return true
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	f, ok := t.FieldByName(name)
	return ok && f.IsExported()
}

// hostBinding is one host value, or what one of its members returned, in one state.
type hostBinding struct {
	st    *state
	name  string
	allow []string
}

// lua returns the Lua value for v; objects are closed but for the allowed members.
func (h *hostBinding) lua(v reflect.Value) lua.LValue {
	if !v.IsValid() {
		return lua.LNil
	}
	switch v.Kind() {
	case reflect.Interface:
		return h.lua(v.Elem())
	case reflect.Pointer:
		if v.IsNil() {
			return lua.LNil
		}
		return h.object(v)
	case reflect.Struct:
		return h.object(v)
	case reflect.Slice, reflect.Array:
		if b, ok := v.Interface().([]byte); ok {
			return lua.LString(b)
		}
		t := h.st.L.CreateTable(v.Len(), 0)
		for i := range v.Len() {
			t.RawSetInt(i+1, h.lua(v.Index(i)))
		}
		return t
	case reflect.Map:
		t := h.st.L.NewTable()
		for iter := v.MapRange(); iter.Next(); {
			t.RawSet(h.lua(iter.Key()), h.lua(iter.Value()))
		}
		return t
	case reflect.Func:
		return h.function(luar.New(h.st.L, v.Interface()), nil)
	case reflect.Chan, reflect.UnsafePointer, reflect.Uintptr:
		return lua.LNil
	}
	return luar.New(h.st.L, v.Interface())
}

// object wraps a struct or pointer: gopher-luar's own object, which shows everything,
// stays behind a metatable that asks the allow-list.
func (h *hostBinding) object(v reflect.Value) lua.LValue {
	inner := luar.New(h.st.L, v.Interface())
	meta := h.st.L.NewTable()
	meta.RawSetString("__index", h.st.L.NewFunction(func(L *lua.LState) int {
		name := L.Get(2).String()
		h.check(L, name)
		member := &hostBinding{st: h.st, name: h.name + "." + name, allow: membersBelow(h.allow, name)}
		if m := v.MethodByName(name); m.IsValid() {
			L.Push(member.function(luar.New(L, m.Interface()), inner))
			return 1
		}
		L.Push(member.lua(reflect.Indirect(v).FieldByName(name)))
		return 1
	}))
	meta.RawSetString("__newindex", h.st.L.NewFunction(func(L *lua.LState) int {
		name := L.Get(2).String()
		h.check(L, name)
		L.SetField(inner, name, L.Get(3))
		return 0
	}))
	text := lua.LString("<" + h.name + ">")
	meta.RawSetString("__tostring", h.st.L.NewFunction(func(L *lua.LState) int {
		L.Push(text)
		return 1
	}))
	meta.RawSetString("__metatable", text)
	return &lua.LUserData{Env: h.st.env, Metatable: meta}
}

func (h *hostBinding) check(L *lua.LState, name string) {
	if !slices.Contains(h.members(), name) {
		L.RaiseError("%s", Unknown("member of "+h.name, name, h.members()).Error())
	}
}

// members are the first parts of the allowed names.
func (h *hostBinding) members() []string {
	out := make([]string, len(h.allow))
	for i, a := range h.allow {
		out[i], _, _ = strings.Cut(a, ".")
	}
	return out
}

func membersBelow(allow []string, name string) []string {
	var out []string
	for _, a := range allow {
		if rest, ok := strings.CutPrefix(a, name+"."); ok {
			out = append(out, rest)
		}
	}
	return out
}

// function lets Lua call a bound Go function; results are closed as h says. For a method
// the object that stands before the colon is taken off the arguments.
func (h *hostBinding) function(fn lua.LValue, self lua.LValue) lua.LValue {
	return h.st.L.NewFunction(func(L *lua.LState) int {
		first := 1
		if self != nil {
			first = 2
			if L.Get(1).Type() != lua.LTUserData {
				L.RaiseError("call %s with a colon", h.name)
			}
		}
		top := L.GetTop()
		L.Push(fn)
		for i := first; i <= top; i++ {
			L.Push(L.Get(i))
		}
		L.Call(top-first+1, lua.MultRet)
		n := L.GetTop() - top
		for i := top + 1; i <= top+n; i++ {
			if ud, ok := L.Get(i).(*lua.LUserData); ok {
				L.Replace(i, h.lua(reflect.ValueOf(ud.Value)))
			}
		}
		return n
	})
}
