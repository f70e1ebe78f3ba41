package bindings

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// responseObject is vr.resp.
var responseObject = &runtime.Object{
	Name: "response",
	Doc:  "The head of the response.",
	Fields: []runtime.Attribute{
		{Name: "headers", Type: "headers", Doc: "Header fields of the response.", Leaf: true, Part: true,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Object(headersObject, &self.(*runtime.Response).Header)
			}},
		{Name: "status", Type: "number", Doc: "Status code from 200 to 999; 0 until there is one.", Leaf: true,
			Get: func(_ *runtime.Call, self any) lua.LValue {
				return lua.LNumber(self.(*runtime.Response).Status)
			},
			Set: setStatus},
	},
}

func setStatus(c *runtime.Call, self any, value lua.LValue) {
	status := fieldInteger(c, value)
	if status < 200 || status > 999 {
		c.Error(fmt.Sprintf("Invalid http response status: %d", status))
	}
	self.(*runtime.Response).Status = status
}
