package runtime

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// accessor is a dotted name on its way to being called: action.header, then
// action.header.add.
type accessor struct {
	kind accessKind
	name string // "" for action and setup themselves
}

type accessKind uint8

const (
	accessAction accessKind = iota
	accessSetup
	accessBare     // header.add: an action or option, or else a setup
	accessVariable // request.path
)

func (a *accessor) String() string {
	switch {
	case a.kind == accessAction:
		return strings.TrimSuffix("action."+a.name, ".")
	case a.kind == accessSetup:
		return strings.TrimSuffix("setup."+a.name, ".")
	}
	return a.name
}

// knows reports whether name is that of an action, setup or option, or begins one.
func (b *Builder) knows(name string) bool {
	if b.prog.registry.known[name] {
		return true
	}
	if b.load == nil {
		return false
	}
	for _, plugins := range []map[string]*lua.LFunction{b.load.pluginActions, b.load.pluginSetups} {
		for n := range plugins {
			if n == name || (len(n) > len(name) && n[len(name)] == '.' && n[:len(name)] == name) {
				return true
			}
		}
	}
	return false
}

// names returns every name that an accessor of this kind can lead to, plugins included.
func (b *Builder) names(kind accessKind) []string {
	var out []string
	if kind != accessSetup {
		out = append(out, b.prog.registry.names(false)...)
	}
	if kind != accessAction {
		out = append(out, b.prog.registry.names(true)...)
	}
	if b.load != nil {
		for n := range b.load.pluginActions {
			if kind != accessSetup {
				out = append(out, n)
			}
		}
		for n := range b.load.pluginSetups {
			if kind != accessAction {
				out = append(out, n)
			}
		}
	}
	return out
}

func (st *state) accessorIndex(L *lua.LState) int {
	a := L.CheckUserData(1).Value.(*accessor)
	key, ok := L.Get(2).(lua.LString)
	if !ok {
		L.RaiseError("expected a name behind %s, got a %s", a, L.Get(2).Type())
	}
	L.Push(st.builder.load.once(named{a.kind, a.name, string(key)}, func() *lua.LUserData {
		name := string(key)
		if a.name != "" {
			name = a.name + "." + name
		}
		return st.handle(&accessor{kind: a.kind, name: name}, "accessor")
	}))
	return 1
}

// accessorCall makes an action, or runs a setup.
func (st *state) accessorCall(L *lua.LState) int {
	a := L.CheckUserData(1).Value.(*accessor)
	b := st.builder.at(L)
	given := make([]Value, 0, L.GetTop()-1)
	if err := a.checkColon(L.Get(2)); err != nil {
		st.raise(L, a, b, err)
	}
	for i := 2; i <= L.GetTop(); i++ {
		v, err := b.toValue(L.Get(i))
		if err != nil {
			st.raise(L, a, b, fmt.Errorf("argument %d: %w", i-1, err))
		}
		given = append(given, v)
	}
	if a.kind == accessSetup || (a.kind == accessBare && !b.isAction(a.name)) {
		if err := b.runSetup(L, a.name, given); err != nil {
			st.raise(L, a, b, err)
		}
		// the result says what is wrong when a list of actions gets it
		L.Push(st.handle(setupDone(a.name), "accessor root"))
		return 1
	}
	node, err := b.newAction(L, a.name, given)
	if err != nil {
		st.raise(L, a, b, err)
	}
	L.Push(st.handle(node, "action"))
	return 1
}

// checkColon looks whether the first argument is what stands before the name: header:add(…).
func (a *accessor) checkColon(first lua.LValue) error {
	if ud, ok := first.(*lua.LUserData); ok {
		if prefix, ok := ud.Value.(*accessor); ok && strings.HasPrefix(a.name, prefix.name) {
			return fmt.Errorf("called with a colon; use a dot: %s(…)", a)
		}
	}
	return nil
}

func (b *Builder) isAction(name string) bool {
	if _, ok := b.prog.registry.actions[name]; ok {
		return true
	}
	if _, ok := b.prog.registry.options[name]; ok {
		return true
	}
	if b.load != nil {
		if _, ok := b.load.pluginActions[name]; ok {
			return true
		}
		if _, ok := b.load.pluginSetups[name]; ok {
			return false
		}
	}
	_, isSetup := b.prog.registry.setups[name]
	return !isSetup
}

// newAction makes the action called name.
func (b *Builder) newAction(L *lua.LState, name string, given []Value) (*Node, error) {
	reg := b.prog.registry
	node := &Node{Name: name, Pos: b.Pos()}
	err := b.guard(name)
	if err != nil {
		return nil, err
	}
	if def, ok := reg.actions[name]; ok {
		var args Args
		if args, err = b.checkArgs(name, def.Params, given); err == nil {
			node.Act, err = def.New(b, args)
		}
		if err == nil {
			if b.inspecting() {
				b.noteAction(node, args.named())
			}
			b.sayNoEffect("action ", name, def.NoEffect)
			b.noteChain(node)
		}
	} else if index, ok := reg.options[name]; ok {
		var value any
		value, err = b.optionValue(reg.defs[index], given)
		node.Act = &setting{index, value}
		if b.inspecting() {
			b.noteAction(node, optionArgument(b, given))
		}
	} else if b.load != nil && b.load.pluginActions[name] != nil {
		node.Act, err = b.callPluginAction(L, name, given)
		if b.inspecting() {
			b.noteAction(node, numbered(given))
		}
	} else if _, ok := reg.setups[name]; ok {
		err = fmt.Errorf("this is a setup: write setup.%s", name)
	} else {
		err = Unknown("action", name, b.names(accessAction))
	}
	return node, err
}

func (b *Builder) runSetup(L *lua.LState, name string, given []Value) error {
	reg := b.prog.registry
	if b.load == nil || !b.load.mayUseSetups {
		return fmt.Errorf("setups can only be used while the script is loaded, not while a request is handled")
	}
	if err := b.guard(name); err != nil {
		return err
	}
	if def, ok := reg.setups[name]; ok {
		args, err := b.checkArgs(name, def.Params, given)
		if err != nil {
			return err
		}
		if err := def.Run(b, args); err != nil {
			return err
		}
		b.sayNoEffect("setup ", name, def.NoEffect)
		b.noteSetup(name, args.named())
		return nil
	}
	if index, ok := reg.options[name]; ok {
		value, err := b.optionValue(reg.defs[index], given)
		if err == nil {
			b.prog.defaults[index] = value
			b.noteSetup(name, optionArgument(b, given))
		}
		return err
	}
	if fn := b.load.pluginSetups[name]; fn != nil {
		b.noteSetup(name, numbered(given))
		return b.callPluginSetup(L, fn, given)
	}
	if _, ok := reg.actions[name]; ok {
		return fmt.Errorf("unknown setup %q; it is an action: write action.%s, in the list of actions", name, name)
	}
	return Unknown("setup", name, b.names(accessSetup))
}

// noEffectKey is what [Builder.Shared] remembers of names that were told of.
type noEffectKey string

// sayNoEffect tells once a program that a name was accepted and does nothing, and why.
func (b *Builder) sayNoEffect(kind, name, reason string) {
	if reason == "" {
		return
	}
	what := kind + name
	b.Shared(noEffectKey(what), func() any {
		b.Log().Info(what+" has no effect here: "+reason, "pos", b.Pos().String())
		return true
	})
}

// optionValue checks the value of an option; without one it is the built-in default.
func (b *Builder) optionValue(o *Option, given []Value) (any, error) {
	b.sayNoEffect("option ", o.Name, o.NoEffect)
	if len(given) == 0 {
		return o.Default, nil
	}
	args, err := b.checkArgs(o.Name, []Param{{Name: "value", Type: o.Type}}, given)
	if err != nil {
		return nil, err
	}
	v := args.Value(0)
	if o.Parse != nil {
		return o.Parse(b, v)
	}
	switch o.Type {
	case TString, TAddress:
		return v.str, nil
	case TNumber:
		return int64(v.num), nil
	case TBool:
		return v.num != 0, nil
	case TPattern:
		return args.Pattern(0), nil
	case TStrings:
		return args.Strings(0), nil
	}
	return v, nil
}
