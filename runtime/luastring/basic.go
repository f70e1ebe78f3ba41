package luastring

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxResults bounds what string.byte returns. Lua 5.1 gives a C function 8,000 stack slots.
const maxResults = 7900

func strByte(c call) int {
	s := c.str(1)
	from := position(c.optInteger(2, 1), len(s))
	to := min(position(c.optInteger(3, from), len(s)), len(s))
	from = max(from, 1)
	if from > to {
		return 0
	}
	if to-from >= maxResults {
		c.fail("stack overflow (string slice too long)")
	}
	for i := from; i <= to; i++ {
		c.pushInt(int(s[i-1]))
	}
	return to - from + 1
}

func strChar(c call) int {
	out := make([]byte, c.L.GetTop())
	for i := range out {
		code := int32(c.integer(i + 1))
		if code < 0 || code > 255 {
			c.argError(i+1, "invalid value")
		}
		out[i] = byte(code)
	}
	return c.pushString(string(out))
}

// strDump refuses: there is no byte code that could be loaded again.
func strDump(c call) int {
	if c.L.Get(1).Type() != lua.LTFunction {
		c.typeError(1, "function")
	}
	c.fail("unable to dump given function")
	return 0
}

func strLen(c call) int {
	c.pushInt(len(c.str(1)))
	return 1
}

func strLower(c call) int { return c.changeCase('A', 'Z') }
func strUpper(c call) int { return c.changeCase('a', 'z') }

// changeCase pushes the first argument with the letters between from and to in their other
// case. Other bytes stay as they are, whatever encoding they belong to.
func (c call) changeCase(from, to byte) int {
	s := c.str(1)
	i := 0
	for i < len(s) && (s[i] < from || s[i] > to) {
		i++
	}
	if i == len(s) {
		return c.pushString(s)
	}
	out := []byte(s)
	for ; i < len(out); i++ {
		if out[i] >= from && out[i] <= to {
			out[i] ^= 'a' - 'A'
		}
	}
	return c.pushString(string(out))
}

func strRep(c call) int {
	s, n := c.str(1), c.integer(2)
	if n <= 0 || s == "" {
		return c.pushString("")
	}
	if n > c.maxLen/len(s) {
		c.tooLarge()
	}
	return c.pushString(strings.Repeat(s, n))
}

func strReverse(c call) int {
	s := c.str(1)
	out := make([]byte, len(s))
	for i := range out {
		out[i] = s[len(s)-1-i]
	}
	return c.pushString(string(out))
}

func strSub(c call) int {
	s := c.str(1)
	from := max(position(c.integer(2), len(s)), 1)
	to := min(position(c.optInteger(3, -1), len(s)), len(s))
	if from > to {
		return c.pushString("")
	}
	return c.pushPiece(s, from-1, to)
}

func (c call) pushString(s string) int {
	c.L.Push(lua.LString(s))
	return 1
}

// pushPiece pushes s[from:to]. A short piece of a long string is a copy, because it would
// keep the whole string in memory for as long as a script keeps the piece.
func (c call) pushPiece(s string, from, to int) int {
	const long, share = 4096, 16
	piece := s[from:to]
	if len(s) >= long && len(piece) < len(s)/share {
		piece = strings.Clone(piece)
	}
	return c.pushString(piece)
}

// result collects a string that must not grow over the limit.
type result struct {
	strings.Builder
	c call
}

// add appends s, or raises an error.
func (r *result) add(s string) {
	if len(s) > r.c.maxLen-r.Len() {
		r.c.tooLarge()
	}
	r.WriteString(s)
}

func (r *result) addByte(b byte) {
	if r.Len() >= r.c.maxLen {
		r.c.tooLarge()
	}
	r.WriteByte(b)
}

func (r *result) addBytes(b []byte) {
	if len(b) > r.c.maxLen-r.Len() {
		r.c.tooLarge()
	}
	r.Write(b)
}

// tableConcat joins the strings and numbers of a list.
func tableConcat(c call) int {
	t, ok := c.L.Get(1).(*lua.LTable)
	if !ok {
		c.typeError(1, "table")
	}
	sep, from := c.optStr(2, ""), c.optInt(3, 1)
	to := c.optInt(4, t.Len())
	size := 0
	for i := from; i <= to; i++ {
		switch v := t.RawGetInt(i).(type) {
		case lua.LString:
			size += len(v) + len(sep)
		case lua.LNumber:
			size += 8 + len(sep)
		default:
			c.fail("invalid value (%s) at index %d in table for 'concat'", v.Type(), i)
		}
		if size > 2*c.maxLen { // numbers are only estimated
			c.tooLarge()
		}
	}
	out := result{c: c}
	out.Grow(min(size, c.maxLen))
	for i := from; i <= to; i++ {
		if i > from {
			out.add(sep)
		}
		switch v := t.RawGetInt(i).(type) {
		case lua.LString:
			out.add(string(v))
		case lua.LNumber:
			var digits [32]byte
			out.addBytes(appendNumber(digits[:0], float64(v)))
		}
	}
	return c.pushString(out.String())
}
