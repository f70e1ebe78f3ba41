package runtime_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
)

// site is a loaded script that a test can ask.
type site struct {
	*runtime.Program
	log *logBuffer
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func writeScript(t testing.TB, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func testConfig(log *logBuffer, extra ...*runtime.Module) runtime.Config {
	return runtime.Config{
		Modules: append(bindings.Modules(), extra...), Scripts: scripts.FS,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

func load(t *testing.T, script string, extra ...*runtime.Module) *site {
	t.Helper()
	log := &logBuffer{}
	p, err := runtime.Load(writeScript(t, script), testConfig(log, extra...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &site{p, log}
}

func (s *site) get(path string) (status int, body string) {
	w := s.answer(path)
	b, _ := io.ReadAll(w.Body)
	return w.Code, string(b)
}

// timeUps is how often the time budget for Lua was used up so far.
func (s *site) timeUps() int { return strings.Count(s.log.String(), "time budget") }

// getInTime is get for what takes no time at all. While the time budget ends it nevertheless it is
// asked for again, five times at most: the machine has stood still.
func (s *site) getInTime(path string) (status int, body string) {
	for range 5 {
		before := s.timeUps()
		if status, body = s.get(path); s.timeUps() == before {
			break
		}
	}
	return status, body
}

func (s *site) answer(path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://host"+path, nil))
	return w
}

// wantStates checks how many states the script's heap got.
func (s *site) wantStates(t *testing.T, want int) {
	t.Helper()
	n, forced := s.States()
	if n != want {
		t.Errorf("%d Lua states, want %d (forced by %v)", n, want, forced)
	}
}

const say = `
local function say(vr, text)
  if vr:handle_direct() then vr.resp.status = 200; vr.out:add(tostring(text)) end
end
`

// parallel runs n requests at once.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i)
		}()
	}
	wg.Wait()
}

func TestCounterInAnUpvalueCounts(t *testing.T) {
	s := load(t, say+`
local n = 0
actions = function(vr) local m = n for i = 1, 1000 do m = m + 0 end n = m + 1; say(vr, n) end`)
	s.wantStates(t, 1)
	if _, forced := s.States(); forced == nil || forced.Line != 7 {
		t.Errorf("the line that forced one state is %v, want 7", forced)
	}
	parallel(100, func(int) { s.get("/") })
	if _, body := s.get("/"); body != "101" {
		t.Errorf("after 100 requests at once the counter says %s, want 101", body)
	}
}

// Closures of a forked heap still share their upvalues and see the tables of the script.
func TestForkedHeap(t *testing.T) {
	s := load(t, say+`
local config = { greeting = "hello", nested = { list = { 1, 2, 3 } } }
local class = {}
class.__index = class
function class:text() return self.word .. #config.nested.list end
local object = setmetatable({ word = config.greeting }, class)
string.mine = "changed"
_G.shared = "global"
forgotten = "load time"
actions = function(vr) say(vr, object:text() .. string.mine .. shared .. tostring(forgotten)) end`)
	s.wantStates(t, goruntime.GOMAXPROCS(0))
	parallel(200, func(int) {
		if _, body := s.get("/"); body != "hello3changedglobalnil" {
			t.Errorf("body %q", body)
		}
	})
}

func TestLoadTimeWrites(t *testing.T) {
	tests := map[string]struct {
		script string
		single bool
	}{
		"nothing":                {`actions = function(vr) say(vr, 1) end`, false},
		"own local":              {`actions = function(vr) local n = 0; n = n + 1; say(vr, n) end`, false},
		"closure over own local": {`actions = function(vr) local n = 0; local f = function() n = n + 1 end; f(); say(vr, n) end`, false},
		"own table":              {`actions = function(vr) local t = {}; t.x = 1; table.insert(t, 2); say(vr, #t) end`, false},
		"own global":             {`actions = function(vr) g = {}; g.x = 1; say(vr, g.x) end`, false},
		"REQ":                    {`actions = function(vr) REQ.n = 1; say(vr, REQ.n) end`, false},
		"read a table":           {`local t = {1}; actions = function(vr) for k, v in pairs(t) do say(vr, v) end end`, false},
		"a factory's local":      {`local function new() local n = 0; return function(vr) n = n + 1; say(vr, n) end end; actions = new()`, true},
		"upvalue":                {`local n; actions = function(vr) n = vr.req.uri.path; say(vr, n) end`, true},
		"table field":            {`local t = {}; actions = function(vr) t.n = (t.n or 0) + 1; say(vr, t.n) end`, true},
		"nested table":           {`local t = { s = {} }; actions = function(vr) t.s.n = 1; say(vr, t.s.n) end`, true},
		"table.insert":           {`local t = {}; actions = function(vr) table.insert(t, 1); say(vr, #t) end`, true},
		"_G":                     {`actions = function(vr) _G.n = (_G.n or 0) + 1; say(vr, n) end`, true},
		"library table":          {`setup.lua.sandbox "trusted"; actions = function(vr) string.n = 1; say(vr, 1) end`, true},
		"inner function":         {`local n = 0; actions = function(vr) local f = function() n = n + 1 end; f(); say(vr, n) end`, true},
		"local alias, captured":  {`local t = {}; actions = function(vr) local a = t; local f = function() a.n = 1; a = nil end; f(); say(vr, t.n) end`, true},
		"helper with parameter":  {`local t = {}; local function put(x) x.n = 1 end; actions = function(vr) put(t); say(vr, t.n) end`, true},
		"through pcall":          {`local t = {}; local function put(x) x.n = 1 end; actions = function(vr) pcall(put, t); say(vr, t.n) end`, true},
		"method":                 {`local t = {}; function t:put() self.n = 1 end; actions = function(vr) t:put(); say(vr, t.n) end`, true},
		"reading helper":         {`local t = {}; local function get(x) return x.n end; actions = function(vr) say(vr, get(t)) end`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := load(t, say+tt.script)
			want := goruntime.GOMAXPROCS(0)
			if tt.single {
				want = 1
			}
			s.wantStates(t, want)
			if status, body := s.get("/"); status != 200 {
				t.Errorf("status %d: %s\n%s", status, body, s.log)
			}
		})
	}
}

func TestSetupStatesOverrules(t *testing.T) {
	s := load(t, say+`setup.lua.states(3); local n = 0; actions = function(vr) n = n + 1; say(vr, n) end`)
	s.wantStates(t, 3)
}

func TestGlobalsOfHandlers(t *testing.T) {
	s := load(t, say+`
x = "load"
actions = {
  function(vr) x = (x or "") .. "a"; REQ.n = (REQ.n or 0) + 1; vr.env["A"] = x end,
  function(vr) REQ.n = REQ.n + 1; say(vr, vr.env["A"] .. tostring(x) .. REQ.n .. type(setup)) end,
}`)
	for range 3 {
		if _, body := s.get("/"); body != "anil2nil" {
			t.Errorf("body %q, want anil2nil", body)
		}
	}
}

// waitModule has the function test.wait, which waits for as long as wait does.
func waitModule(wait func()) *runtime.Module {
	return &runtime.Module{Name: "test", Objects: []*runtime.Object{{
		Name: "test", Global: "test",
		Methods: []runtime.Method{{Name: "wait", Run: func(c *runtime.Call, _ any) int {
			c.VR.Blocking(wait)
			return 0
		}}},
	}}}
}

// Two hundred handlers that wait do not wait for each other, on one state.
func TestWaitingReleasesTheState(t *testing.T) {
	var inside, most atomic.Int32
	enough := make(chan struct{})
	end := sync.OnceFunc(func() {
		most.Store(inside.Load())
		close(enough)
	})
	defer time.AfterFunc(20*time.Second, end).Stop()
	wait := waitModule(func() {
		if inside.Add(1) >= 50 { // nobody has left so far
			end()
		}
		<-enough
	})
	s := load(t, say+`
setup.lua.states(1)
actions = function(vr)
  mine = vr.req.uri.path
  local co = coroutine.wrap(function() coroutine.yield(1); coroutine.yield(2) end)
  local ok = pcall(function() test.wait() end)
  say(vr, tostring(ok) .. mine .. co() .. co())
end`, wait)
	parallel(200, func(i int) {
		path := fmt.Sprintf("/%d", i)
		if _, body := s.get(path); body != "true"+path+"12" {
			t.Errorf("%s: body %q\n%s", path, body, s.log)
		}
	})
	if most.Load() < 50 {
		t.Errorf("at most %d of 200 handlers waited at once", most.Load())
	}
}

func TestRunawayHandlerIsStopped(t *testing.T) {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.LuaBudget = 200 * time.Millisecond
	p, err := runtime.Load(writeScript(t, say+`
local function spin() while true do end end
actions = {
  when(request.path:eq "/loop", spin),
  when(request.path:eq "/pcall", function() while true do pcall(spin) end end),
  when(request.path:eq "/recursion", function() local function f() return 1 + f() end; f() end),
  function(vr) say(vr, "fine") end,
}`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &site{p, log}
	for _, path := range []string{"/loop", "/pcall", "/recursion", "/loop"} {
		if status, body := s.get(path); status != 500 {
			t.Errorf("%s: status %d, body %q", path, status, body)
		}
		if _, body := s.getInTime("/"); body != "fine" {
			t.Errorf("after %s: body %q\n%s", path, body, s.log)
		}
	}
	if !strings.Contains(s.log.String(), "time budget") {
		t.Errorf("the log does not say why:\n%s", s.log)
	}
}

func TestKeptObjectIsDead(t *testing.T) {
	s := load(t, say+`
local kept
actions = function(vr)
  if kept then say(vr, tostring(pcall(function() return kept.req end))) else kept = vr; say(vr, "kept") end
end`)
	s.get("/")
	if _, body := s.get("/"); body != "false" {
		t.Errorf("an object of a finished request was used: %q", body)
	}
}

func TestLuaErrorIsA500WithTraceback(t *testing.T) {
	s := load(t, `
local function inner() error("boom") end
actions = { function(vr) inner() end, respond "must not be reached" }`)
	status, body := s.get("/")
	if status != 500 || strings.Contains(body, "boom") {
		t.Errorf("status %d, body %q", status, body)
	}
	for _, want := range []string{"site.lua:2: boom", "stack traceback"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, s.log)
		}
	}
}

// Looking a filter's method up runs Lua too: an error there is an error of the request.
func TestFilterWithBrokenIndex(t *testing.T) {
	s := load(t, say+`
local broken = setmetatable({}, { __index = function() error("no methods here") end })
actions = { function(vr) vr:add_filter_out(broken) end, respond "x" }`)
	if status, _ := s.get("/"); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	if !strings.Contains(s.log.String(), "no methods here") {
		t.Errorf("the log does not say why:\n%s", s.log)
	}
}

func TestHandlerFileIsLoadedAgain(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "handler.lua")
	write := func(text string, age time.Duration) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(say+`actions = function(vr) say(vr, "one") end`, time.Hour)
	s := load(t, fmt.Sprintf(`actions = lua.handler(%q, { ttl = 1 })`, file))
	if _, body := s.get("/"); body != "one" {
		t.Fatalf("body %q", body)
	}
	write("this is no Lua", time.Minute)
	waitFor(t, func() bool { s.get("/"); return strings.Contains(s.log.String(), "could not be loaded again") })
	if _, body := s.get("/"); body != "one" {
		t.Errorf("a broken file took the place of the good one: %q", body)
	}
	write(say+`actions = function(vr) say(vr, "two") end`, 0)
	waitFor(t, func() bool { _, body := s.get("/"); return body == "two" })
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Error("it did not happen within 20 s")
}

func TestPanicIsA500(t *testing.T) {
	broken := &runtime.Module{Name: "broken", Actions: []runtime.ActionDef{{Name: "broken", New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
		return runtime.ActionFunc(func(*runtime.VRequest) error { panic("oops") }), nil
	}}}}
	s := load(t, `actions = { broken(), respond "must not be reached" }`, broken)
	if status, _ := s.get("/"); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
}
