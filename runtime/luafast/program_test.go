package luafast_test

import (
	"fmt"
	"strings"
)

// writer makes a Lua program of bytes: each byte is a choice. When they run out the simplest
// choices are made, so every program ends, and so does every loop in it.
type writer struct {
	data   []byte
	out    strings.Builder
	depth  int
	locals []string
	names  int
	funcs  int // helpers that may be called: each calls only those before it
}

// program returns the text of a chunk that returns a function.
func program(data []byte) string {
	w := &writer{data: data}
	w.line("local T, M, S, N, O, P, C = ...")
	for i := range 3 {
		w.line("local function F%d(a, b)", i)
		w.body([]string{"a", "b"}, 3)
		w.line("end")
		w.funcs++
	}
	w.line("local function R(n, a) if n > 0 then return %s, R(n - 1, a) end return a end", w.simple())
	w.line("local function Tail(n, a) if n > 0 then return Tail(n - 1, %s) end return P(a) end", w.simple())
	w.line("local function G(s, p) return s:gmatch(p) end")
	w.line("return function(a, b, c)")
	w.body([]string{"a", "b", "c"}, 7)
	w.line("end")
	return w.out.String()
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }

// choose returns a number below n.
func (w *writer) choose(n int) int {
	if len(w.data) == 0 {
		return 0
	}
	b := int(w.data[0])
	w.data = w.data[1:]
	return b % n
}

func (w *writer) name() string {
	w.names++
	return fmt.Sprintf("v%d", w.names)
}

func (w *writer) body(params []string, statements int) {
	outer := w.locals
	w.locals = append(append([]string(nil), outer...), params...)
	w.block(statements)
	if w.choose(4) > 0 {
		w.line("return %s", w.expressions(1+w.choose(3)))
	}
	w.locals = outer
}

func (w *writer) block(statements int) {
	outer := w.locals
	for range w.choose(statements + 1) {
		w.statement()
	}
	w.locals = outer[:len(outer):len(outer)]
}

func (w *writer) statement() {
	w.depth++
	defer func() { w.depth-- }()
	n := 17
	if w.depth > 3 {
		n = 9
	}
	switch w.choose(n) {
	case 0:
		if w.choose(3) == 2 {
			w.line("P(%s)", w.call())
		} else {
			w.line("P(%s)", w.expressions(1+w.choose(2)))
		}
	case 1, 2:
		name, value := w.name(), w.expression()
		w.line("local %s = %s", name, value)
		w.locals = append(w.locals, name)
	case 3:
		w.line("%s = %s", w.variable(), w.expression())
	case 4:
		w.line("%s.%s = %s", w.base(), w.field(), w.expression())
	case 5:
		w.line("%s[%s] = %s", w.base(), w.expression(), w.expression())
	case 6:
		w.line("%s = %s", []string{"S", "N", "global", "T.n"}[w.choose(4)], w.expression())
	case 7:
		w.line("O:%s(%s)", w.method(), w.expressions(w.choose(3)))
	case 8:
		a, b := w.name(), w.name()
		w.line("local %s, %s = %s", a, b, w.call())
		w.locals = append(w.locals, a, b)
	case 9, 10:
		w.line("if %s then", w.expression())
		w.block(3)
		if w.choose(2) > 0 {
			w.line("else")
			w.block(3)
		}
		w.line("end")
	case 11:
		name, bounds := w.name(), "1, 3"
		if w.choose(2) > 0 {
			bounds = w.number() + ", " + w.number()
		}
		w.line("for %s = %s do", name, bounds)
		w.loop(name)
		w.line("end")
	case 12:
		k, v := w.name(), w.name()
		w.line("for %s, %s in %s({ %s, x = %s }) do", k, v, []string{"pairs", "ipairs"}[w.choose(2)], w.expressions(1+w.choose(3)), w.expression())
		w.loop(k, v)
		w.line("end")
	case 13:
		name := w.name()
		w.line("local %s = 0", name)
		w.line("while %s < 3 and %s do", name, w.expression())
		w.line("%s = %s + 1", name, name)
		w.loop()
		w.line("end")
	case 14:
		name := w.name()
		w.line("local %s = 0", name)
		w.line("repeat")
		w.line("%s = %s + 1", name, name)
		w.loop()
		w.line("until %s > 2 or %s", name, w.simple())
	case 16:
		a, b := w.name(), w.name()
		pattern := []string{`"%w"`, `"(%w)(%d*)"`, `""`, `"()(.)"`, `"("`, `"%"`, `"[^,]*"`}[w.choose(7)]
		w.line("for %s, %s in %s(%s, %s) do", a, b, []string{"string.gmatch", "string.gfind", "G"}[w.choose(3)], w.expression(), pattern)
		w.loop(a, b)
		w.line("end")
	case 15:
		w.line("do local ok, e = pcall(function() return %s end) P(ok, e) end", w.expression())
	}
}

func (w *writer) loop(names ...string) {
	outer := w.locals
	w.locals = append(append([]string(nil), outer...), names...)
	w.block(3)
	if w.choose(4) == 1 {
		w.line("if N ~= %s then break end", w.expression()) // gopher-lua can get lost behind "if 1 then break end"
	}
	w.locals = outer
}

func (w *writer) variable() string {
	if len(w.locals) == 0 {
		return "N"
	}
	return w.locals[w.choose(len(w.locals))]
}

func (w *writer) base() string {
	return []string{"T", "M", "O", w.variable()}[w.choose(4)]
}

func (w *writer) field() string {
	return []string{"n", "text", "inner", "x", "missing", "slow", "fixed"}[w.choose(7)]
}

func (w *writer) method() string {
	return []string{"set", "get", "slow", "fail", "missing", "upper", "swap"}[w.choose(7)]
}

func (w *writer) number() string {
	return []string{"1", "3", "0", "-2", "0.5", "N", `"2"`, "nil", "#T"}[w.choose(9)]
}

func (w *writer) simple() string {
	switch w.choose(9) {
	case 0:
		return w.number()
	case 1, 2, 3:
		return w.variable()
	case 4:
		return []string{"true", "false", "nil"}[w.choose(3)]
	case 5:
		return []string{`"text"`, `""`, `"10"`, `"%d+"`}[w.choose(4)]
	case 6:
		return []string{"T", "M", "S", "N", "O", "global"}[w.choose(6)]
	case 7:
		return "{}"
	}
	return "1500"
}

func (w *writer) expressions(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = w.expression()
	}
	return strings.Join(list, ", ")
}

func (w *writer) call() string {
	args := w.expressions(1 + w.choose(3))
	if w.choose(4) == 3 { // in a loop as many as it has gone round, or so
		args += fmt.Sprintf(", unpack({ 1, %s, 3 }, tonumber(%s) or 3)", w.simple(), w.variable())
	}
	switch w.choose(8) {
	case 0, 1:
		return fmt.Sprintf("F%d(%s)", w.choose(max(w.funcs, 1)), args)
	case 2:
		return "P(" + args + ")"
	case 3:
		return fmt.Sprintf("R(%d, %s)", w.choose(70), w.simple())
	case 4:
		return fmt.Sprintf("Tail(%d, %s)", w.choose(70), w.simple())
	case 5:
		return fmt.Sprintf("%s:%s(%s)", w.base(), w.method(), args)
	case 6:
		return fmt.Sprintf("%s(%s)", w.variable(), args)
	}
	return w.library(args)
}

func (w *writer) library(args string) string {
	name := []string{"tostring", "type", "tonumber", "string.upper", "string.sub", "string.format", "string.find", "string.gsub", "select",
		"unpack", "next", "rawget", "rawequal", "math.floor", "math.max", "table.concat", "table.insert", "setmetatable", "getmetatable", "string.byte"}[w.choose(20)]
	if name == "tostring" || name == "string.format" {
		return name + `("%s", ` + args + ")"
	}
	return name + "(" + args + ")"
}

func (w *writer) expression() string {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > 4 {
		return w.simple()
	}
	switch w.choose(16) {
	case 0, 1, 2:
		return w.simple()
	case 3, 4:
		return w.binary([]string{"+", "-", "*", "/", "%", "^"}[w.choose(6)])
	case 5:
		return w.binary([]string{"==", "~=", "<", "<=", ">", ">="}[w.choose(6)])
	case 6:
		return w.binary([]string{"and", "or"}[w.choose(2)])
	case 7:
		if w.choose(3) > 0 { // as the operator is compiled in luaserve
			return "C(" + w.expressions(2+w.choose(2)) + ")"
		}
		return w.binary("..")
	case 8:
		return []string{"not ", "-", "#"}[w.choose(3)] + "(" + w.expression() + ")"
	case 9, 10:
		return w.base() + "." + w.field()
	case 11:
		return w.base() + "[" + w.expression() + "]"
	case 12:
		return "{ " + w.expressions(1+w.choose(3)) + ", n = " + w.expression() + " }"
	case 13:
		if w.choose(3) == 1 {
			return "(function(x) return x, " + w.simple() + " end)"
		}
		return "(" + w.call() + ")"
	}
	return w.call()
}

func (w *writer) binary(operator string) string {
	return "(" + w.expression() + " " + operator + " " + w.expression() + ")"
}
