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
		`actions = late()`:     true,
		`actions = blocking()`: true,
	} {
		cfg := testConfig(&logBuffer{})
		act := func(name string, run runtime.ActionFunc) runtime.ActionDef {
			return runtime.ActionDef{Name: name, New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) { return run, nil }}
		}
		cfg.Modules = append(cfg.Modules, &runtime.Module{Name: "waits", Actions: []runtime.ActionDef{
			act("late", func(vr *runtime.VRequest) error { vr.LateContext(); return nil }),
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
