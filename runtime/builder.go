package runtime

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Builder is what the constructors of setups, actions and options are given: the program
// that is being made and the place in the script.
type Builder struct {
	prog *Program
	st   *state
	load *load // nil when an action is made while a request runs
	pos  Pos
}

// OptionRef is the place of an option's value, resolved at load time.
type OptionRef int

// Option resolves the name of an option for [VRequest.Option]. It panics for a name that
// no module defines: that is a mistake in a module, not in a script.
func (b *Builder) Option(name string) OptionRef { return b.prog.OptionRef(name) }

// Pos is the place in the script that is calling.
func (b *Builder) Pos() Pos { return b.pos }

// InSite reports whether the script of the site itself is being loaded. What is made
// otherwise, in a handler or a file of lua.handler, may be made any number of times, so it
// must not bring along what lives as long as the program.
func (b *Builder) InSite() bool { return b.load != nil && b.load.mayUseSetups }

// Log returns the program's logger.
func (b *Builder) Log() *slog.Logger { return b.prog.log }

// Listen adds a place to listen at. A plain address may be given again; anything else that
// is said twice of an address is an error.
func (b *Builder) Listen(l Listener) error {
	if path, ok := strings.CutPrefix(l.Address, "unix:"); ok {
		if err := b.Files().Contains(path); err != nil {
			return err
		}
	}
	for _, other := range b.prog.listeners {
		if other.Address == l.Address {
			if other == l {
				return nil
			}
			return fmt.Errorf("%s is listened on already, and in another way", l.Address)
		}
	}
	b.prog.listeners = append(b.prog.listeners, l)
	return nil
}

// Limits returns the limits of the server, for setups to change.
func (b *Builder) Limits() *Limits { return &b.prog.limits }

// TrustProxies adds peers that must send a PROXY header; see [Proxying].
func (b *Builder) TrustProxies(networks []netip.Prefix, unix bool) {
	p := &b.prog.proxying
	p.Trusted = append(p.Trusted, networks...)
	p.TrustedUnix = p.TrustedUnix || unix
}

// AskAboutProxies lets any peer send a PROXY header, for an action that calls
// [VRequest.TrustProxy]. It has an effect while the script itself is loaded: a server does
// not ask again later.
func (b *Builder) AskAboutProxies() {
	if b.load != nil && b.load.mayUseSetups {
		b.prog.proxying.Asked = true
	}
}

// OnClose has f called when the program is closed.
func (b *Builder) OnClose(f func()) { b.prog.onClose(f) }

// SetStates sets how many states the script's heap gets; 0 lets the runtime decide.
func (b *Builder) SetStates(n int) { b.prog.wantStates = n }

// Value returns the host value that the embedder registered under key (see [Config.Values]).
func (b *Builder) Value(key any) any { return b.prog.values[key] }

// Pipeline wraps actions that Go code made into a node of its own name.
func (b *Builder) Pipeline(name string, a Action) *Node { return &Node{Name: name, Pos: b.pos, Act: a} }

// ActionValue makes a value of an action for Go callers.
func ActionValue(n *Node) Value { return Value{kind: KindAction, action: n} }

// LuaFilterAction makes an action that puts an instance of the filter class at stack
// index n of the calling Lua function into each request (lighttpd2, lighty.filter_in and
// lighty.filter_out).
func (c *Call) LuaFilterAction(n int, name string, in bool) (lua.LValue, error) {
	b := c.st.builder.at(c.L)
	if b.load == nil {
		return nil, fmt.Errorf("%s makes an action: call it while the script is loaded; in a handler use vr:add_%s", name, name)
	}
	class := c.L.Get(n)
	if class.Type() != lua.LTTable && class.Type() != lua.LTUserData {
		return nil, fmt.Errorf("%s expects a class with a method new, got a %s", name, class.Type())
	}
	heap := c.st.heap
	node := &Node{Name: "lighty." + name, Pos: b.pos, Act: &luaFilter{heap: heap, root: heap.addRoot(class), in: in}}
	return c.st.handle(node, "action"), nil
}

// LuaAction returns the action at stack index n, if it is one.
func (c *Call) LuaAction(n int) (Action, bool) {
	if ud, ok := c.L.Get(n).(*lua.LUserData); ok {
		if node, ok := ud.Value.(*Node); ok {
			return node, true
		}
	}
	return nil, false
}

// forState is the builder for actions that are made while requests run in st.
func (b *Builder) forState(st *state) *Builder { return &Builder{prog: b.prog, st: st} }

// at returns the builder with the place of the Lua function that is calling.
func (b *Builder) at(L *lua.LState) *Builder {
	copied := *b
	copied.pos = callerPos(L)
	return &copied
}

// callerPos is the place of the innermost Lua function on the stack. It is asked for in Go
// functions only: they are what level 0 would be.
func callerPos(L *lua.LState) Pos {
	for level := 1; ; level++ {
		dbg, ok := L.GetStack(level)
		if !ok {
			return Pos{}
		}
		if _, err := L.GetInfo("Sl", dbg, lua.LNil); err != nil {
			return Pos{}
		}
		if dbg.CurrentLine > 0 {
			return Pos{dbg.Source, dbg.CurrentLine}
		}
	}
}

// callPluginAction calls the constructor that a plugin registered.
func (b *Builder) callPluginAction(L *lua.LState, name string, given []Value) (Action, error) {
	result, err := b.callPlugin(L, b.load.pluginActions[name], given)
	if err != nil {
		return nil, err
	}
	v, err := b.toValue(result)
	if err != nil {
		return nil, err
	}
	node, ok := v.Action()
	if !ok {
		return nil, fmt.Errorf("the plugin returned %s instead of an action%s", v.kind, b.load.pluginComplaint())
	}
	return node, nil
}

func (b *Builder) callPluginSetup(L *lua.LState, fn *lua.LFunction, given []Value) error {
	result, err := b.callPlugin(L, fn, given)
	if err != nil {
		return err
	}
	if result != lua.LNil && result != lua.LTrue {
		return fmt.Errorf("the plugin returned %s; it must return nothing or true%s", result.String(), b.load.pluginComplaint())
	}
	return nil
}

func (b *Builder) callPlugin(L *lua.LState, fn *lua.LFunction, given []Value) (lua.LValue, error) {
	L.Push(fn)
	for _, v := range given {
		L.Push(b.st.toLua(v))
	}
	b.load.complaint = ""
	if err := L.PCall(len(given), 1, nil); err != nil {
		err = b.st.luaError(err)
		var le *LuaError
		if errors.As(err, &le) {
			return nil, errors.New(le.Msg)
		}
		return nil, err
	}
	result := L.Get(-1)
	L.Pop(1)
	return result, nil
}

// Plugin loads a file that registers actions and setups (lighttpd2, lua.plugin). It must
// be called from a setup.
func (b *Builder) Plugin(file string, args Value) error { return b.load.plugin(b, file, args) }

// Handler makes an action of a Lua file with a heap of its own (lighttpd2, lua.handler).
// The file is loaded when it is first needed and again when it changed; it is looked at
// every ttl, never when ttl is 0. sandbox is what its code may do; the script that asks for
// it cannot give more than it has.
func (b *Builder) Handler(file string, ttl time.Duration, args Value, sandbox Sandbox) (Action, error) {
	granted, err := b.st.heap.sandbox.grant(sandbox)
	if err != nil {
		return nil, err
	}
	h := &handlerFile{prog: b.prog, name: file, from: b.pos.File, ttl: ttl, args: args, sandbox: granted, files: b.Files()}
	return h, h.files.Contains(b.prog.resolve(file, b.pos.File))
}
