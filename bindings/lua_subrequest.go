package bindings

import (
	"bytes"
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// subrequestObject is what vr:subrequest returns.
var subrequestObject = &runtime.Object{
	Name: "subrequest",
	Doc:  "The answer of an action that was run on a copy of the request.",
	Fields: []runtime.Attribute{
		{Name: "status", Type: "number", Doc: "Status code of the answer.",
			Get: func(_ *runtime.Call, self any) lua.LValue {
				return lua.LNumber(self.(*subResponse).status)
			}},
		{Name: "headers", Type: "headers", Doc: "Header fields of the answer.",
			Get: func(c *runtime.Call, self any) lua.LValue {
				return c.Object(headersObject, self.(*subResponse).header)
			}},
		{Name: "body", Type: "string", Doc: "Body of the answer. It is read when it is first asked for; an incomplete one is an error.",
			Get: subrequestBody},
	},
}

// maxSubrequests bounds subrequests of subrequests.
const maxSubrequests = 8

// subResponse is the answer of a subrequest. Its body is read when the script asks for it.
type subResponse struct {
	status int
	header *runtime.Header
	reply  *runtime.Reply // nil when the body was read
	body   bytes.Buffer
	err    error
}

func vrSubrequest(c *runtime.Call, self any) int {
	if c.L.GetTop() != 2 {
		c.Error("incorrect number of arguments")
	}
	act, ok := c.LuaAction(2)
	if !ok {
		c.Errorf("vr:subrequest expects an action, got a %s; action.list{…} makes one of functions", c.L.Get(2).Type())
	}
	vr := self.(*runtime.VRequest)
	if vr.SubrequestDepth() >= maxSubrequests {
		c.Errorf("vr:subrequest: %d requests wait for each other already", maxSubrequests+1)
	}
	res := &subResponse{}
	blocking(c, func() { res.reply = vr.Subrequest(vr.Context(), act) })
	res.status, res.header = res.reply.Status, res.reply.Header
	vr.OnFinish(res.close)
	return push(c, c.Object(subrequestObject, res))
}

func subrequestBody(c *runtime.Call, self any) lua.LValue {
	res := self.(*subResponse)
	if res.reply != nil {
		limit := c.VR.Program().MaxBufferedBody()
		blocking(c, func() {
			res.err = res.reply.WriteBody(&boundedWriter{&res.body, limit}, nil)
			res.close()
		})
	}
	if res.err != nil {
		c.Errorf("the body of the subrequest is incomplete: %s", res.err)
	}
	return lua.LString(res.body.String())
}

// close gives back what the subrequest holds: a backend's connection, its filters.
func (r *subResponse) close() {
	if r.reply != nil {
		r.reply.Close()
		r.reply = nil
	}
}

// boundedWriter refuses what is more than max bytes.
type boundedWriter struct {
	buf *bytes.Buffer
	max int64
}

func (w *boundedWriter) Write(p []byte) (int, error) {
	if int64(w.buf.Len()+len(p)) > w.max {
		return 0, fmt.Errorf("it is larger than %d bytes", w.max)
	}
	return w.buf.Write(p)
}
