package bindings

import (
	"net/netip"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// connectionObject is vr.con.
var connectionObject = &runtime.Object{
	Name: "coninfo",
	Doc:  "The connection that the request came on.",
	Fields: []runtime.Attribute{
		{Name: "local", Type: "string", Doc: "Address that the client connected to, without the port.", Leaf: true,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return addressText(c, self.(*runtime.Connection).Local)
			}},
		{Name: "remote", Type: "string", Doc: "Address of the client, without the port.", Leaf: true,
			Get: func(c *runtime.Call, self any) lua.LValue {
				return addressText(c, self.(*runtime.Connection).Remote)
			}},
	},
}

func addressText(c *runtime.Call, a netip.AddrPort) lua.LValue {
	if !a.IsValid() {
		return c.Text("unix:")
	}
	return c.Text(a.Addr().WithZone("").String())
}
