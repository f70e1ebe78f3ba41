package runtime

import (
	"context"
	"fmt"
	"log/slog"

	lua "github.com/yuin/gopher-lua"
)

// NewLuaFilter makes a filter of a Lua object with the method handle(vr, outq, inq) and
// maybe finished(). scope identifies whose globals it uses.
func (vr *VRequest) NewLuaFilter(obj lua.LValue, p *pin, scope any) *Filter {
	f := &Filter{In: &ChunkQueue{}, Out: &ChunkQueue{}}
	st := p.state
	f.handle = func() error {
		queue := st.heap.prog.registry.queueObject
		out, in := p.object(queue, f.Out), p.object(queue, f.In)
		results, err := st.invoke(&call{vr: vr, pin: p, handler: scope}, obj, "handle", 1, p.vrObject(), out, in)
		if err != nil {
			return fmt.Errorf("filter: %w", err)
		}
		if r := handlerResult(results[0]); r == HandlerError || r < 0 || r > HandlerError {
			return fmt.Errorf("the filter returned %d", r)
		}
		return nil
	}
	vr.OnFinish(func() {
		if _, err := st.invoke(&call{vr: vr, pin: p, handler: scope}, obj, optionalMethod, 0); err != nil {
			vr.Log().Log(context.Background(), slog.LevelError, "filter: finished failed", "error", err)
		}
	})
	return f
}

// LuaFilter is NewLuaFilter for the Lua call that is running.
func (c *Call) LuaFilter(obj lua.LValue) *Filter {
	return c.VR.NewLuaFilter(obj, c.st.current.pin, &struct{ obj lua.LValue }{obj})
}
