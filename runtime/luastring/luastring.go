// Package luastring is Lua 5.1's string library for gopher-lua states, with the other
// library functions that turn values into text: table.concat, tostring, tonumber, print and
// os.date.
//
// It does what PUC-Rio Lua 5.1 does in the C locale, byte for byte, with three additions
// that a server needs: matching looks at the context of the Lua thread, so that a pattern
// which would take minutes ends with the time budget; a function whose result would be
// longer than a limit raises an error before it allocates; nothing recurses without bound.
package luastring

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// DefaultMaxLen is the length of the longest string that a library function makes, in bytes.
const DefaultMaxLen = 64 << 20

// Open adds the library to a state and replaces the functions of the other libraries that
// are named above, where these are open. Strings get the string table as their metatable's
// __index. maxLen bounds the length of results, in bytes; 0 means [DefaultMaxLen].
func Open(L *lua.LState, maxLen int) {
	maxLen = lengthLimit(maxLen)
	mod := L.RegisterModule(lua.StringLibName, nil).(*lua.LTable)
	install(L, mod, maxLen, map[string]function{
		"byte": strByte, "char": strChar, "dump": strDump, "find": strFind, "format": strFormat, "gmatch": strGmatch,
		"gsub": strGsub, "len": strLen, "lower": strLower, "match": strMatch, "rep": strRep, "reverse": strReverse,
		"sub": strSub, "upper": strUpper,
	})
	mod.RawSetString("gfind", mod.RawGetString("gmatch")) // its name in Lua 5.0
	meta := L.NewTable()
	meta.RawSetString("__index", mod)
	L.SetMetatable(lua.LString(""), meta)

	install(L, L.G.Global, maxLen, map[string]function{"tostring": toString, "tonumber": toNumber, "print": printValues})
	if table, ok := L.G.Global.RawGetString(lua.TabLibName).(*lua.LTable); ok {
		install(L, table, maxLen, map[string]function{"concat": tableConcat})
	}
	if os, ok := L.G.Global.RawGetString(lua.OsLibName).(*lua.LTable); ok {
		install(L, os, maxLen, map[string]function{"date": osDate})
	}
}

func lengthLimit(maxLen int) int {
	if maxLen <= 0 {
		return DefaultMaxLen
	}
	return maxLen
}

// function is a library function; it leaves its results on the stack and returns their number.
type function func(c call) int

func install(L *lua.LState, into *lua.LTable, maxLen int, functions map[string]function) {
	for name, f := range functions {
		def := &definition{name, maxLen}
		into.RawSetString(name, L.NewFunction(func(L *lua.LState) int { return f(call{L, def}) }))
	}
}

// definition is what all calls of a library function have in common.
type definition struct {
	name   string // for messages
	maxLen int    // of results
}

// call is one call of a library function.
type call struct {
	L *lua.LState
	*definition
}

// checkTime raises what the virtual machine raises when the context of its thread is done.
// No pcall gets rid of it: the next instruction raises it again.
func (c call) checkTime() {
	ctx := c.L.Context()
	if ctx == nil {
		return
	}
	select {
	case <-ctx.Done():
		c.L.RaiseError("%s", ctx.Err().Error())
	default:
	}
}

// fail raises an error with the place of the caller before it.
func (c call) fail(format string, args ...any) { c.L.RaiseError("%s", fmt.Sprintf(format, args...)) }

// tooLarge raises the error about a result over the limit.
func (c call) tooLarge() { c.fail("resulting string too large") }
