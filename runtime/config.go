package runtime

import (
	"errors"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The names that a script configures with: action.header.add(…), setup.listen(…), the
// same names bare, request.path:prefix(…), all{…}, any{…}, none{…}.

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
	st.metas.RawSetString("invoke", L.NewFunction(invokeMethod))
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
	if first, ok := L.Get(2).(*lua.LUserData); ok {
		if prefix, ok := first.Value.(*accessor); ok && strings.HasPrefix(a.name, prefix.name) {
			st.raise(L, a, b, fmt.Errorf("called with a colon; use a dot: %s(…)", a))
		}
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
	if !isItself && inner == nil {
		err = fmt.Errorf("%s: %w", a.name, err)
	}
	L.Error(st.handle(&configError{pos: b.Pos(), short: short, err: err}, "config error"), 1)
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
	var err error
	if def, ok := reg.actions[name]; ok {
		var args Args
		if args, err = b.checkArgs(name, def.Params, given); err == nil {
			node.Act, err = def.New(b, args)
		}
		if err == nil {
			b.noteAction(node, args.named())
			b.sayNoEffect("action "+name, def.NoEffect)
			b.noteChain(node)
		}
	} else if index, ok := reg.options[name]; ok {
		var value any
		value, err = b.optionValue(reg.defs[index], given)
		node.Act = &setting{index, value}
		b.noteAction(node, optionArgument(b, given))
	} else if b.load != nil && b.load.pluginActions[name] != nil {
		node.Act, err = b.callPluginAction(L, name, given)
		b.noteAction(node, numbered(given))
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
	if def, ok := reg.setups[name]; ok {
		args, err := b.checkArgs(name, def.Params, given)
		if err != nil {
			return err
		}
		if err := def.Run(b, args); err != nil {
			return err
		}
		b.sayNoEffect("setup "+name, def.NoEffect)
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
func (b *Builder) sayNoEffect(what, reason string) {
	if reason == "" {
		return
	}
	b.Shared(noEffectKey(what), func() any {
		b.Log().Info(what+" has no effect here: "+reason, "pos", b.Pos().String())
		return true
	})
}

// optionValue checks the value of an option; without one it is the built-in default.
func (b *Builder) optionValue(o *Option, given []Value) (any, error) {
	b.sayNoEffect("option "+o.Name, o.NoEffect)
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

func (st *state) lvalueGroupIndex(L *lua.LState) int {
	group := L.CheckUserData(1).Value.(string)
	field := L.Get(2).String()
	L.Push(st.builder.load.once(named{accessVariable, group, field}, func() *lua.LUserData {
		def := findLValue(group + "." + field)
		if def == nil {
			L.RaiseError("%s", Unknown("variable", group+"."+field, lvalueNames()).Error())
		}
		if def.keyed {
			return st.handle(def, "lvalue keyed")
		}
		return st.handle(&LValue{def: def}, "lvalue")
	}))
	return 1
}

func (st *state) lvalueKeyIndex(L *lua.LState) int {
	def := L.CheckUserData(1).Value.(*lvalueDef)
	key := L.Get(2)
	if key.Type() != lua.LTString && key.Type() != lua.LTNumber {
		L.RaiseError(`%s needs a name: %s["name"]`, def.name, def.name)
	}
	if findOp(key.String()) != nil {
		L.RaiseError(`%s needs a name before :%s, for example %s["name"]:%s(…)`, def.name, key.String(), def.name, key.String())
	}
	L.Push(st.handle(&LValue{def: def, key: key.String()}, "lvalue"))
	return 1
}

func (st *state) lvalueIndex(L *lua.LState) int {
	name := L.Get(2).String()
	op := st.metas.RawGetString("operators").(*lua.LTable).RawGetString(name)
	if op == lua.LNil {
		names := make([]string, len(condOps))
		for i := range condOps {
			names[i] = condOps[i].name
		}
		L.RaiseError("%s", Unknown("operator", name, names).Error())
	}
	L.Push(op)
	return 1
}

// conditionOp makes a condition.
func (st *state) conditionOp(op *condOp) lua.LGFunction {
	return func(L *lua.LState) int {
		ud, ok := L.Get(1).(*lua.LUserData)
		var lv *LValue
		if ok {
			lv, ok = ud.Value.(*LValue)
		}
		if !ok {
			L.RaiseError("call the operator with a colon: request.path:%s(…)", op.name)
		}
		arg := ""
		switch v := L.Get(2).(type) {
		case lua.LString, lua.LNumber:
			arg = lua.LVAsString(v)
		default:
			if !op.unary() {
				return st.noCondition(L, fmt.Errorf("%s:%s expects a string or a number, got a %s", lv, op.name, v.Type()))
			}
		}
		c, err := newCondition(st.builder, lv, op, arg)
		if err != nil {
			return st.noCondition(L, err)
		}
		st.builder.noteCondition(L, c)
		L.Push(st.handle(c, "condition"))
		return 1
	}
}

// noCondition refuses a condition that cannot be built. lighttpd2 logs it and returns nil,
// which vanishes at the end of a table: a rule would get weaker without a word.
func (st *state) noCondition(L *lua.LState, err error) int {
	L.Error(st.handle(&configError{pos: callerPos(L), short: err.Error(), err: err}, "config error"), 1)
	return 0
}

// noteCondition remembers where a condition was made until something uses it.
func (b *Builder) noteCondition(L *lua.LState, c *Condition) {
	if b.load == nil {
		return
	}
	pos := callerPos(L)
	b.load.unused[c] = pos
	if i := b.prog.inspection; i != nil {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.conditions[c] = pos
	}
}

// combineConditions serves all{…}, any{…} and none{…}.
func (st *state) combineConditions(op *condOp) lua.LGFunction {
	return func(L *lua.LState) int {
		b := st.builder.at(L)
		v, err := b.toValue(L.Get(1))
		if err == nil && L.GetTop() > 1 {
			err = fmt.Errorf("expected one table of conditions")
		}
		if v.kind == KindCondition {
			v = ListValue(v)
		}
		items, ok := v.List()
		if err == nil && (!ok || len(items) == 0) {
			err = fmt.Errorf("expected a table of conditions, got %s", v.kind)
		}
		conds := make([]*Condition, len(items))
		for i, item := range items {
			if conds[i], ok = item.Condition(); !ok && err == nil {
				err = fmt.Errorf("entry %d: expected a condition, got %s", i+1, item.kind)
			}
		}
		if err != nil {
			st.raise(L, &accessor{kind: accessBare, name: op.name}, b, err)
		}
		c := combine(op, conds)
		b.noteCondition(L, c)
		L.Push(st.handle(c, "condition"))
		return 1
	}
}
