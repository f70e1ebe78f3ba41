package runtime

import (
	"time"

	lua "github.com/yuin/gopher-lua"
)

// openClock makes os.time and os.date tell the time of the program's clock where they are
// not asked for another one.
func openClock(L *lua.LState, now func() time.Time) {
	os, ok := L.G.Global.RawGetString(lua.OsLibName).(*lua.LTable)
	if !ok {
		return
	}
	seconds := func() lua.LNumber { return lua.LNumber(now().Unix()) }
	if date, ok := os.RawGetString("date").(*lua.LFunction); ok {
		os.RawSetString("date", L.NewFunction(func(L *lua.LState) int {
			if L.Get(2) == lua.LNil {
				format := L.Get(1)
				L.SetTop(0)
				L.Push(format)
				L.Push(seconds())
			}
			return date.GFunction(L)
		}))
	}
	if timeOf, ok := os.RawGetString("time").(*lua.LFunction); ok {
		os.RawSetString("time", L.NewFunction(func(L *lua.LState) int {
			if L.Get(1) == lua.LNil {
				L.Push(seconds())
				return 1
			}
			return timeOf.GFunction(L)
		}))
	}
}

// Now is what the program's clock says; see [Config.Now].
func (c *Call) Now() time.Time { return c.st.heap.prog.now() }
