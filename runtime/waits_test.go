package runtime_test

import (
	"testing"

	"luaserve/runtime"
)

// waitingExchange counts how often it is told that its request waits.
type waitingExchange struct {
	fakeExchange
	waits int
}

func (e *waitingExchange) Waits() { e.waits++ }

// A front end hears that a request is about to wait before it does, and only then.
func TestWaits(t *testing.T) {
	for script, want := range map[string]bool{
		`actions = respond "x"`: false,
		`actions = { function(vr) vr:handle_direct(); vr.resp.status = 200 end }`: false,
		`actions = saying()`:   true,
		`actions = blocking()`: true,
	} {
		cfg := testConfig(&logBuffer{})
		act := func(name string, run runtime.ActionFunc) runtime.ActionDef {
			return runtime.ActionDef{Name: name, New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) { return run, nil }}
		}
		cfg.Modules = append(cfg.Modules, &runtime.Module{Name: "waits", Actions: []runtime.ActionDef{
			act("saying", func(vr *runtime.VRequest) error { vr.Waits(); return nil }),
			act("blocking", func(vr *runtime.VRequest) error { vr.Blocking(func() {}); return nil }),
		}})
		p, err := runtime.Load(writeScript(t, script), cfg)
		if err != nil {
			t.Fatal(err)
		}
		ex := &waitingExchange{fakeExchange: fakeExchange{target: "/"}}
		p.Handle(ex).Close()
		p.Close()
		if (ex.waits > 0) != want {
			t.Errorf("%s: told %d times", script, ex.waits)
		}
	}
}

// tellingExchange has something done when its request waits.
type tellingExchange struct {
	fakeExchange
	told func()
}

func (e *tellingExchange) Waits() { e.told() }

// A request that meets a busy Lua state says that it waits, so that its front end serves
// others meanwhile; one that finds the state free does not.
func TestWaitsForABusyState(t *testing.T) {
	cfg := testConfig(&logBuffer{})
	busy, free := make(chan struct{}), make(chan struct{})
	cfg.Modules = append(cfg.Modules, &runtime.Module{Name: "hold", Objects: []*runtime.Object{{
		Name: "holder", Global: "holder",
		Methods: []runtime.Method{{Name: "hold", Run: func(*runtime.Call, any) int {
			close(busy)
			<-free // with the lock of the state, as Lua code that computes
			return 0
		}}},
	}}})
	p, err := runtime.Load(writeScript(t, `setup.lua.states(1)
actions = function(vr) if vr.req.uri.path == "/hold" then holder.hold() end vr:handle_direct(); vr.resp.status = 200 end`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	holding := make(chan int)
	go func() {
		reply := p.Handle(&tellingExchange{fakeExchange{target: "/hold"}, func() { t.Error("the first request says that it waits") }})
		status := reply.Status
		reply.Close()
		holding <- status
	}()
	<-busy
	told := 0
	reply := p.Handle(&tellingExchange{fakeExchange{target: "/"}, func() {
		if told++; told == 1 {
			close(free) // nothing else ends the first request
		}
	}})
	if status := <-holding; status != 200 || reply.Status != 200 || told == 0 {
		t.Errorf("told %d times, status %d and %d", told, status, reply.Status)
	}
	reply.Close()
}
