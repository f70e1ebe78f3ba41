package luastring

import (
	"unsafe"

	lua "github.com/yuin/gopher-lua"
)

// Concat returns a Lua function that does what the operator .. does with its arguments, of
// which there are two or more: strings and numbers are joined, other values asked for their
// __concat metamethod, from the right to the left. maxLen bounds the length of the result,
// in bytes; 0 means [DefaultMaxLen]. The function belongs to no state.
func Concat(maxLen int) lua.LGFunction {
	def := &definition{"concat", lengthLimit(maxLen)}
	return func(L *lua.LState) int {
		c := call{L, def}
		right := L.Get(-1)
		for i := L.GetTop() - 1; i > 0; {
			first := i
			for first > 0 && isText(right) && isText(L.Get(first)) {
				first--
			}
			if first == i {
				right = c.concatValues(L.Get(i), right)
				i--
				continue
			}
			right = c.concatTexts(first+1, i, right)
			i = first
		}
		L.Push(right)
		return 1
	}
}

// Join returns a function that joins strings and numbers as the operator .. does. It returns
// false when there are other values, or when the result would be longer than maxLen; 0 means
// [DefaultMaxLen].
func Join(maxLen int) func(texts []lua.LValue) (lua.LString, bool) {
	maxLen = lengthLimit(maxLen)
	return func(texts []lua.LValue) (lua.LString, bool) {
		size := 0
		for _, v := range texts {
			switch v := v.(type) {
			case lua.LString:
				size += len(v)
			case lua.LNumber:
				size += longNumber
			default:
				return "", false
			}
		}
		if size > maxLen { // or near to it, with numbers
			return "", false
		}
		if size == 0 {
			return "", true
		}
		out := make([]byte, 0, size)
		for _, v := range texts {
			switch v := v.(type) {
			case lua.LString:
				out = append(out, v...)
			case lua.LNumber:
				out = appendNumber(out, float64(v))
			}
		}
		return lua.LString(unsafe.String(&out[0], len(out))), true // nobody writes to it any more
	}
}

// longNumber is at least the length of a number as text, in bytes.
const longNumber = 24

func isText(v lua.LValue) bool {
	switch v.(type) {
	case lua.LString, lua.LNumber:
		return true
	}
	return false
}

// concatTexts joins the arguments from one to another, and what is to the right of them.
func (c call) concatTexts(from, to int, right lua.LValue) lua.LValue {
	var digits [32]byte
	if from == to { // the usual case
		left, isLeft := c.L.Get(from).(lua.LString)
		right, isRight := right.(lua.LString)
		if isLeft && isRight {
			if len(left) > c.maxLen-len(right) {
				c.tooLarge()
			}
			return left + right
		}
	}
	size := 0
	for i := from; i <= to; i++ {
		size += longNumber
		if s, ok := c.L.Get(i).(lua.LString); ok {
			size += len(s) - longNumber
		}
	}
	out := result{c: c}
	out.Grow(min(size+longNumber, c.maxLen))
	for i := from; i <= to+1; i++ {
		v := right
		if i <= to {
			v = c.L.Get(i)
		}
		switch v := v.(type) {
		case lua.LString:
			out.add(string(v))
		case lua.LNumber:
			out.addBytes(appendNumber(digits[:0], float64(v)))
		}
	}
	return lua.LString(out.String())
}

// concatValues joins two values of which one at least is no text.
func (c call) concatValues(left, right lua.LValue) lua.LValue {
	method := c.L.GetMetaField(left, "__concat")
	if method == lua.LNil {
		method = c.L.GetMetaField(right, "__concat")
	}
	if method == lua.LNil {
		bad := left
		if isText(left) {
			bad = right
		}
		c.fail("attempt to concatenate a %s value", bad.Type())
	}
	c.L.Push(method)
	c.L.Push(left)
	c.L.Push(right)
	c.L.Call(2, 1)
	v := c.L.Get(-1)
	c.L.Pop(1)
	return v
}
