package runtime

import (
	"errors"
	"fmt"
	"log/slog"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime/luafast"
)

// Object describes one kind of Lua object that scripts handle at request time: vr, a
// request, a header list. From this table come its metatable, its error messages, its
// reference and its editor annotations. The Go value behind an object is passed as self.
type Object struct {
	Name string // as in error messages: "request uri"
	Doc  string
	// Global is the name of the global variable that holds the only object of this kind.
	// Its methods are called with a dot (lighty.print(…)): they get no self, and their
	// arguments begin at 1. Actions whose names begin with it are found behind it as well.
	Global  string
	Fields  []Attribute
	Methods []Method
	// Concurrent says that the Go values behind these objects are safe for concurrent use:
	// one that a script made while it was loaded is then shared by all Lua states.
	Concurrent bool
	// Index and NewIndex serve keys that are neither field nor method; nil: unknown
	// names are errors.
	Index    func(c *Call, self any, key lua.LValue) lua.LValue
	NewIndex func(c *Call, self any, key, value lua.LValue)
	// Leaf says that Index and NewIndex are leaf functions, see [Method.Leaf].
	Leaf bool
	// Len serves the # operator; nil: there is none.
	Len func(c *Call, self any) int
}

// Attribute is one field of an Object.
type Attribute struct {
	Name string
	Type string // a type of Lua, the name of an object, or "action"
	Doc  string
	Get  func(c *Call, self any) lua.LValue
	Set  func(c *Call, self any, value lua.LValue) // nil: read only
	Leaf bool                                      // Get and Set are leaf functions, see [Method.Leaf]
	// Part says that Get returns the [Call.Object] of a part of self: always the same object.
	Part bool
}

// Method is one method of an Object. The arguments are at 2 and up of c.L's stack;
// Run returns how many results it pushed.
type Method struct {
	Name    string
	Args    string // with their types, see [Attribute]; what may be left out in brackets: "name: string, [n: integer]"
	Returns string // types of the results: "string|nil, integer"
	Doc     string
	Bare    bool // of an object with a Global: a global function too, such as print
	Run     func(c *Call, self any) int
	// Leaf says that Run is a leaf function when its arguments are strings, numbers, booleans
	// or nil: if it raises an error, it does so before it changes anything; it does not wait,
	// does not call Lua, does not look at the calls that are running, and keeps neither c nor
	// the object. It may be called without a call frame, and once more when it raised an error:
	// handlers that call nothing else never enter gopher-lua's virtual machine.
	Leaf bool
	// Quick does what Run does, without Lua's stack, for the arguments that are usual, which are
	// those behind the object; it returns one result, nil for none. For other arguments it
	// returns false and has done nothing: Run is called then. It is a leaf function, as [Method.Leaf]
	// has it, also where Run is none.
	Quick func(c *Call, self any, args []lua.LValue) (result lua.LValue, ok bool)
}

// Call is what Go code that Lua calls gets to know: the Lua thread and the request.
type Call struct {
	L  *lua.LState
	VR *VRequest // nil while a script is loaded
	st *state
}

// objectRef is a Lua object that stands for self, or for nothing yet when that is nil.
type objectRef struct {
	object *Object
	self   any
	data   *lua.LUserData
	part   bool // self is a part of the request that the next one has, too
}

// Errorf raises a Lua error with the place of the script that called. It does not return.
func (c *Call) Errorf(format string, args ...any) {
	c.L.RaiseError(format, args...)
}

// CheckTime raises an error when the limits of the call are used up. Methods whose work grows
// with their arguments call it now and then: nothing else interrupts them.
func (c *Call) CheckTime() { checkTime(c.L) }

// Text makes a Lua value of a string. A leaf function that reads one (see [Method.Leaf]) makes
// it this way and returns or pushes it: that is cheaper than lua.LString(s). It must not keep
// the value, though it may keep s.
func (c *Call) Text(s string) lua.LValue { return c.st.fast.Text(s) }

// MaxString is the length of the longest string that a script may make, in bytes.
func (c *Call) MaxString() int { return c.st.heap.prog.maxStringBytes() }

// Error raises a Lua error without a place, for messages that scripts compare. It does not return.
func (c *Call) Error(msg string) { c.L.Error(lua.LString(msg), 0) }

// Fail raises err with the place of the script that called. Uncaught, it ends the request
// with err's status (see [StatusError]); a script that catches it gets an object whose
// text is err's. It does not return.
func (c *Call) Fail(err error) {
	c.L.Error(c.st.handle(fmt.Errorf("%s: %w", callerPos(c.L), err), "error"), 1)
}

// Builder returns what the constructors of actions are given, with the place in the script
// that is calling. While a request is handled it makes what belongs to the program too.
func (c *Call) Builder() *Builder { return c.st.builder.at(c.L) }

// Log returns the logger for messages about the request, or that of the program while a
// script is loaded.
func (c *Call) Log() *slog.Logger {
	if c.st.current != nil && c.st.current.vr != nil {
		return c.st.current.vr.Log()
	}
	return c.st.heap.prog.log
}

// Object returns the Lua object of kind o for self. It is the same one during the
// request, and is cut from self when the request ends.
func (c *Call) Object(o *Object, self any) lua.LValue {
	return c.st.current.pin.object(o, self)
}

func (p *pin) object(o *Object, self any) *lua.LUserData {
	for i := range p.memory.objects {
		ref := &p.memory.objects[i]
		if ref.object != o {
			continue
		}
		if ref.self == self {
			return ref.data
		}
		if ref.self == nil { // of a request before
			ref.self, ref.data.Value, ref.part = self, self, p.vr.has(self)
			p.memory.loose = p.memory.loose || !ref.part
			return ref.data
		}
	}
	data := &lua.LUserData{Value: self, Env: p.state.env, Metatable: p.state.metatables[o]}
	part := p.vr.has(self)
	p.memory.objects = append(p.memory.objects, objectRef{o, self, data, part})
	p.memory.loose = p.memory.loose || !part
	return data
}

// Value returns a Lua object for self that lives as long as Lua keeps it. self must not
// refer to the request.
func (c *Call) Value(o *Object, self any) lua.LValue {
	return &lua.LUserData{Value: self, Env: c.st.env, Metatable: c.st.metatables[o]}
}

// Func returns a Lua function that calls f. It is for iterators and the like.
func (c *Call) Func(f func(c *Call) int) lua.LValue {
	st := c.st
	return c.L.NewFunction(func(L *lua.LState) int { return f(st.newCall(L)) })
}

// Self returns the Go value of the Lua object at stack index n if it is of kind o.
func (c *Call) Self(n int, o *Object) (any, bool) {
	return c.Behind(c.L.Get(n), o)
}

// Behind returns the Go value of a Lua object if it is of kind o.
func (c *Call) Behind(v lua.LValue, o *Object) (any, bool) {
	ud, ok := v.(*lua.LUserData)
	if !ok || ud.Metatable != c.st.metatables[o] || ud.Value == nil {
		return nil, false
	}
	return ud.Value, true
}

func (st *state) newCall(L *lua.LState) *Call {
	c := &Call{L: L, st: st}
	if st.current != nil {
		c.VR = st.current.vr
	}
	return c
}

// callOf returns what a method is given.
func (st *state) callOf(m *Method, L *lua.LState) *Call {
	if !m.Leaf {
		return st.newCall(L)
	}
	st.leaf.L, st.leaf.VR = L, nil
	if st.current != nil {
		st.leaf.VR = st.current.vr
	}
	return &st.leaf
}

// installObjects makes a metatable for every object of the modules.
func (st *state) installObjects() {
	for _, o := range st.heap.prog.registry.objects {
		mt := st.L.NewTable()
		st.metatables[o] = mt
		st.metas.RawSetString("object "+o.Name, mt)
		st.fillMetatable(mt, o)
		if o.Global != "" && (st.heap.prog.registry.upTo[o.Global] == SandboxUntrusted || st.mayUse(o.Global, SandboxHandler)) {
			st.base.RawSetString(o.Global, &lua.LUserData{Value: o, Env: st.env, Metatable: mt})
		}
	}
}

var errGone = errors.New("this object belongs to a request that is over")

func (st *state) fillMetatable(mt *lua.LTable, o *Object) {
	fields := make(map[string]*Attribute, len(o.Fields))
	for i := range o.Fields {
		fields[o.Fields[i].Name] = &o.Fields[i]
	}
	methods := make(map[string]*lua.LFunction, len(o.Methods))
	methodTable := st.L.NewTable()
	for i := range o.Methods {
		m := &o.Methods[i]
		fn := st.L.NewFunction(func(L *lua.LState) int {
			c := st.callOf(m, L)
			if o.Global != "" {
				return m.Run(c, nil)
			}
			return m.Run(c, st.self(L, mt, o, m.Name))
		})
		if m.Leaf && o.Global != "" {
			st.fast.AddLeaf(fn, luafast.LeafPlain)
		} else if m.Leaf {
			st.fast.AddLeaf(fn, luafast.LeafMethod)
		}
		if m.Quick != nil {
			c := &st.leaf
			st.fast.AddQuick(fn, mt, func(self any, args []lua.LValue) (lua.LValue, bool) { return m.Quick(c, self, args) })
		}
		methods[m.Name] = fn
		if m.Bare {
			st.base.RawSetString(m.Name, fn)
		}
		methodTable.RawSetString(m.Name, fn)
	}
	st.fast.AddObject(mt, st.fastObject(o, methods))
	mt.RawSetString("methods", methodTable) // only so that a forked state finds them in the same place
	mt.RawSetString("__index", st.L.NewFunction(func(L *lua.LState) int {
		self := st.self(L, mt, o, "index")
		key := L.Get(2)
		if name, ok := key.(lua.LString); ok {
			if fn := methods[string(name)]; fn != nil {
				L.Push(fn)
				return 1
			}
			if f := fields[string(name)]; f != nil {
				L.Push(f.Get(st.newCall(L), self))
				return 1
			}
		}
		if name, ok := key.(lua.LString); ok && st.beginsName(o) {
			L.Push(st.handle(&accessor{kind: accessBare, name: o.Global + "." + string(name)}, "accessor"))
			return 1
		}
		L.Push(o.index(st.newCall(L), self, key))
		return 1
	}))
	mt.RawSetString("__newindex", st.L.NewFunction(func(L *lua.LState) int {
		self := st.self(L, mt, o, "newindex")
		key, value := L.Get(2), L.Get(3)
		if name, ok := key.(lua.LString); ok && methods[string(name)] == nil {
			if f := fields[string(name)]; f != nil && f.Set != nil {
				f.Set(st.newCall(L), self, value)
				return 0
			}
		}
		o.newIndex(st.newCall(L), self, key, value)
		return 0
	}))
	if o.Len != nil {
		mt.RawSetString("__len", st.L.NewFunction(func(L *lua.LState) int {
			L.Push(lua.LNumber(o.Len(st.newCall(L), st.self(L, mt, o, "len"))))
			return 1
		}))
	}
	name := lua.LString("<" + o.Name + ">")
	mt.RawSetString("__tostring", st.L.NewFunction(func(L *lua.LState) int {
		L.Push(name)
		return 1
	}))
	mt.RawSetString("__metatable", lua.LFalse)
}

// fastObject describes what needs no call frame of an object.
func (st *state) fastObject(o *Object, methods map[string]*lua.LFunction) *luafast.Object {
	out := &luafast.Object{Methods: methods, Fields: map[string]luafast.Field{}}
	c := &st.leaf
	for _, f := range o.Fields {
		var field luafast.Field
		if f.Leaf {
			field.Get, field.Same = func(self any) lua.LValue { return f.Get(c, self) }, f.Part
		}
		if f.Leaf && f.Set != nil {
			field.Set = func(self any, value lua.LValue) { f.Set(c, self, value) }
		}
		out.Fields[f.Name] = field
	}
	if o.Leaf && o.Index != nil {
		out.Index = func(self any, key lua.LValue) lua.LValue { return o.Index(c, self, key) }
	}
	if o.Leaf && o.NewIndex != nil {
		out.NewIndex = func(self any, key, value lua.LValue) { o.NewIndex(c, self, key, value) }
	}
	return out
}

// beginsName reports whether what is behind the global of o may be the rest of an action's
// name. Only while a script is loaded names stand for actions without "action." before them.
func (st *state) beginsName(o *Object) bool {
	return o.Global != "" && st.builder.load != nil && st.builder.knows(o.Global)
}

// isConcurrent reports whether a Lua object is one of a kind that all states can share.
func (st *state) isConcurrent(u *lua.LUserData) bool {
	for o, mt := range st.metatables {
		if o.Concurrent && u.Metatable == lua.LValue(mt) {
			return true
		}
	}
	return false
}

// self returns the Go value of the object that a method was called on.
func (st *state) self(L *lua.LState, mt *lua.LTable, o *Object, method string) any {
	ud, ok := L.Get(1).(*lua.LUserData)
	if !ok || ud.Metatable != mt {
		L.RaiseError("bad argument #1 to '%s' (%s expected, got %s); call it with a colon, object:%s(…)", method, o.Name, L.Get(1).Type(), method)
	}
	if ud.Value == nil {
		L.RaiseError("%s: %s", o.Name, errGone)
	}
	return ud.Value
}

func (o *Object) index(c *Call, self any, key lua.LValue) lua.LValue {
	if o.Index != nil {
		return o.Index(c, self, key)
	}
	if name, ok := key.(lua.LString); ok {
		c.Error(fmt.Sprintf("cannot read attribute %s in %s", string(name), o.Name))
	}
	return lua.LNil
}

func (o *Object) newIndex(c *Call, self any, key, value lua.LValue) {
	if o.NewIndex != nil {
		o.NewIndex(c, self, key, value)
		return
	}
	if o.Global != "" {
		c.Errorf("attempt to index global '%s' (a userdata value)", o.Global)
	}
	if name, ok := key.(lua.LString); ok {
		c.Error(fmt.Sprintf("cannot write attribute %sin %s", string(name), o.Name))
	}
}
