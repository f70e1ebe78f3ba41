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
			Get: func(_ *runtime.Call, self any) lua.LValue {
				return addressText(self.(*runtime.Connection).Local)
			}},
		{Name: "remote", Type: "string", Doc: "Address of the client, without the port.", Leaf: true,
			Get: func(_ *runtime.Call, self any) lua.LValue {
				return addressText(self.(*runtime.Connection).Remote)
			}},
	},
}

func addressText(a netip.AddrPort) lua.LValue {
	if !a.IsValid() {
		return lua.LString("unix:")
	}
	return lua.LString(a.Addr().WithZone("").String())
}
