package bindings

import "luaserve/runtime"

// requestAPIModule holds the objects that scripts handle: vr with everything below it, and lighty.
func requestAPIModule() *runtime.Module {
	return &runtime.Module{
		Name:      "lua api",
		Doc:       "The objects that Lua functions handle: the request vr with all that belongs to it, and lighty.",
		Untrusted: []string{"lighty"},
		Objects: []*runtime.Object{
			vrequestObject,
			connectionObject,
			environmentObject,
			chunkQueueObject,
			requestObject,
			uriObject,
			responseObject,
			physicalObject,
			headersObject,
			filterObject,
			statObject,
			subrequestObject,
			lightyObject,
			nullObject,
		},
	}
}
