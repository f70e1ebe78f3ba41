package bindings

import (
	"log/slog"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// vrequestObject is vr.
var vrequestObject = &runtime.Object{
	Name: "vrequest",
	Doc:  "The request that a Lua function handles.",
	Fields: []runtime.Attribute{
		vrPart("con", "coninfo", "The connection that the request came on.", func(c *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return c.Object(connectionObject, &vr.Con)
		}),
		vrField("in", "chunkqueue", `The request body; in is a word of Lua, so write vr["in"].`, func(c *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return c.Object(chunkQueueObject, vr.In)
		}),
		vrPart("out", "chunkqueue", "The response body.", func(c *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return c.Object(chunkQueueObject, vr.Out)
		}),
		vrPart("env", "environment", "The environment that backends are given.", func(c *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return c.Object(environmentObject, &vr.Env)
		}),
		vrPart("req", "request", "The head of the request.", func(c *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return c.Object(requestObject, vr)
		}),
		vrPart("resp", "response", "The head of the response.", func(c *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return c.Object(responseObject, &vr.Response)
		}),
		vrPart("phys", "physical", "The file that the URL is mapped to.", func(c *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return c.Object(physicalObject, &vr.Physical)
		}),
		vrField("is_handled", "boolean", "Whether an action has claimed the request.", func(_ *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return lua.LBool(vr.IsHandled())
		}),
		vrField("has_response", "boolean", "Whether the head of the response is there.", func(_ *runtime.Call, vr *runtime.VRequest) lua.LValue {
			return lua.LBool(vr.HasResponse())
		}),
	},
	Methods: []runtime.Method{
		logMethod("print", slog.LevelError, 2, "Writes its arguments to the log as an error."),
		logMethod("error", slog.LevelError, 2, "Writes its arguments to the log as an error."),
		logMethod("warning", slog.LevelWarn, 2, "Writes its arguments to the log as a warning."),
		logMethod("info", slog.LevelInfo, 2, "Writes its arguments to the log as an information."),
		logMethod("debug", slog.LevelDebug, 2, "Writes its arguments to the log for debugging."),
		{Name: "handle_direct", Returns: "boolean", Doc: "Claims the request for an answer that the script gives itself: status, headers, vr.out. Returns false when it was claimed before.", Run: vrHandleDirect, Leaf: true,
			Quick: func(_ *runtime.Call, self any, _ []lua.LValue) (lua.LValue, bool) {
				return lua.LBool(self.(*runtime.VRequest).HandleDirect()), true
			}},
		{Name: "enter_action", Args: "action: action", Doc: "Has an action run when the function is done. The function runs again after it if it returns HANDLER_WAIT_FOR_EVENT.", Run: vrEnterAction},
		{Name: "stat", Args: "filename: string", Returns: "struct stat|nil, integer, integer|nil, string|nil", Doc: "Looks at a file: st, res, errno, msg = vr:stat(filename). res is HANDLER_GO_ON, or HANDLER_ERROR with a number and a text of the error.", Run: vrStat},
		{Name: "add_filter_in", Args: "object: table", Returns: "filter", Doc: "Lets the request body run through object:handle(vr, outq, inq) and returns the filter.", Run: addFilter("vr.add_filter_in", (*runtime.VRequest).AddFilterIn)},
		{Name: "add_filter_out", Args: "object: table", Returns: "filter", Doc: "Lets the response body run through object:handle(vr, outq, inq) and returns the filter.", Run: addFilter("", (*runtime.VRequest).AddFilterOut)},
		{Name: "subrequest", Args: "action: action", Returns: "subrequest", Doc: "Runs an action on a copy of the request without a body and returns its answer.", Run: vrSubrequest},
	},
}

func vrField(name, kind, doc string, get func(*runtime.Call, *runtime.VRequest) lua.LValue) runtime.Attribute {
	return runtime.Attribute{Name: name, Type: kind, Doc: doc, Leaf: true, Get: func(c *runtime.Call, self any) lua.LValue {
		return get(c, self.(*runtime.VRequest))
	}}
}

// vrPart is a field whose object stands for a part of the request.
func vrPart(name, kind, doc string, get func(*runtime.Call, *runtime.VRequest) lua.LValue) runtime.Attribute {
	field := vrField(name, kind, doc, get)
	field.Part = true
	return field
}

func vrHandleDirect(c *runtime.Call, self any) int {
	return push(c, lua.LBool(self.(*runtime.VRequest).HandleDirect()))
}

func vrEnterAction(c *runtime.Call, self any) int {
	if c.L.GetTop() != 2 {
		c.Error("incorrect number of arguments")
	}
	act, ok := c.LuaAction(2)
	if !ok {
		c.Error("wrong arguments")
	}
	self.(*runtime.VRequest).EnterAction(act)
	return 0
}

// addFilter makes the methods that add a Lua filter. Only the request that is being
// handled takes one: the filter runs with its globals. guarded is the name that an untrusted
// script must be allowed, "" for none.
func addFilter(guarded string, add func(*runtime.VRequest, *runtime.Filter)) func(*runtime.Call, any) int {
	return func(c *runtime.Call, self any) int {
		if c.L.GetTop() != 2 {
			c.Error("incorrect number of arguments")
		}
		if guarded != "" {
			c.Guard(guarded)
		}
		if self != any(c.VR) {
			c.Errorf("filters can only be added to the request that is being handled")
		}
		object := c.L.Get(2)
		switch object.Type() {
		case lua.LTTable, lua.LTUserData:
		default:
			c.Errorf("a filter must be an object with the method handle, got a %s", object.Type())
		}
		f := c.LuaFilter(object)
		add(c.VR, f)
		return push(c, c.Object(filterObject, f))
	}
}
