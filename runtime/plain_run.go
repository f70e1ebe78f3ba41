package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// plainRun follows the nodes of plain pieces (plain.go), one piece after another. Where a
// constructor of the configuration is called, it gets its arguments as configuration values:
// they never become tables and objects of Lua. Anything else is what gopher-lua makes of it.
type plainRun struct {
	st    *state                // whose configuration it is; nil: there are no constructors
	names map[string]lua.LValue // what request.path and header.add are, until something may have changed them

	L     *lua.LState
	place *lua.LFunction // in the place of the piece, whose variables and line count
	piece *plainPiece
	first int // the line of the piece
	b     *Builder
}

func newPlainRun(st *state) plainRun { return plainRun{st: st, names: map[string]lua.LValue{}} }

// run makes the table that a piece is, and leaves it on the stack.
func (r *plainRun) run(L *lua.LState, place *lua.LFunction, piece *plainPiece, line int) {
	defer func(outer plainRun) { *r = outer }(*r) // a script can find its main function and call it
	r.L, r.place, r.piece, r.first, r.b = L, place, piece, line, nil
	clear(r.names)
	L.Push(r.table(&piece.nodes[0]))
}

func (r *plainRun) child(n *plainNode) *plainNode { return &r.piece.nodes[n.first] }

// next returns the sibling of a node, nil behind the last one.
func (r *plainRun) next(n *plainNode) *plainNode {
	if n.next == 0 {
		return nil
	}
	return &r.piece.nodes[n.next]
}

// fields returns the first child of a table, nil of an empty one.
func (r *plainRun) fields(table *plainNode) *plainNode {
	if table.first == 0 {
		return nil
	}
	return r.child(table)
}

// count returns how many siblings there are from n on, which may be nil.
func (r *plainRun) count(n *plainNode) (many int) {
	for ; n != nil; n = r.next(n) {
		many++
	}
	return many
}

func (r *plainRun) text(n *plainNode) string { return r.piece.texts[n.from:n.to] }

func (r *plainRun) name(n *plainNode) string { return string(r.piece.src[n.from:n.to]) }

func (r *plainRun) number(n *plainNode) float64 {
	f, _ := strconv.ParseFloat(r.name(n), 64)
	return f
}

// at has the place be on the line of a node: for messages, and for whoever asks where the
// script is.
func (r *plainRun) at(n *plainNode) {
	r.place.Proto.DbgSourcePositions[placeCalls] = r.first - 1 + int(n.line)
}

// value is a node as a value of Lua.
func (r *plainRun) value(n *plainNode) lua.LValue {
	switch n.kind {
	case plainFalse:
		return lua.LFalse
	case plainTrue:
		return lua.LTrue
	case plainNumber:
		return lua.LNumber(r.number(n))
	case plainString:
		return lua.LString(r.text(n))
	case plainTable:
		return r.table(n)
	case plainName, plainIndex:
		return r.named(n)
	case plainKey:
		object := r.value(r.child(n))
		r.at(n)
		return r.L.GetField(object, r.text(n))
	case plainCall, plainMethod:
		r.call(n, 1)
		v := r.L.Get(-1)
		r.L.Pop(1)
		return v
	}
	return lua.LNil
}

// table makes a table.
func (r *plainRun) table(n *plainNode) *lua.LTable {
	first, room := r.fields(n), 0
	if first != nil && first.kind != plainField {
		room = r.count(first)
	}
	t := r.L.CreateTable(room, 0)
	at := 0
	for field := first; field != nil; field = r.next(field) {
		switch {
		case field.kind == plainField:
			r.L.SetField(t, r.text(field), r.value(r.child(field)))
		case field.next == 0 && isPlainCall(field): // the last field is all that the call returns
			top := r.L.GetTop()
			r.call(field, lua.MultRet)
			for i := top + 1; i <= r.L.GetTop(); i++ {
				at++
				t.RawSetInt(at, r.L.Get(i))
			}
			r.L.SetTop(top)
		default:
			at++
			t.RawSetInt(at, r.value(field))
		}
	}
	return t
}

func isPlainCall(n *plainNode) bool { return n.kind == plainCall || n.kind == plainMethod }

// named returns what a name is, or one behind a dot. What leads to the configuration is
// remembered.
func (r *plainRun) named(n *plainNode) lua.LValue {
	if n.start >= 0 {
		if v, ok := r.names[string(r.piece.src[n.start:n.to])]; ok {
			return v
		}
	}
	var v lua.LValue
	if n.kind == plainIndex {
		object := r.value(r.child(n))
		r.at(n)
		v = r.L.GetField(object, r.name(n))
	} else if i := slices.Index(r.place.Proto.DbgUpvalues, r.name(n)); i >= 0 {
		return r.place.Upvalues[i].Value()
	} else {
		r.at(n)
		v = r.L.GetField(r.place.Env, r.name(n))
	}
	if ud, ok := v.(*lua.LUserData); ok && n.start >= 0 && isConfiguration(ud) {
		r.names[string(r.piece.src[n.start:n.to])] = v
	}
	return v
}

// isConfiguration reports whether an object is one of those that names of actions and
// variables lead to: none of them ever changes.
func isConfiguration(ud *lua.LUserData) bool {
	switch ud.Value.(type) {
	case *accessor, *LValue, *lvalueDef:
		return true
	case string:
		return true
	}
	return false
}

// call makes a call, and leaves so many results on the stack.
func (r *plainRun) call(n *plainNode, results int) {
	r.check()
	node, cond, callee := r.construct(n)
	switch {
	case node != nil:
		r.L.Push(r.st.handle(node, "action"))
	case cond != nil:
		r.at(n)
		r.st.builder.noteCondition(r.L, cond)
		r.L.Push(r.st.handle(cond, "condition"))
	default:
		r.callLua(n, callee, results)
	}
}

// check ends the piece when the load took too long, as gopher-lua does before each instruction.
func (r *plainRun) check() {
	if r.st != nil && r.st.dog.fired.Load() {
		r.L.RaiseError("%s", context.Canceled)
	}
}

// callLua calls what was found to be called.
func (r *plainRun) callLua(n *plainNode, callee lua.LValue, results int) {
	r.L.Push(r.caller(n))
	if n.kind == plainMethod {
		r.at(n)
		r.L.Push(r.L.GetField(callee, r.name(n)))
	}
	r.L.Push(callee)
	nargs := 1
	if n.kind == plainMethod {
		nargs++
	}
	for arg := r.next(r.child(n)); arg != nil; arg = r.next(arg) {
		if arg.next == 0 && isPlainCall(arg) {
			top := r.L.GetTop()
			r.call(arg, lua.MultRet)
			nargs += r.L.GetTop() - top
			continue
		}
		r.L.Push(r.value(arg))
		nargs++
	}
	r.at(n)
	r.L.Call(nargs, results)
	clear(r.names)
}

// caller returns a function that calls its first argument with the others, in the place of the
// node: Lua names what is called, and where, by the code that calls.
func (r *plainRun) caller(n *plainNode) *lua.LFunction {
	name := "?"
	switch callee := r.child(n); {
	case n.kind == plainMethod:
		name = r.name(n)
	case callee.kind == plainName || callee.kind == plainIndex:
		name = r.name(callee)
	case callee.kind == plainKey:
		name = r.text(callee)
	}
	line := r.first - 1 + int(n.line)
	instruction := func(op int) uint32 { return uint32(op) << 26 } // of register 0, with all that there is
	return &lua.LFunction{Env: r.place.Env, Proto: &lua.FunctionProto{
		SourceName: r.place.Proto.SourceName, LineDefined: line, LastLineDefined: line,
		IsVarArg: lua.VarArgIsVarArg, NumUsedRegisters: 2,
		Code:               []uint32{instruction(lua.OP_VARARG), instruction(lua.OP_CALL), instruction(lua.OP_RETURN)},
		DbgSourcePositions: []int{line, line, line},
		DbgCalls:           []lua.DbgCall{{Name: name, Pc: 1}},
	}}
}

// construct makes an action or a condition. If the node is another call, it returns what is
// called, or whose method is.
func (r *plainRun) construct(n *plainNode) (*Node, *Condition, lua.LValue) {
	callee := r.value(r.child(n))
	ud, ok := callee.(*lua.LUserData)
	if !ok || r.st == nil {
		return nil, nil, callee
	}
	switch object := ud.Value.(type) {
	case *accessor:
		if n.kind == plainCall && object.name != "" && object.kind != accessSetup && (object.kind == accessAction || r.st.builder.isAction(object.name)) {
			return r.action(n, object), nil, nil
		}
	case *LValue:
		if n.kind == plainMethod {
			return nil, r.condition(n, object), callee
		}
	}
	return nil, nil, callee
}

// condition makes one of a variable, an operator and a constant; nil if the call is anything else.
func (r *plainRun) condition(n *plainNode, lv *LValue) *Condition {
	op, operand := findOp(r.name(n)), ""
	if op == nil {
		return nil
	}
	switch arg := r.next(r.child(n)); {
	case arg == nil && op.unary():
	case arg != nil && arg.next == 0 && arg.kind == plainString:
		operand = r.text(arg)
	default:
		return nil
	}
	c, err := newCondition(r.st.builder, lv, op, operand)
	if err != nil {
		r.at(n)
		r.st.noCondition(r.L, err)
	}
	return c
}

// action makes an action.
func (r *plainRun) action(n *plainNode, a *accessor) *Node {
	b := r.builder(n)
	given := r.arguments(b, a, r.next(r.child(n)))
	r.at(n)
	if given.err != nil {
		r.st.raise(r.L, a, b, given.err)
	}
	node, err := b.newAction(r.L, a.name, given.list)
	if err != nil {
		r.st.raise(r.L, a, b, err)
	}
	if b.load != nil && b.load.pluginActions[a.name] != nil { // it ran Lua
		clear(r.names)
	}
	return node
}

// builder returns the builder for constructors on the line of a node.
func (r *plainRun) builder(n *plainNode) *Builder {
	pos := Pos{r.place.Proto.SourceName, r.first - 1 + int(n.line)}
	if r.b == nil || r.b.pos != pos {
		b := *r.st.builder
		b.pos = pos
		r.b = &b
	}
	return r.b
}

// plainValues are arguments, or what is in a table. All of them are looked at, as in Lua, and
// then the first that is wrong counts.
type plainValues struct {
	list []Value
	err  error
}

func (p *plainValues) add(v Value, what string, key any, err error) {
	p.list = append(p.list, v)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s %v: %w", what, key, err)
	}
}

// arguments returns those of a constructor.
func (r *plainRun) arguments(b *Builder, a *accessor, first *plainNode) (given plainValues) {
	given.list = make([]Value, 0, r.count(first))
	for arg := first; arg != nil; arg = r.next(arg) {
		if arg == first && (arg.kind == plainName || arg.kind == plainIndex) {
			lv := r.value(arg)
			if err := a.checkColon(lv); err != nil {
				given.err = err
			}
			v, err := b.toValue(lv)
			given.add(v, "argument", 1, err)
			continue
		}
		r.configure(b, &given, "argument", arg, arg.next == 0)
	}
	return given
}

// configure adds the configuration value that a node is, or several values if it is a call
// that stands last.
func (r *plainRun) configure(b *Builder, to *plainValues, what string, n *plainNode, last bool) {
	var v Value
	var err error
	switch n.kind {
	case plainNumber:
		v = NumberValue(r.number(n))
	case plainString:
		v = StringValue(r.text(n))
	case plainTable:
		v, err = r.configureTable(b, n)
	case plainCall, plainMethod:
		r.check()
		node, cond, callee := r.construct(n)
		switch {
		case node != nil:
			v = Value{kind: KindAction, action: node}
		case cond != nil:
			b.noteConditionAt(cond, r.builder(n).pos)
			v = Value{kind: KindCondition, cond: cond}
		default:
			r.configureResults(b, to, what, n, callee, last)
			return
		}
	default:
		v, err = b.toValue(r.value(n))
	}
	to.add(v, what, len(to.list)+1, err)
}

// configureResults adds what a call of Lua returns.
func (r *plainRun) configureResults(b *Builder, to *plainValues, what string, n *plainNode, callee lua.LValue, last bool) {
	results := 1
	if last {
		results = lua.MultRet
	}
	top := r.L.GetTop()
	r.callLua(n, callee, results)
	for i := top + 1; i <= r.L.GetTop(); i++ {
		v, err := b.toValue(r.L.Get(i))
		to.add(v, what, len(to.list)+1, err)
	}
	r.L.SetTop(top)
}

// configureTable returns what [Builder.tableValue] makes of the table that a node would be.
func (r *plainRun) configureTable(b *Builder, n *plainNode) (Value, error) {
	out := Value{kind: KindList}
	entries := plainValues{list: make([]Value, 0, r.count(r.fields(n)))}
	for field := r.fields(n); field != nil; field = r.next(field) {
		if field.kind != plainField {
			r.configure(b, &entries, "entry", field, field.next == 0)
			continue
		}
		var value plainValues
		key := r.text(field)
		r.configure(b, &value, "entry", r.child(field), false)
		switch v := value.list[0]; {
		case value.err != nil && entries.err == nil:
			entries.err = fmt.Errorf("entry %s: %w", key, errors.Unwrap(value.err))
		case v.kind != KindNone:
			out.hash = true
			out.list = append(out.list, ListValue(StringValue(key), v))
		}
	}
	items := entries.list
	for len(items) > 0 && items[len(items)-1].kind == KindNone {
		items = items[:len(items)-1]
	}
	if entries.err != nil || len(items) == 0 {
		return out, entries.err
	}
	return b.list(items)
}
