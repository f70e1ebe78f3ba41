package runtime_test

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"luaserve/runtime"
)

// counterModule has the global counter with the methods new and wake, and the action
// counter.done.
func counterModule(concurrent bool) *runtime.Module {
	type counter struct{ n int }
	made := &runtime.Object{Name: "one counter", Concurrent: concurrent, Methods: []runtime.Method{
		{Name: "get", Run: func(c *runtime.Call, self any) int {
			c.L.Push(lua.LNumber(self.(*counter).n))
			return 1
		}}}}
	global := &runtime.Object{Name: "counter", Global: "counter", Methods: []runtime.Method{
		{Name: "new", Run: func(c *runtime.Call, _ any) int {
			n := c.Builder().Shared("counter", func() any { return &counter{7} })
			c.L.Push(c.Value(made, n))
			return 1
		}},
		{Name: "wake", Run: func(c *runtime.Call, _ any) int {
			c.VR.Wake()
			return 0
		}}}}
	done := runtime.ActionDef{Name: "counter.done", New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			vr.Response.Header.Set("X-Done", "yes")
			return nil
		}), nil
	}}
	return &runtime.Module{Name: "counter", Objects: []*runtime.Object{made, global}, Actions: []runtime.ActionDef{done}}
}

// What a script made while it was loaded is shared by all states if it may be.
func TestConcurrentObject(t *testing.T) {
	const script = `setup.lua.states(3)
local c = counter.new()
actions = { counter.done(), function(vr) vr:handle_direct(); vr.resp.status = 200; vr.out:add(tostring(c:get() + counter.new():get())) end }`
	for concurrent, want := range map[bool]int{true: 3, false: 1} {
		s := load(t, script, counterModule(concurrent))
		s.wantStates(t, want)
		parallel(10, func(int) {
			if status, body := s.get("/"); body != "14" {
				t.Errorf("%d %q\n%s", status, body, s.log)
			}
		})
	}
}

// Behind a global object there are the actions that begin with its name, while loading.
func TestActionsBehindGlobal(t *testing.T) {
	for script, want := range map[string]string{
		`actions = counter.don()`:          `site.lua:1: unknown action "counter.don"; did you mean "counter.done"?`,
		`local c = counter.new(); c:got()`: "cannot read attribute got in one counter",
	} {
		if _, err := runtime.Load(writeScript(t, script), testConfig(&logBuffer{}, counterModule(true))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", script, err, want)
		}
	}
	s := load(t, say+`actions = { counter.done(), function(vr) say(vr, select(2, pcall(function() return counter.done end))) end }`, counterModule(true))
	if _, body := s.get("/"); body != "cannot read attribute done in counter" {
		t.Errorf("in a handler: %q", body)
	}
}

// A handler may wait for what has happened already, but not for nothing, and not for ever.
func TestWake(t *testing.T) {
	for script, want := range map[string]string{
		`REQ.n = (REQ.n or 0) + 1
		if REQ.n < 3 then counter.wake(); return lighty.HANDLER_WAIT_FOR_EVENT end
		say(vr, "ran " .. REQ.n)`: "ran 3",
		`if not REQ.n then REQ.n = 1; counter.wake() end; return lighty.HANDLER_WAIT_FOR_EVENT`: "nothing is pending",
		`counter.wake(); return lighty.HANDLER_COMEBACK`:                                        "run again more than 1000 times",
	} {
		s := load(t, say+"actions = function(vr) "+script+" end", counterModule(true))
		if _, body := s.get("/"); !strings.Contains(body+s.log.String(), want) {
			t.Errorf("%s: got %s\n%s", script, body, s.log)
		}
	}
}
