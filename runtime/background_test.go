package runtime_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"luaserve/runtime"
)

// workModule has the action work, whose background work says when it begins and ends.
func workModule() (m *runtime.Module, events chan string) {
	events = make(chan string, 10)
	work := runtime.ActionDef{Name: "work", New: func(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
		place := "elsewhere"
		if b.InSite() {
			place = "in the site"
		}
		b.Background(func(ctx context.Context) {
			events <- "begins " + place
			<-ctx.Done()
			events <- "ends"
		})
		return runtime.ActionFunc(func(vr *runtime.VRequest) error { return nil }), nil
	}}
	return &runtime.Module{Name: "work", Actions: []runtime.ActionDef{work}}, events
}

// all returns what has happened so far.
func all(events chan string) string {
	var list []string
	for len(events) > 0 {
		list = append(list, <-events)
	}
	return strings.Join(list, ", ")
}

func TestBackground(t *testing.T) {
	load := func(script string) (*site, chan string) {
		m, events := workModule()
		return load(t, script, m), events
	}
	t.Run("only checked", func(t *testing.T) {
		s, events := load("actions = work()")
		s.Close()
		s.Start()
		if got := all(events); got != "" {
			t.Error(got)
		}
	})
	t.Run("started", func(t *testing.T) {
		s, events := load("actions = { work(), work() }")
		s.Start()
		s.Start()
		first := <-events
		second := <-events
		s.Close()
		if got := first + ", " + second + ", " + all(events); got != "begins in the site, begins in the site, ends, ends" {
			t.Error(got)
		}
	})
	t.Run("by the first request, and later ones", func(t *testing.T) {
		s, events := load("actions = { work(), function(vr) action.work() end }")
		s.get("/")
		got := []string{<-events, <-events}
		s.Close()
		if text := strings.Join(got, ", "); !strings.Contains(text, "begins in the site") || !strings.Contains(text, "begins elsewhere") || all(events) != "ends, ends" {
			t.Error(text)
		}
	})
}

// A probe runs an action and returns what became of it; nobody else hears of it.
func TestProbe(t *testing.T) {
	var ask func(ctx context.Context, a runtime.Action, host, target string) (int, error)
	probed := map[string]runtime.Action{}
	probe := runtime.ActionDef{Name: "probe", Params: []runtime.Param{{Name: "name", Type: runtime.TString}, {Name: "action", Type: runtime.TAction}},
		New: func(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
			ask, probed[args.Str(0)] = b.Prober(), args.Action(1)
			b.Shared("count", func() any {
				b.Observe(runtime.Observer{Begin: func(*runtime.VRequest) { t.Error("an observer heard of it") }})
				return nil
			})
			return args.Action(1), nil
		}}
	s := load(t, `actions = {
		probe("fine", { when(all { request.path:eq "/health", request.host:eq "h", request.method:eq "GET" }, { respond(204) }) }),
		probe("not there", { respond(404, "no") }),
		probe("silent", { header.add("A", "b") }),
		probe("broken", function(vr) error("oh no") end),
	}`, &runtime.Module{Name: "probe", Actions: []runtime.ActionDef{probe}})
	for name, want := range map[string]struct {
		status int
		err    string
	}{"fine": {204, ""}, "not there": {404, ""}, "silent": {0, "did not answer"}, "broken": {0, "oh no"}} {
		status, err := ask(t.Context(), probed[name], "h", "/health")
		if err == nil {
			err = errors.New("")
		}
		if status != want.status || !strings.Contains(err.Error(), want.err) {
			t.Errorf("%s: got %d, %v", name, status, err)
		}
	}
	if log := s.log.String(); log != "" {
		t.Errorf("log:\n%s", log)
	}
}

func TestRetryAfter(t *testing.T) {
	busy := runtime.ActionDef{Name: "busy", New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
		return runtime.ActionFunc(func(*runtime.VRequest) error {
			return &runtime.StatusError{Status: 503, Err: errors.New("busy"), RetryAfter: 1001e6}
		}), nil
	}}
	s := load(t, `actions = busy()`, &runtime.Module{Name: "busy", Actions: []runtime.ActionDef{busy}})
	w := s.answer("/")
	if w.Code != 503 || w.Header().Get("Retry-After") != "2" {
		t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
}
