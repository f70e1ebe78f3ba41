package bindings

import (
	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// filterObject is what vr:add_filter_in and vr:add_filter_out return.
var filterObject = &runtime.Object{
	Name: "filter",
	Doc:  "A filter that was added to the request.",
	Fields: []runtime.Attribute{
		{Name: "in", Type: "chunkqueue", Doc: `What came to the filter and was not taken yet; in is a word of Lua, so write filter["in"].`,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Object(chunkQueueObject, self.(*runtime.Filter).In)
			}},
		{Name: "out", Type: "chunkqueue", Doc: "What leaves the filter.",
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Object(chunkQueueObject, self.(*runtime.Filter).Out)
			}},
	},
}
