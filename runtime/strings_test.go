package runtime_test

import (
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

// A pattern that would take years ends with the time budget of its call, whatever it is
// wrapped in, and the state serves on. The subject is as long as a header may be.
func TestPatternEndsWithTheBudget(t *testing.T) {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.LuaBudget = 50 * time.Millisecond
	p, err := runtime.Load(writeScript(t, say+`
local pattern = "(.-)(.-)(.-)(.-)(.-)(.-)(.-)(.-)z$"
local function find() return (("ab"):rep(8192)):find(pattern) end
setup.lua.states(1)
actions = {
  when(request.path:eq "/find", find),
  when(request.path:eq "/gsub", function() return (("ab"):rep(8192)):gsub(pattern, "") end),
  when(request.path:eq "/gmatch", function() for _ in (("ab"):rep(8192)):gmatch(pattern) do end end),
  when(request.path:eq "/pcall", function() while true do pcall(find) end end),
  when(request.path:eq "/coroutine", function() while true do coroutine.resume(coroutine.create(find)) end end),
  when(request.path:eq "/wrap", function() return coroutine.wrap(function() return pcall(find) end)() end),
  when(request.path:eq "/handler", function() return xpcall(find, find) end),
  when(request.path:eq "/replacement", function() return ("abc"):gsub(".", find) end),
  function(vr) say(vr, "fine") end,
}`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &site{p, log}
	for _, path := range []string{"/find", "/gsub", "/gmatch", "/pcall", "/coroutine", "/wrap", "/handler", "/replacement"} {
		before := s.timeUps()
		if status, body := s.get(path); status != 500 || s.timeUps() != before+1 {
			t.Errorf("%s: status %d, body %q\n%s", path, status, body, s.log)
		}
		if _, body := s.getInTime("/"); body != "fine" {
			t.Errorf("after %s: body %q\n%s", path, body, s.log)
		}
	}
}

func TestMaxLuaString(t *testing.T) {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.MaxLuaString = 1000
	p, err := runtime.Load(writeScript(t, say+`
actions = function(vr) say(vr, tostring(pcall(string.rep, "x", 1000)) .. tostring(pcall(string.rep, "x", 1001))) end`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, body := (&site{p, log}).get("/"); body != "truefalse" {
		t.Errorf("body %q, want truefalse", body)
	}
}

// What a handler collects without end is given up, whatever it is wrapped in, and the
// server goes on.
func TestMemoryBombs(t *testing.T) {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.LuaBudget = time.Minute
	cfg.MaxLuaMemory = 96 << 20
	p, err := runtime.Load(writeScript(t, say+`
local function list() local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end
actions = {
  when(request.path:eq "/table", list),
  when(request.path:eq "/pcall", function() return pcall(list) end),
  when(request.path:eq "/string", function() local s = "x" while true do s = s .. s end end),
  when(request.path:eq "/garbage", function(vr)
    for i = 1, 2000 do local s = ("x"):rep(1e5) .. i end
    say(vr, "fine")
  end),
  function(vr) say(vr, "fine") end,
}`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &site{p, log}
	for _, path := range []string{"/table", "/pcall", "/string"} {
		if status, body := s.get(path); status != 500 {
			t.Errorf("%s: status %d, body %q", path, status, body)
		}
		if _, body := s.get("/garbage"); body != "fine" { // 200 MB, but none of it is kept
			t.Errorf("after %s: body %q\n%s", path, body, s.log)
		}
	}
	// The longest string is not far from what a call may take, with those that led to it; which of
	// the two is met first depends on when garbage is collected.
	const memory, length = "the memory that a Lua call may take is used up", "resulting string too large"
	if n := strings.Count(s.log.String(), memory); n < 2 || n+strings.Count(s.log.String(), length) != 3 {
		t.Errorf("not all of 3 errors say why:\n%s", s.log)
	}
}

// Lists as long as those of Lua 5.1 fit on the stack, and longer ones are an error.
func TestLongArgumentLists(t *testing.T) {
	s := load(t, say+`
local t = {} for i = 1, 7000 do t[i] = 65 end
actions = {
  when(request.path:eq "/bomb", function(vr) return say(vr, tostring(pcall(unpack, {}, 1, 1e8))) end),
  function(vr) say(vr, #string.char(unpack(t)) .. " " .. select("#", ("x"):rep(7000):byte(1, -1))) end,
}`)
	for range 2 {
		if _, body := s.get("/"); body != "7000 7000" {
			t.Errorf("body %q", body)
		}
		if _, body := s.get("/bomb"); body != "false" {
			t.Errorf("unpack of 100,000,000 values: %q", body)
		}
	}
}
