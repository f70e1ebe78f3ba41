package runtime

import (
	"errors"
	"fmt"
	"math"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// toValue turns a Lua value into a configuration value (lighttpd2, li_value_from_lua).
// A function becomes an action, a boolean lvalue a condition.
func (b *Builder) toValue(lv lua.LValue) (Value, error) {
	switch v := lv.(type) {
	case *lua.LNilType:
		return Value{}, nil
	case lua.LBool:
		return BoolValue(bool(v)), nil
	case lua.LNumber:
		return NumberValue(float64(v)), nil
	case lua.LString:
		return StringValue(string(v)), nil
	case *lua.LTable:
		return b.tableValue(v)
	case *lua.LFunction:
		return Value{kind: KindAction, action: b.functionNode(v)}, nil
	case *lua.LUserData:
		switch h := v.Value.(type) {
		case *Node:
			return Value{kind: KindAction, action: h}, nil
		case *Condition:
			if b.load != nil {
				delete(b.load.unused, h)
			}
			return Value{kind: KindCondition, cond: h}, nil
		case setupDone:
			return Value{}, fmt.Errorf("%s is a setup: call it on a line of its own, not in a list of actions", string(h))
		case *LValue:
			return b.truthValue(h)
		case *accessor:
			return Value{}, fmt.Errorf("%s is a name, not a value; call it: %s(…)", h, h)
		}
		return Value{}, errors.New("a Lua object of this kind cannot be used in a configuration")
	}
	return Value{}, fmt.Errorf("a Lua %s cannot be used in a configuration", lv.Type())
}

// truthValue lets physical.is_file stand for physical.is_file:is().
func (b *Builder) truthValue(lv *LValue) (Value, error) {
	if lv.def.kind != lvBool {
		return Value{}, fmt.Errorf("%s is not a condition; compare it, for example %s:eq(…)", lv, lv)
	}
	c, err := newCondition(b, lv, findOp("is"), "")
	return Value{kind: KindCondition, cond: c}, err
}

func (b *Builder) tableValue(t *lua.LTable) (Value, error) {
	if cause := b.st.dog.expired(); cause != nil {
		return Value{}, cause
	}
	if v, ok := b.actionList(t); ok {
		return v, nil
	}
	out := Value{kind: KindList}
	var first error
	fail := func(err error) {
		if first == nil {
			first = err
		}
	}
	isList := false
	items := make([]Value, 0, t.Len())
	// ForEach would bring rules written as a hash in another order at each load
	eachInOrder(t, func(k, lv lua.LValue) {
		v, err := b.toValue(lv)
		if err != nil {
			fail(fmt.Errorf("entry %s: %w", k, err))
			return
		}
		switch key := k.(type) {
		case lua.LNumber:
			isList = true
			i := int(math.Trunc(float64(key)))
			if i < 1 || i > 1<<24 {
				fail(fmt.Errorf("the table has the key %v; a list begins at 1", key))
				return
			}
			for len(items) < i {
				items = append(items, Value{})
			}
			items[i-1] = v
		case lua.LString:
			out.hash = true
			out.list = append(out.list, ListValue(StringValue(string(key)), v))
		default:
			b.ignoreKey(k)
		}
	})
	if first != nil {
		return Value{}, first
	}
	if isList && out.hash {
		return Value{}, errors.New("a table cannot be a list and have named keys at once")
	}
	if isList {
		return b.list(items)
	}
	return out, nil
}

// actionList makes the value of a table that holds nothing but actions, which most of a large
// configuration consists of.
func (b *Builder) actionList(t *lua.LTable) (Value, bool) {
	n := t.Len()
	if n < 2 {
		return Value{}, false
	}
	l := make(List, n)
	for i := range l {
		ud, ok := t.RawGetInt(i + 1).(*lua.LUserData)
		if !ok {
			return Value{}, false
		}
		if l[i], ok = ud.Value.(*Node); !ok {
			return Value{}, false
		}
	}
	if k, _ := t.Next(lua.LNumber(n)); k != lua.LNil {
		return Value{}, false
	}
	return Value{kind: KindList, action: b.listAction(l)}, true
}

// listAction makes one action of at least two.
func (b *Builder) listAction(l List) *Node {
	if b.mayIndex() {
		return listNode(newList(l))
	}
	return listNode(l)
}

// list makes the value of a list that has no holes.
func (b *Builder) list(items []Value) (Value, error) {
	for i, item := range items {
		if item.kind == KindNone {
			return Value{}, fmt.Errorf("the list has a hole: entry %d is nil", i+1)
		}
	}
	return b.listValue(items), nil
}

// ignoreKey says that a table has a key which configuration tables cannot have.
func (b *Builder) ignoreKey(k lua.LValue) {
	w := Warning{b.pos, fmt.Sprintf("a table key that is neither a string nor a number is ignored: it is a %s", k.Type()), IgnoredKey}
	if b.load != nil && b.load.mayUseSetups {
		b.load.ignored = append(b.load.ignored, w)
		return
	}
	b.prog.log.Warn(w.Msg, "pos", w.Pos.String())
}

// listValue makes the value of a list.
func (b *Builder) listValue(items []Value) Value {
	v := ListValue(items...)
	if len(items) < 2 || !v.isAction() {
		return v
	}
	v.action = b.listAction(v.actions())
	if !slices.ContainsFunc(items, func(item Value) bool { return item.kind == KindList }) {
		v.list = nil // can be made again
	}
	return v
}

// functionNode makes an action of a Lua function.
func (b *Builder) functionNode(fn *lua.LFunction) *Node {
	f := &luaFunction{heap: b.st.heap}
	if b.load != nil {
		f.root = b.st.heap.addRoot(fn)
	} else {
		f.bound, f.state = fn, b.st
	}
	pos := Pos{}
	if fn.Proto != nil {
		pos = Pos{fn.Proto.SourceName, fn.Proto.LineDefined}
	}
	return &Node{Name: "function", Pos: pos, Act: f}
}

// toLua turns a configuration value into what a plugin is given: a list has an index by
// key for those that were hashes (lighttpd2, key-value list).
func (st *state) toLua(v Value) lua.LValue {
	switch v.kind {
	case KindBool:
		return lua.LBool(v.num != 0)
	case KindNumber:
		return lua.LNumber(math.Trunc(v.num))
	case KindString:
		return lua.LString(v.str)
	case KindList:
		items := v.items()
		t := st.L.CreateTable(len(items), 0)
		for i, item := range items {
			t.RawSetInt(i+1, st.toLua(item))
		}
		t.Metatable = st.metas.RawGetString("kvlist")
		return t
	case KindAction:
		return st.handle(v.action, "action")
	case KindCondition:
		return st.handle(v.cond, "condition")
	}
	return lua.LNil
}

// handle makes the Lua userdata for an immutable Go value.
func (st *state) handle(value any, meta string) *lua.LUserData {
	return &lua.LUserData{Value: value, Env: st.env, Metatable: st.metas.RawGetString(meta)}
}

// kvIndex looks a key up in a list of pairs, the last one first; nil finds the pair
// without a key.
func kvIndex(L *lua.LState) int {
	t, ok := L.Get(1).(*lua.LTable)
	key := L.Get(2)
	if !ok || (key.Type() != lua.LTString && key != lua.LNil) {
		L.Push(lua.LNil)
		return 1
	}
	for i := t.Len(); i >= 1; i-- {
		pair, ok := t.RawGetInt(i).(*lua.LTable)
		if ok && pair.Len() == 2 && pair.RawGetInt(1) == key {
			L.Push(pair.RawGetInt(2))
			return 1
		}
	}
	L.Push(lua.LNil)
	return 1
}
