package runtime_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

func loadWithBudget(t *testing.T, budget time.Duration, script string, extra ...*runtime.Module) *site {
	t.Helper()
	log := &logBuffer{}
	cfg := testConfig(log, extra...)
	cfg.LuaBudget = budget
	p, err := runtime.Load(writeScript(t, "setup.lua.states(1)\n"+say+script), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &site{p, log}
}

func (s *site) ask(path string) <-chan string {
	answer := make(chan string, 1)
	go func() { _, body := s.get(path); answer <- body }()
	return answer
}

func TestTimeoutSparesCallsThatWait(t *testing.T) {
	s := loadWithBudget(t, 100*time.Millisecond, `
local function wait() for _ = 1, 8 do test.wait() end end
local function work() wait(); local n = 0; for i = 1, 1000 do n = n + i end; return n end
actions = {
  when(request.path:eq "/spin", function() while true do end end),
  when(request.path:eq "/plain", function(vr) say(vr, work()) end),
  when(request.path:eq "/co", function(vr) say(vr, coroutine.wrap(function() return coroutine.wrap(work)() end)()) end),
}`, waitModule(func() { time.Sleep(50 * time.Millisecond) }))
	for _, path := range []string{"/plain", "/co"} {
		var body string
		for range 5 { // as getInTime does, but for what spins
			before := s.timeUps()
			answer := s.ask(path)
			time.Sleep(70 * time.Millisecond)
			s.get("/spin")
			s.get("/nothing")
			if body = <-answer; s.timeUps() == before+1 {
				break
			}
		}
		if body != "500500" {
			t.Errorf("%s: body %q\n%s", path, body, s.log)
		}
	}
}

func TestCoroutineOutlivesItsRequest(t *testing.T) {
	var s *site
	var got string
	for range 5 { // as getInTime does; a coroutine that was ended does not go on
		s, got = loadWithBudget(t, 50*time.Millisecond, `
local gen
actions = function(vr)
  gen = gen or coroutine.wrap(function() local i = 0; while true do i = i + 1; coroutine.yield(i) end end)
  say(vr, gen())
end`), ""
		for range 3 {
			_, body := s.get("/")
			got += body
			time.Sleep(120 * time.Millisecond)
		}
		if s.timeUps() == 0 {
			break
		}
	}
	if got != "123" {
		t.Errorf("got %q\n%s", got, s.log)
	}
}

func TestCoroutineOfTheLoadHasABudget(t *testing.T) {
	s := loadWithBudget(t, 100*time.Millisecond, `
local co = coroutine.wrap(function() while true do end end)
actions = function() co() end`)
	select {
	case <-s.ask("/"):
	case <-time.After(20 * time.Second):
		t.Fatal("a coroutine that was made while loading runs without a time budget")
	}
	if !strings.Contains(s.log.String(), "time budget") {
		t.Errorf("the log does not say why:\n%s", s.log)
	}
}

// A coroutine that waits for one request is not resumed by another one.
func TestWaitingCoroutineIsNotResumed(t *testing.T) {
	inside, release := make(chan bool, 2), make(chan bool)
	wait := waitModule(func() {
		inside <- true
		<-release
	})
	s := loadWithBudget(t, time.Minute, `
local co = coroutine.create(function() while true do test.wait(); coroutine.yield("v") end end)
actions = {
  when(request.path:eq "/other", function(vr) say(vr, coroutine.wrap(function() return 1 end)()) end),
  when(request.path:eq "/status", function(vr) say(vr, coroutine.status(co)) end),
  function(vr) local ok, v = coroutine.resume(co); say(vr, tostring(ok) .. v) end,
}`, wait)
	first := s.ask("/1")
	<-inside
	for _, step := range [][2]string{{"/other", "1"}, {"/status", "normal"}, {"/2", "falsecan not resume a running thread"}} {
		if _, body := s.get(step[0]); body != step[1] {
			t.Errorf("%s: body %q, want %q\n%s", step[0], body, step[1], s.log)
		}
	}
	close(release)
	if body := <-first; body != "truev" {
		t.Errorf("the first request got %q\n%s", body, s.log)
	}
	if _, body := s.get("/3"); body != "truev" {
		t.Errorf("the third request got %q\n%s", body, s.log)
	}
}

func TestCoroutineLibrary(t *testing.T) {
	s := loadWithBudget(t, time.Minute, `
actions = function(vr)
  local out = {}
  local function put(...) for i = 1, select("#", ...) do out[#out + 1] = tostring((select(i, ...))) end end
  put(tostring(coroutine.running()))
  local outer
  outer = coroutine.create(function(a, b)
    put(a, b, coroutine.status(outer), coroutine.running() == outer)
    local inner = coroutine.wrap(function() put(coroutine.status(outer)); put(coroutine.resume(outer)); error("inner") end)
    put(pcall(inner))
    put(pcall(inner))
    put(coroutine.yield("y"))
    error({})
  end)
  put(coroutine.resume(outer, 1, 2))
  put(coroutine.status(outer), (coroutine.resume(outer, "again")), coroutine.status(outer))
  put(coroutine.resume(outer))
  say(vr, table.concat(out, " "))
end`)
	_, body := s.get("/")
	// the messages of errors begin with the place
	body = regexp.MustCompile(`\S+/site\.lua:\d+: `).ReplaceAllString(body, "")
	want := "nil 1 2 running true normal false can not resume a running thread false inner false can not resume a dead thread " +
		"true y again suspended false dead false can not resume a dead thread"
	if body != want {
		t.Errorf("body\n%q, want\n%q\n%s", body, want, s.log)
	}
}

// The text of an error object is not made by running Lua after the call.
func TestErrorObjectIsNotRun(t *testing.T) {
	s := loadWithBudget(t, time.Minute, `
local function spin() while true do end end
actions = {
  when(request.path:eq "/spin", function() error(setmetatable({}, { __tostring = spin })) end),
  when(request.path:eq "/text", function() error({ message = "my own words" }) end),
  when(request.path:eq "/list", function() error({ "first words" }) end),
}`)
	for _, path := range []string{"/spin", "/text", "/list"} {
		select {
		case <-s.ask(path):
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: __tostring holds the state for ever", path)
		}
	}
	for _, want := range []string{"an error object: a table", "my own words", "first words"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, s.log)
		}
	}
}

func TestFunctionEnvironmentIsNotKept(t *testing.T) {
	for _, set := range []string{`rawset(getfenv(1), "user", "alice")`, `setmetatable(getfenv(1), { __index = function() return "alice" end })`} {
		s := loadWithBudget(t, time.Minute, `
actions = { when(request.path:eq "/set", function(vr) local say = say; `+set+`; say(vr, "set") end), function(vr) say(vr, tostring(user)) end }`)
		s.get("/set")
		if _, body := s.get("/"); body != "nil" {
			t.Errorf("%s: another request sees %q\n%s", set, body, s.log)
		}
	}
}
