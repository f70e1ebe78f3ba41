package runtime

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// How scripts write conditions: request.path:prefix "/x", request.header["Host"]:eq(…),
// all{…}, any{…}, none{…}.

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
	b.noteConditionAt(c, pos)
}

// noteConditionAt remembers where a condition was made, for tools.
func (b *Builder) noteConditionAt(c *Condition, pos Pos) {
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
		c := b.combine(op, conds)
		b.noteCondition(L, c)
		L.Push(st.handle(c, "condition"))
		return 1
	}
}
