package luafast

import (
	"sync/atomic"

	lua "github.com/yuin/gopher-lua"
)

// Limits of what runs here; what goes beyond them is left to gopher-lua. All registers of a
// chain of calls must fit into one call, whose arguments they become when it is left.
const (
	maxRegisters = 250
	maxDepth     = 50
	maxCodes     = 10000 // functions; a script may make any number of them
)

// Object is what a machine knows about the Lua objects with one metatable.
type Object struct {
	Methods map[string]*lua.LFunction
	Fields  map[string]Field
	// Index and NewIndex serve other keys; nil: they are left to gopher-lua.
	Index    func(self any, key lua.LValue) lua.LValue
	NewIndex func(self any, key, value lua.LValue)
}

// Field is a field of an [Object]. Get and Set may be nil: they are left to gopher-lua
// then. They, Index and NewIndex are leaf functions: they raise errors before they change
// anything, do not wait, do not call Lua, and do not keep Lua objects that they are given.
type Field struct {
	Get func(self any) lua.LValue
	Set func(self any, value lua.LValue)
	// Same says that Get returns the same value for the same Lua object each time, as long as
	// there is something behind it.
	Same bool
}

// Leaf says with which arguments a Go function is a leaf: it raises errors before it changes
// anything, does not wait, does not call Lua, and does not look at the calls that are
// running or at its upvalues. It may be called without a call frame, and again when it raised
// an error.
type Leaf uint8

const (
	NotLeaf    Leaf = iota
	LeafPlain       // when all arguments are strings, numbers, booleans or nil
	LeafAny         // with any argument
	LeafMethod      // when all arguments but the first, the object, are such
	LeafStores      // with any argument, which it may store somewhere
	leafPairs       // pairs: its iterator is its upvalue
	leafIpairs
)

// Machine runs functions of one Lua state. It may be used by one goroutine at a time.
type Machine struct {
	stop    *atomic.Bool
	objects map[*lua.LTable]*Object
	leaves  map[*lua.LFunction]leaf
	concat  *lua.LFunction
	join    Join
	first   *code // that was run last
	codes   map[*lua.FunctionProto]*code
	L       *lua.LState
	depth   int
	high    int // registers that were used
	open    int // see leave; of the leaf function that is called
	escaped bool
	inLeaf  bool // a leaf function runs; errors that it raises are expected
	texts   texts
	frames  [maxDepth]frame
	regs    [2*maxRegisters + 12]lua.LValue // the last frame sees 256 from its base on
	results []lua.LValue
}

// frame is a call that is running.
type frame struct {
	code *code
	fn   *lua.LFunction
	base int // of its registers
	pc   int // of the instruction that is executed, when it may be left
}

// New makes a machine. It looks at stop now and then and leaves the function when it is true.
func New(stop *atomic.Bool) *Machine {
	return &Machine{
		stop:    stop,
		objects: map[*lua.LTable]*Object{},
		leaves:  map[*lua.LFunction]leaf{},
		codes:   map[*lua.FunctionProto]*code{},
	}
}

// AddObject tells the machine about the objects with a metatable, which does not change any more.
func (m *Machine) AddObject(metatable *lua.LTable, o *Object) { m.objects[metatable] = o }

// AddLeaf tells the machine that fn is a leaf function.
func (m *Machine) AddLeaf(fn *lua.LFunction, kind Leaf) { m.leaves[fn] = leaf{kind: kind} }

// Quick is another form of a leaf function that is a method. It is given what is behind the
// object and the other arguments, and returns one result, nil for none. It returns false,
// and has done nothing, for arguments that it does not serve.
type Quick func(self any, args []lua.LValue) (result lua.LValue, ok bool)

// AddQuick tells the machine the quick form of a method of the objects with a metatable. The
// method is a leaf function already.
func (m *Machine) AddQuick(fn *lua.LFunction, metatable *lua.LTable, quick Quick) {
	m.leaves[fn] = leaf{m.leaves[fn].kind, quick, metatable}
}

// leaf is what the machine knows about a leaf function.
type leaf struct {
	kind      Leaf
	quick     Quick // nil without one
	metatable *lua.LTable
}

// Text makes the Lua value of a string that a leaf function returns, which takes no memory
// most of the time. The function must not keep the value.
func (m *Machine) Text(s string) lua.LValue {
	if !m.inLeaf {
		return lua.LString(s)
	}
	return m.text(lua.LString(s))
}

func (m *Machine) text(s lua.LString) lua.LValue {
	if v := m.texts.add(s); v != nil {
		return v
	}
	return s
}

// Join joins strings and numbers. It returns false when there are others, or when the result
// would be too long.
type Join func(texts []lua.LValue) (lua.LString, bool)

// SetConcat names the function that stands for the operator .., and what it does when all its
// arguments are strings or numbers.
func (m *Machine) SetConcat(fn *lua.LFunction, join Join) { m.concat, m.join = fn, join }

// Escaped reports whether Lua may have kept one of the objects that the last function was
// given or read from another object's field.
func (m *Machine) Escaped() bool { return m.escaped }

// Run calls fn with args on a thread that runs nothing and has an empty stack. When the
// function has returned, its first results are in results and finished is true. Otherwise
// the function that is to be called instead of fn, and its arguments, whose number is nargs,
// are on the stack of the thread.
func (m *Machine) Run(L *lua.LState, fn *lua.LFunction, args, results []lua.LValue) (nargs int, finished bool) {
	m.escaped = false
	if fn.IsG || !m.enter(fn, args) {
		m.escaped = true
		L.Push(fn)
		for _, v := range args {
			L.Push(v)
		}
		return len(args), false
	}
	m.L, m.results, m.open = L, results, -1
	defer func() {
		if m.inLeaf && recover() != nil { // it is called again, with all that belongs to a call
			L.SetTop(0)
			nargs = m.leave(L, m.open)
		}
		clear(m.regs[:m.high])
		m.texts.reset()
		m.depth, m.high, m.inLeaf, m.L, m.results = 0, 0, false, nil, nil
	}()
	if m.execute() {
		return 0, true
	}
	return m.leave(L, m.open), false
}

// enter makes the first frame.
func (m *Machine) enter(fn *lua.LFunction, args []lua.LValue) bool {
	c := m.first
	if c == nil || c.proto != fn.Proto || c.slow {
		if c = m.codeOf(fn.Proto); c == nil {
			return false
		}
		m.first = c
	}
	if len(args) > c.regs {
		return false
	}
	copy(m.regs[:], args)
	m.push(c, fn, 0, len(args))
	return true
}

func (m *Machine) codeOf(p *lua.FunctionProto) *code {
	c, ok := m.codes[p]
	if !ok {
		if len(m.codes) == maxCodes {
			clear(m.codes)
		}
		c = decode(p)
		m.codes[p] = c
	}
	if c == nil || c.slow {
		return nil
	}
	return c
}

// push makes a frame whose nargs arguments are at its base already.
func (m *Machine) push(c *code, fn *lua.LFunction, base, nargs int) {
	end := base + max(c.regs, nargs)
	for i := base + min(nargs, c.params); i < end; i++ {
		m.regs[i] = lua.LNil
	}
	m.high = max(m.high, end)
	m.frames[m.depth] = frame{code: c, fn: fn, base: base}
	m.depth++
}

func (m *Machine) top() *frame { return &m.frames[m.depth-1] }
