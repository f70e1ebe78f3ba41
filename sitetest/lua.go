package sitetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"

	"luaserve/explain"
	"luaserve/runtime"
	"luaserve/runtime/luastring"
)

// oneTest is one test of a file. Each has a Lua state and a program of its own, so that none
// sees what another one left behind.
type oneTest struct {
	file     string
	name     string
	index    int // among the tests of the file, names need not differ
	line     int
	options  Options
	coverage *coverages

	L        *lua.LState
	lua      sync.Mutex // held while Lua runs: backends call back in goroutines of their own
	ctx      context.Context
	dir      string // of the overlay; "" before the first file
	site     string
	now      time.Time // zero while the clock is the real one
	fakes    fakes
	prog     *runtime.Program
	rules    []Missed
	numbers  map[*runtime.Node]number
	answers  *lua.LTable // the metatable of headers
	last     *explain.Result
	log      []string
	failed   *failure
	skipped  string
	finished bool
}

// failure is why a test failed. It is raised as a Lua error.
type failure struct{ msg string }

// skip is raised to end a test that cannot run.
type skip struct{ reason string }

// listTests runs a file to learn the names of its tests.
func listTests(ctx context.Context, file string, o Options) ([]*oneTest, error) {
	var tests []*oneTest
	L, err := newState(ctx, file, o.Timeout, func(L *lua.LState) int {
		name := L.CheckString(1)
		L.CheckFunction(2)
		tests = append(tests, &oneTest{file: file, name: name, index: len(tests), line: callerLine(L), options: o})
		return 0
	})
	if err != nil {
		return nil, err
	}
	L.Close()
	if len(tests) == 0 {
		return nil, fmt.Errorf(`%s: no tests; expected test("what is tested", function(t) … end)`, file)
	}
	return tests, nil
}

// newState runs a file of tests with test as the function of that name.
func newState(ctx context.Context, file string, timeout time.Duration, test lua.LGFunction) (*lua.LState, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	L := lua.NewState(lua.Options{RegistrySize: 1024, RegistryMaxSize: 1 << 18, RegistryGrowStep: 4096})
	luastring.Open(L, 0)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	L.SetContext(ctx)
	L.SetGlobal("test", L.NewFunction(test))
	fn, err := L.Load(strings.NewReader(string(src)), file)
	if err == nil {
		L.Push(fn)
		err = L.PCall(0, 0, nil)
	}
	L.RemoveContext()
	if err != nil {
		L.Close()
		return nil, errors.New(firstOf(err))
	}
	return L, nil
}

// firstOf returns the message of a Lua error without its traceback.
func firstOf(err error) string {
	var api *lua.ApiError
	if errors.As(err, &api) && api.Object != nil {
		return strings.TrimSpace(api.Object.String())
	}
	return strings.TrimSpace(err.Error())
}

// callerLine is the line of the Lua function that is calling.
func callerLine(L *lua.LState) int {
	for level := 1; ; level++ {
		dbg, ok := L.GetStack(level)
		if !ok {
			return 0
		}
		if _, err := L.GetInfo("l", dbg, lua.LNil); err != nil {
			return 0
		}
		if dbg.CurrentLine > 0 {
			return dbg.CurrentLine
		}
	}
}

// run runs the test.
func (t *oneTest) run(ctx context.Context) Outcome {
	begun := time.Now()
	out := Outcome{File: t.file, Name: t.name, Line: t.line}
	ctx, cancel := context.WithTimeout(ctx, t.options.Timeout)
	defer cancel()
	t.ctx = ctx
	t.site = strings.TrimSuffix(t.file, suffix) + ".lua"
	defer t.clean()
	if err := t.call(ctx); err != nil {
		out.Failed = err.Error()
	}
	out.Skipped, out.Log, out.Took = t.skipped, t.log, time.Since(begun)
	return out
}

// call runs the function of the test.
func (t *oneTest) call(ctx context.Context) error {
	var fn *lua.LFunction
	n := 0
	L, err := newState(ctx, t.file, t.options.Timeout, func(L *lua.LState) int {
		if n == t.index {
			fn = L.CheckFunction(2)
		}
		n++
		return 0
	})
	if err != nil {
		return err
	}
	t.L = L
	if fn == nil {
		return fmt.Errorf("%s: the file has other tests than the first time it was run", t.file)
	}
	t.answers = newHeaderMeta(L)
	t.lua.Lock()
	defer t.lua.Unlock()
	L.SetContext(ctx)
	L.Push(fn)
	L.Push(t.object())
	err = L.PCall(1, 0, nil)
	t.finished = true
	switch {
	case t.failed != nil: // also when the test has caught it
		return errors.New(t.failed.msg)
	case t.skipped != "":
		return nil
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%s:%d: the test took longer than %s", t.file, t.line, t.options.Timeout)
	case err != nil:
		return errors.New(firstOf(err) + t.about())
	}
	return nil
}

func (t *oneTest) clean() {
	t.fakes.close()
	if t.prog != nil {
		t.prog.Close()
	}
	if t.L != nil {
		t.lua.Lock()
		t.L.Close()
		t.lua.Unlock()
	}
	if t.dir != "" {
		os.RemoveAll(t.dir)
	}
}

// program loads the site when the first request needs it: what a test prepares comes before.
func (t *oneTest) program() (*runtime.Program, error) {
	if t.prog != nil {
		return t.prog, nil
	}
	p, err := t.options.Load(t.site, Surroundings{Now: t.clock, Overlay: t.dir, Connect: t.fakes.connect})
	if err != nil {
		return nil, err
	}
	t.prog = p
	t.rules, t.numbers = rulesOf(p)
	return p, nil
}

// clock is the clock of the site.
func (t *oneTest) clock() time.Time {
	if t.now.IsZero() {
		return time.Now()
	}
	return t.now
}

// fail ends the test with a message that names the line.
func (t *oneTest) fail(L *lua.LState, format string, args ...any) {
	t.failed = &failure{fmt.Sprintf("%s:%d: ", t.file, callerLine(L)) + fmt.Sprintf(format, args...) + t.about()}
	ud := L.NewUserData()
	ud.Value = t.failed
	L.Error(ud, 1)
}

// about tells what the pipeline did with the last request.
func (t *oneTest) about() string {
	r := t.last
	if r == nil {
		return ""
	}
	out := fmt.Sprintf("\n  the last request was %s %s: %d, ", r.Method, r.URL, r.Status)
	switch d := r.Decided; {
	case d == nil:
		return out + "no rule has answered"
	case d.Failed != "":
		return out + fmt.Sprintf("because of an error at %s: %s: %s", runtime.Pos{File: d.File, Line: d.Line}, d.Name, d.Failed)
	default:
		return out + fmt.Sprintf("decided at %s: %s", runtime.Pos{File: d.File, Line: d.Line}, d.Name)
	}
}
