package sitetest

import (
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxDepth is how deep tables are looked into.
const maxDepth = 8

// equal compares values as Lua does, but tables by what is in them.
func equal(a, b lua.LValue, depth int) bool {
	ta, ok := a.(*lua.LTable)
	tb, ok2 := b.(*lua.LTable)
	if !ok || !ok2 || ta == tb || depth > maxDepth {
		return a == b
	}
	same, n := true, 0
	ta.ForEach(func(k, v lua.LValue) {
		n++
		same = same && equal(v, tb.RawGet(k), depth+1)
	})
	tb.ForEach(func(lua.LValue, lua.LValue) { n-- })
	return same && n == 0
}

// show writes a value as Lua would.
func show(v lua.LValue, depth int) string {
	switch v := v.(type) {
	case lua.LString:
		return fmt.Sprintf("%q", string(v))
	case *lua.LTable:
		if depth > maxDepth {
			return "{…}"
		}
		var parts []string
		n := v.Len()
		for i := 1; i <= n; i++ {
			parts = append(parts, show(v.RawGetInt(i), depth+1))
		}
		var named []string
		v.ForEach(func(k, item lua.LValue) {
			if i, ok := k.(lua.LNumber); ok && float64(i) >= 1 && int(i) <= n {
				return
			}
			named = append(named, fmt.Sprintf("[%s] = %s", show(k, depth+1), show(item, depth+1)))
		})
		slices.Sort(named)
		return "{" + strings.Join(append(parts, named...), ", ") + "}"
	}
	return v.String()
}
