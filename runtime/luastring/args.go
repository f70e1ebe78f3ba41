package luastring

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// argError raises the error about argument n. In a call like s:rep(n) the arguments are
// counted without s.
func (c call) argError(n int, msg string) {
	if c.isMethodCall() {
		n--
		if n == 0 {
			c.fail("calling '%s' on bad self (%s)", c.name, msg)
		}
	}
	c.fail("bad argument #%d to '%s' (%s)", n, c.name, msg)
}

// isMethodCall reports whether the calls of this function in the line that runs are all
// written with a colon. Which of them runs gopher-lua does not tell.
func (c call) isMethodCall() bool {
	place, ok := c.L.GetStack(1)
	if !ok {
		return false
	}
	value, err := c.L.GetInfo("fl", place, lua.LNil)
	caller, ok := value.(*lua.LFunction)
	if err != nil || !ok || caller.IsG {
		return false
	}
	found := false
	for _, site := range caller.Proto.DbgCalls {
		if site.Name != c.name || caller.Proto.DbgSourcePositions[site.Pc] != place.CurrentLine {
			continue
		}
		if !loadsMethod(caller.Proto.Code, site.Pc) {
			return false
		}
		found = true
	}
	return found
}

// loadsMethod reports whether the instruction that loads the function for the call at pc
// is the one for a method: the last one before that stores into the register of the call.
func loadsMethod(code []uint32, pc int) bool {
	opcode := func(inst uint32) int { return int(inst >> 26) }
	register := func(inst uint32) uint32 { return inst >> 18 & 0xff }
	for i := pc - 1; i >= 0; i-- {
		if register(code[i]) == register(code[pc]) {
			return opcode(code[i]) == lua.OP_SELF
		}
	}
	return false
}

func (c call) typeError(n int, expected string) {
	got := "no value"
	if n <= c.L.GetTop() {
		got = c.L.Get(n).Type().String()
	}
	c.argError(n, expected+" expected, got "+got)
}

// any returns argument n, which must be there.
func (c call) any(n int) lua.LValue {
	if n > c.L.GetTop() {
		c.argError(n, "value expected")
	}
	return c.L.Get(n)
}

// str returns argument n, a string or a number.
func (c call) str(n int) string {
	v := c.L.Get(n)
	if s, ok := v.(lua.LString); ok {
		return string(s)
	}
	s, ok := text(v)
	if !ok {
		c.typeError(n, "string")
	}
	return s
}

func (c call) optStr(n int, otherwise string) string {
	if c.L.Get(n) == lua.LNil {
		return otherwise
	}
	return c.str(n)
}

// text is a string, or a number as text.
func text(v lua.LValue) (string, bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return FormatNumber(float64(v)), true
	}
	return "", false
}

// number returns argument n, a number or a string that reads as one.
func (c call) number(n int) float64 {
	switch v := c.L.Get(n).(type) {
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		if f, ok := ParseNumber(string(v)); ok {
			return f
		}
	}
	c.typeError(n, "number")
	return 0
}

// integer returns argument n without its fraction.
func (c call) integer(n int) int {
	if v, ok := c.L.Get(n).(lua.LNumber); ok {
		return int(toInt64(float64(v)))
	}
	return int(toInt64(c.number(n)))
}

func (c call) optInteger(n, otherwise int) int {
	switch v := c.L.Get(n).(type) {
	case lua.LNumber:
		return int(toInt64(float64(v)))
	case *lua.LNilType:
		return otherwise
	}
	return c.integer(n)
}

// optInt is optInteger for what is an int in C: the upper half is cut off.
func (c call) optInt(n, otherwise int) int { return int(int32(c.optInteger(n, otherwise))) }

// toInt64 converts as C does on amd64, where what does not fit becomes the smallest integer.
// Go leaves the result of such a conversion open.
func toInt64(f float64) int64 {
	if f >= -0x1p63 && f < 0x1p63 {
		return int64(f)
	}
	return math.MinInt64
}

// toUint64 converts as C does on amd64: negative numbers wrap around.
func toUint64(f float64) uint64 {
	if f >= 0x1p63 {
		return uint64(toInt64(f-0x1p63)) ^ 1<<63
	}
	return uint64(toInt64(f))
}

// position turns a position that may count from the end of a string into one that counts
// from its beginning, from 1; what lies before the string is 0.
func position(pos, length int) int {
	if pos < 0 {
		pos += length + 1
	}
	return max(pos, 0)
}

// smallNumbers are boxed once: most positions and bytes are among them.
var smallNumbers = func() (numbers [1024]lua.LValue) {
	for i := range numbers {
		numbers[i] = lua.LNumber(i)
	}
	return
}()

// pushInt pushes a number that is not negative.
func (c call) pushInt(n int) {
	if n < len(smallNumbers) {
		c.L.Push(smallNumbers[n])
		return
	}
	c.L.Push(lua.LNumber(n))
}
