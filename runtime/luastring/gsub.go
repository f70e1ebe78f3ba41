package luastring

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func strGsub(c call) int {
	src, pat := c.str(1), c.str(2)
	g := substitution{result: result{c: c}, limit: c.optInt(4, len(src)+1)}
	switch with := c.L.Get(3).(type) {
	case lua.LString, lua.LNumber:
		g.template = c.str(3)
		g.literal = strings.IndexByte(g.template, '%') < 0
	case *lua.LTable, *lua.LFunction:
		g.with = with
	default:
		c.argError(3, "string/function/table expected")
	}
	if strings.HasPrefix(pat, "^") {
		g.init(c, src, pat[1:])
		g.anchored()
	} else {
		g.init(c, src, pat)
		g.everywhere()
	}
	switch {
	case g.changed:
		g.result.add(src[g.copied:])
		c.pushString(g.result.String())
	case c.L.Get(1).Type() == lua.LTString:
		c.L.Push(c.L.Get(1))
	default:
		c.pushString(src)
	}
	c.pushInt(g.count)
	return 2
}

// substitution is the work of one gsub.
type substitution struct {
	matcher
	result   result
	limit    int
	count    int
	copied   int  // how much of the string is in the result, in one form or another
	changed  bool // the result is not the string itself
	template string
	literal  bool       // the template has no %
	with     lua.LValue // the table or function instead of a template
}

func (g *substitution) anchored() {
	if g.limit < 1 {
		return
	}
	if end := g.match(0, 0); end != none {
		g.replace(0, end)
	}
}

func (g *substitution) everywhere() {
	for s := 0; g.count < g.limit && s <= len(g.src); {
		start, end := g.search(s)
		if end == none {
			return
		}
		g.replace(start, end)
		if s = end; end == start {
			s++
		}
	}
}

// replace puts what comes instead of a match into the result.
func (g *substitution) replace(start, end int) {
	g.count++
	if g.with == nil {
		g.skipTo(start, end)
		g.expand(start, end)
		return
	}
	g.pushReplacement(start, end)
	v := g.c.L.Get(-1)
	g.c.L.Pop(1)
	if lua.LVIsFalse(v) {
		return // the match stays
	}
	s, ok := text(v)
	if !ok {
		g.c.fail("invalid replacement value (a %s)", v.Type())
	}
	g.skipTo(start, end)
	g.result.add(s)
}

// skipTo copies what is before a match and leaves the match out.
func (g *substitution) skipTo(start, end int) {
	if !g.changed {
		g.changed = true
		g.result.Grow(min(len(g.src), g.c.maxLen))
	}
	g.result.add(g.src[g.copied:start])
	g.copied = end
}

// expand adds the template with the captures of a match filled in.
func (g *substitution) expand(start, end int) {
	rest := g.template
	for !g.literal {
		text, after, escape := strings.Cut(rest, "%")
		g.result.add(text)
		if !escape {
			return
		}
		if after == "" { // a C string ends with a zero byte
			g.result.addByte(0)
			return
		}
		g.expandOne(after[0], start, end)
		rest = after[1:]
	}
	g.result.add(rest)
}

// expandOne adds what a % and a character stand for.
func (g *substitution) expandOne(c byte, start, end int) {
	if c < '0' || c > '9' {
		g.result.addByte(c)
		return
	}
	from, length := start, end-start
	if c != '0' {
		from, length = g.capture(int(c-'1'), start, end)
	}
	if length == positionCapture {
		var digits [32]byte
		g.result.addBytes(appendNumber(digits[:0], float64(from+1)))
		return
	}
	g.result.add(g.src[from : from+length])
}

// pushReplacement asks the table or calls the function.
func (g *substitution) pushReplacement(start, end int) {
	L := g.c.L
	if table, ok := g.with.(*lua.LTable); ok {
		g.pushCapture(0, start, end)
		key := L.Get(-1)
		L.Pop(1)
		L.Push(L.GetTable(table, key))
		return
	}
	L.Push(g.with)
	L.Call(g.pushCaptures(start, end), 1)
}
