package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"luaserve/runtime"
)

// pausingExchange is one whose request may be left alone.
type pausingExchange struct{ fakeExchange }

func (e *pausingExchange) Waits()                                  {}
func (e *pausingExchange) Adopt(nc net.Conn) net.Conn              { return nc }
func (e *pausingExchange) Place() int                              { return 1 }
func (e *pausingExchange) Send(to net.Conn, p []byte) (int, error) { return to.Write(p) }
func (e *pausingExchange) CanPause() bool                          { return true }

// waiting is an action that has to wait n times, and then writes a pattern to the answer. With
// fail it returns an error instead.
type waiting struct {
	n       int
	pattern *runtime.Pattern
	fail    bool
	pauses  *int
}

var here, _ = net.Pipe()

func (w *waiting) Run(vr *runtime.VRequest) error {
	if vr.MayPause() {
		return w.pause(vr, w.n)
	}
	return w.end(vr)
}

func (w *waiting) pause(vr *runtime.VRequest, left int) error {
	*w.pauses++
	return vr.Pause(here, &waitingPause{w, left})
}

func (w *waiting) end(vr *runtime.VRequest) error {
	if w.fail {
		return errors.New("it broke")
	}
	vr.Response.Header.Insert("Seen", w.pattern.Eval(vr, nil))
	return nil
}

type waitingPause struct {
	action *waiting
	left   int
}

func (p *waitingPause) Resume(vr *runtime.VRequest, wait bool) error {
	if p.left > 1 && !wait {
		return p.action.pause(vr, p.left-1)
	}
	return p.action.end(vr)
}

// A request that pauses gets what one gets that waits: order, captures, rewrites, errors with
// their places, whatever the actions stand in; and it does not pause below what knows nothing of
// pausing.
func TestPausing(t *testing.T) {
	rules := `local l = {}
for i = 1, 12 do l[i] = when(request.path:match("^/(r)" .. i .. "$"), { wait("%0" .. i), when(request.path:eq("/r11"), { rewrite { "^.*$", "/r12" } }) }) end
actions = { l, wait "behind" , respond "x" }`
	chain := `local c = when(request.path:eq("/"), { wait "last" }, wait "else")
for i = 1, 12 do c = when(request.path:match("^/(c)" .. i .. "$"), { wait("%1" .. i), wait("%0") }, c) end
actions = { c, wait "behind", respond "x" }`
	for _, tt := range []struct {
		name, script, paths string
		pauses              bool
	}{
		{"alone", `actions = wait "a"`, "/", true},
		{"list", `actions = { wait "a", { wait "b", { wait "c" } }, header.add("Seen", "d"), wait "e", respond "x" }`, "/", true},
		{"captures", `actions = { when(request.path:match "^/(.)(.)", { wait "%1", when(request.path:match "(b)$", { wait "%0%1" }, wait "no"), wait "%2" }), wait "[%1]", respond "x" }`, "/ab /ac /", true},
		{"rules", rules, "/r1 /r5 /r11 /r12 /r13", true},
		{"chain", chain, "/ /c1 /c12 /c13", true},
		{"hosts", `actions = { vhost.map { ["example.net"] = { wait "a", wait "b" } }, wait "c", respond "x" }`, "/", true},
		{"functions", `actions = { function(vr) vr.resp.headers["Seen"] = "f" end, wait "a", function(vr) vr.resp.headers:append("Seen", "g") end, wait "b", respond "x" }`, "/", true},
		{"error", "actions = {\n when(request.path:match '^/(.)', { header.add('X', '1'),\n fail() }),\n respond 'x' }", "/a /", true},
		{"entered", `local a = { wait "a", wait "b" }
actions = { function(vr) if not vr.ctx.done then vr.ctx.done = true; vr:enter_action(a); return lighty.HANDLER_COMEBACK end end, respond "x" }`, "/", false},
		{"unaware", `actions = { unaware { wait "a", { wait "b" } }, respond "x" }`, "/", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pauses := 0
			log := &logBuffer{}
			cfg := testConfig(log, pausingModule(&pauses))
			file := writeScript(t, tt.script)
			p, err := runtime.Load(file, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for _, path := range strings.Fields(tt.paths) {
				for _, wait := range []bool{false, true} {
					before := len(log.String())
					want := outcome(p.Handle(&fakeExchange{target: path}), false)
					middle := len(log.String())
					got := outcome(p.Handle(&pausingExchange{fakeExchange{target: path}}), wait)
					want, got = want+untimed(log.String()[before:middle]), got+untimed(log.String()[middle:])
					if got != want {
						t.Errorf("%s: got\n%s, want\n%s", path, got, want)
					}
				}
			}
			if (pauses > 0) != tt.pauses {
				t.Errorf("it paused %d times", pauses)
			}
		})
	}
}

// untimed leaves the time of a log line out.
func untimed(s string) string {
	before, after, found := strings.Cut(s, "time=")
	if !found {
		return s
	}
	_, after, _ = strings.Cut(after, " ")
	return before + after
}

// outcome goes on with a reply until it is complete, and puts it into words.
func outcome(r *runtime.Reply, wait bool) string {
	closed := false
	r.OnClose(func() { closed = true })
	for r.Paused() != nil {
		r.Resume(wait)
	}
	var out strings.Builder
	fmt.Fprintln(&out, r.Status, r.Length)
	for name, value := range r.Header.All() {
		fmt.Fprintf(&out, "%s: %s\n", name, value)
	}
	if err := r.WriteBody(&out, nil); err != nil {
		fmt.Fprintln(&out, err)
	}
	if r.Close(); !closed {
		io.WriteString(&out, "not closed\n")
	}
	return out.String()
}

func pausingModule(pauses *int) *runtime.Module {
	text := []runtime.Param{{Name: "text", Type: runtime.TPattern}}
	return &runtime.Module{Name: "pausing", Actions: []runtime.ActionDef{
		{Name: "wait", Params: text, New: func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
			return &waiting{n: 2, pattern: args.Pattern(0), pauses: pauses}, nil
		}},
		{Name: "fail", New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
			return &waiting{n: 1, fail: true, pauses: pauses}, nil
		}},
		{Name: "unaware", Params: []runtime.Param{{Name: "inner", Type: runtime.TAction}}, New: func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
			inner := args.Action(0)
			return runtime.ActionFunc(func(vr *runtime.VRequest) error {
				if err := inner.Run(vr); err != nil {
					return err
				}
				vr.Response.Header.Insert("Seen", "behind inner")
				return nil
			}), nil
		}},
	}}
}

// batchedExchange is one whose request was read together with others.
type batchedExchange struct{ pausingExchange }

func (*batchedExchange) Batch() *runtime.Batch { return &runtime.Batch{} }

// What was found out about files when the request was read is not what holds behind a pause: who
// answers may have changed them.
func TestLooksBehindPauses(t *testing.T) {
	var shared []bool
	pauses := 0
	looks := &runtime.Module{Name: "looks", Actions: []runtime.ActionDef{{
		Name: "look",
		New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
			return runtime.ActionFunc(func(vr *runtime.VRequest) error {
				shared = append(shared, vr.Physical.SharesLook())
				return nil
			}), nil
		},
	}}}
	p, err := runtime.Load(writeScript(t, `actions = { look(), wait "a", look(), respond "x" }`), testConfig(&logBuffer{}, looks, pausingModule(&pauses)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 2 { // the second request has the memory of the first
		shared = nil
		outcome(p.Handle(&batchedExchange{pausingExchange{fakeExchange{target: "/"}}}), false)
		if !slices.Equal(shared, []bool{true, false}) {
			t.Errorf("a look that was taken for all is used before and behind the pause: %v", shared)
		}
	}
}

// A late context that was needed belongs to its request for ever; the memory of others is used
// again.
func TestLateContexts(t *testing.T) {
	needed, others := map[context.Context]bool{}, map[context.Context]bool{}
	late := &runtime.Module{Name: "late", Actions: []runtime.ActionDef{{
		Name: "late",
		New: func(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
			return runtime.ActionFunc(func(vr *runtime.VRequest) error {
				ctx := vr.LateContext()
				if needed[ctx] {
					t.Error("a context that was needed is that of another request")
				}
				if vr.Request.URI.Path == "/need" {
					ctx.Done()
					needed[ctx] = true
				} else {
					others[ctx] = true
				}
				return nil
			}), nil
		},
	}}}
	p, err := runtime.Load(writeScript(t, `actions = { late(), respond "x" }`), testConfig(&logBuffer{}, late))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range 100 {
		p.Handle(&fakeExchange{target: []string{"/", "/", "/need"}[i%3]}).Close()
	}
	if len(needed) != 33 || len(others) > 60 {
		t.Errorf("%d contexts that were needed, %d others", len(needed), len(others))
	}
}
