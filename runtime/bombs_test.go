package runtime_test

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"luaserve/runtime"
)

// TestBombs runs what would take for ever, or all memory, or Go's stack, in handlers. Each ends
// with its error, and the next request is served. Without its limit a bomb does not come back,
// or ends the process that tests it.
func TestBombs(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(fifo, os.O_RDWR, 0) // a pipe that stays open and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	const timeUp, memoryUp, tooLarge = "time budget for Lua is used up", "memory that a Lua call may take is used up", "string too large"
	for _, tt := range []struct{ code, want string }{
		// loops
		{`while true do end`, timeUp},
		{`while true do pcall(error) end`, timeUp},
		{`while true do xpcall(error, function() while true do end end) end`, timeUp},
		{`local function f() return f() end f()`, timeUp},
		{`while true do pcall(coroutine.wrap(function() while true do end end)) end`, timeUp},
		{`for _ in function() return 1 end do end`, timeUp},
		{`while true do collectgarbage() end`, timeUp},
		{`while true do pcall(string.rep, "x", 1e9) end`, timeUp},

		// functions that call Go functions, with no Lua code between
		{`assert(load(os.date))`, "more than 262144"},
		{`assert(load(function() return "" .. ("x"):rep(1e6) end))`, "more than 262144"},
		{`table.sort(large, function(a, b) while true do end end)`, timeUp},
		{`("x"):rep(1e6):gsub("", string.upper)`, ""},

		// recursion: Lua's own, and Go's
		{`local function f() return 1 + f() end f()`, "stack overflow"},
		{`local function f() coroutine.wrap(f)() end f()`, "stack overflow"},
		{`local function f() return select(2, coroutine.resume(coroutine.create(f))) end error(f())`, "stack overflow"},
		{`local t = setmetatable({}, {}) getmetatable(t).__tostring = function() return tostring(t) end tostring(t)`, "stack overflow"},
		{`local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x`, "stack overflow"},
		{`local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x`, ""},
		{`local t = {} for i = 1, 1000 do t = setmetatable({}, { __index = t }) end return t.x`, "too many recursions"},
		{`local t = setmetatable({}, {}) getmetatable(t).__concat = function(a, b) return a .. b end return t .. t`, "stack overflow"},
		{`local mt = {} mt.__lt = function(a, b) return a < b end return setmetatable({}, mt) < setmetatable({}, mt)`, "stack overflow"},
		{`local mt = {} mt.__eq = function(a, b) return a == b end return 1, setmetatable({}, mt) == setmetatable({}, mt)`, "stack overflow"},
		{`local f = pcall for i = 1, 1000 do local g = f f = function() return g(f) end end return f()`, ""},
		{`return ("x"):rep(1e5):find(("x?"):rep(1e4))`, ""},
		{`return ("("):rep(1e5):find(("("):rep(1e5))`, "too many captures"},

		// code that is compiled
		{`assert(loadstring(("("):rep(2e5)))`, "syntax error"},
		{`assert(loadstring("return " .. ("("):rep(1e5) .. "1" .. (")"):rep(1e5)))`, ""},
		{`assert(loadstring("return " .. ("{"):rep(1e5) .. ("}"):rep(1e5)))`, "too many syntax levels"},
		{`assert(loadstring("return " .. ("1 + "):rep(3e4) .. "x"))`, "too many syntax levels"},
		{`assert(loadstring("return " .. ("- "):rep(3e4) .. "x"))`, "too many syntax levels"},
		{`assert(loadstring("return " .. ("x^"):rep(3e4) .. "x"))`, "too many syntax levels"},
		{`assert(loadstring("return " .. ("not "):rep(3e4) .. "x"))`, "too many syntax levels"},
		{`assert(loadstring("return x" .. (".x"):rep(3e4)))`, "too many syntax levels"},
		{`assert(loadstring("x" .. ("()"):rep(3e4)))`, "too many syntax levels"},
		{`assert(loadstring("if x then " .. ("elseif x then "):rep(1.5e4) .. " end"))`, "too many syntax levels"},
		{`assert(loadstring(("do "):rep(3e4) .. ("end "):rep(3e4)))`, "too many syntax levels"},
		{`assert(loadstring(("local function f() "):rep(1.1e4) .. ("end "):rep(1.1e4)))`, "too many syntax levels"},
		{`assert(loadstring("return '" .. ("x"):rep(2e6) .. "'"))`, "more than 262144"},
		{`dofile("/dev/zero")`, "no regular file"},
		{`assert(loadfile(fifo))`, "no regular file"},
		{`package.path = fifo require "x"`, "changing path"},

		// strings
		{`return ("x"):rep(1e10)`, tooLarge},
		{`return ("x"):rep(-1)`, ""},
		{`local s = "x" while true do s = s .. s end`, tooLarge},
		{`local t = {} for i = 1, 20 do t[i] = ("x"):rep(1e6) end return table.concat(t)`, tooLarge},
		{`return table.concat({}, "x", 1, 1e9)`, "invalid value"},
		{`return ("%99999999d"):format(1)`, "invalid format"},
		{`return ("%s"):rep(1e5):format(("x"):rep(1e6))`, ""},
		{`return (("x"):rep(1e6):gsub("x", ("y"):rep(1e6)))`, tooLarge},
		{`return (("x"):rep(1e6)):byte(1, -1)`, "string slice too long"},
		{`return unpack({}, 1, 1e9)`, "registry overflow"},
		{`return #{ unpack({}, -1e9, 1e9) }`, "registry overflow"},
		{`return select("#", unpack({}, 1, 1e8))`, "registry overflow"},
		{`return string.char(unpack({}, 1, 1e8))`, "registry overflow"},

		// tables
		{`local t = {} while true do t[#t + 1] = {} end`, memoryUp},
		{`local t = {} while true do t = { t } end`, memoryUp},
		{`local t = {} while true do t[#t + 1] = coroutine.create(function() end) end`, memoryUp},
		{`local t = {} while true do t[#t + 1] = coroutine.wrap(function() coroutine.yield() end) t[#t]() end`, memoryUp},
		{`local t = {} t[2 ^ 26 - 2] = 1 return #t`, "0"},
		{`local t = {} table.insert(t, 2 ^ 26 - 2, 1) return #t`, "0"},

		// files and commands
		{`return io.open("/dev/zero"):read("*a")`, tooLarge},
		{`return io.open("/dev/zero"):read("*l")`, tooLarge},
		{`return io.open("/dev/zero"):read(1e10)`, tooLarge},
		{`return io.open("/dev/zero"):read("*n")`, "nil"},
		{`for line in io.lines("/dev/zero") do end`, tooLarge},
		{`local f = io.open("/dev/zero") while true do f:read(1) end`, timeUp},
		{`return io.open(fifo):read()`, timeUp},
		{`return io.open(fifo):read("*a")`, timeUp},
		{`for line in io.lines(fifo) do end`, timeUp},
		{`local f = io.open(fifo, "r+") while true do f:write(("x"):rep(1e5)) end`, timeUp},
		{`return os.execute("sleep 1000")`, timeUp},
		{`return os.execute("sleep 1000 & sleep 1000")`, timeUp},
		{`return io.popen("sleep 1000"):read()`, timeUp},
		{`return io.popen("sleep 1000"):close()`, timeUp},
		{`return io.popen("yes"):read("*a")`, tooLarge},

		// what the server's own functions make
		{`local t = ("x"):rep(1e5) for i = 1, 60 do t = { t, t } end return lighty.json_encode(t)`, "has more than"},
		{`local t = {} t[1] = t return lighty.json_encode(t)`, "contains itself"},
		{`local t = {} for i = 1, 1000 do t = { t } end return lighty.json_encode(t)`, "tables in each other"},
		{`return select(2, lighty.json_decode(("["):rep(1e6)))`, "in each other"},
		{`return lighty.json_decode("[" .. ("[],"):rep(1e6) .. "1]")`, "used up"},
		{`while true do vr.resp.headers:append("X", ("x"):rep(1000)) end`, timeUp},
	} {
		t.Run(tt.code, func(t *testing.T) {
			log := &logBuffer{}
			cfg := testConfig(log)
			cfg.LuaBudget, cfg.MaxLuaMemory, cfg.MaxLuaString = time.Hour, 512<<20, 8<<20
			if strings.HasSuffix(tt.want, "used up") { // others could meet that limit first, when the collector is late
				cfg.MaxLuaMemory = 64 << 20
			}
			if tt.want == timeUp {
				cfg.LuaBudget = 200 * time.Millisecond
			}
			level := "handler"
			if strings.Contains(tt.code, "os.execute") || strings.Contains(tt.code, "io.popen") {
				level = "trusted"
			}
			p, err := runtime.Load(writeScript(t, say+`
setup.lua.states(1)
setup.lua.sandbox "`+level+`"
local fifo = "`+fifo+`"
local large = {} for i = 1, 1e5 do large[i] = i * 7919 % 100003 end
local function bomb(vr) `+tt.code+` end
actions = {
  when(request.path:eq "/bomb", function(vr) say(vr, bomb(vr)) end),
  function(vr) say(vr, "fine") end,
}`), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			s := &site{p, log}
			if _, body := s.get("/bomb"); !strings.Contains(body+log.String(), tt.want) {
				t.Errorf("%.100q, want %q\n%.2000s", body, tt.want, log)
			}
			if _, body := s.getInTime("/"); body != "fine" {
				t.Errorf("afterwards: body %q\n%.2000s", body, log)
			}
		})
	}
}

// A sort that is interrupted has changed nothing, and ended before all of it was done.
func TestSortIsInterrupted(t *testing.T) {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.LuaBudget = time.Millisecond
	p, err := runtime.Load(writeScript(t, say+`
local t = {} for i = 1, 2e6 do t[i] = 2e6 - i end
actions = { when(request.path:eq "/sort", function() table.sort(t) end), function(vr) say(vr, t[1]) end }`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &site{p, log}
	if status, _ := s.get("/sort"); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	if _, body := s.getInTime("/"); body != "1999999" {
		t.Errorf("the table begins with %s", body)
	}
}

// The loading of a script ends, too, whatever it does; check and a reload are not kept for ever.
func TestLoadLimits(t *testing.T) {
	const timeUp, memoryUp = "the time budget for Lua is used up", "the memory that a Lua call may take is used up"
	for _, tt := range []struct{ script, want string }{
		{`while true do end`, "site.lua:2: " + timeUp},
		{`while true do pcall(function() while true do end end) end`, timeUp},
		{`pcall(function() while true do end end) actions = respond "ok"`, timeUp},
		{`local f = coroutine.wrap(function() while true do end end) f()`, timeUp},
		{`actions = vhost.map(setmetatable({}, { __index = function() while true do end end })) while true do end`, timeUp},
		{`local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end`, memoryUp},
		{`return ("x"):rep(1e10)`, "string too large"},
		{`return ` + strings.Repeat("(", 1e5), "syntax error"},
		{`return ` + strings.Repeat("{", 1e5) + strings.Repeat("}", 1e5), "too many syntax levels"},
		{`return x` + strings.Repeat("+x", 1e5), "too many syntax levels"},
		{`local function f() coroutine.wrap(f)() end f()`, "stack overflow"},
		{`dofile "/dev/zero"`, "no regular file"},
		{`local a = {} for i = 1, 40 do a = { a, a } end actions = a`, timeUp},
		{`local a = {} for i = 1, 40 do a = { a, a } end actions = when(request.path:eq "/", a)`, timeUp},
	} {
		log := &logBuffer{}
		cfg := testConfig(log)
		cfg.LoadBudget, cfg.MaxLoadMemory = time.Hour, 64<<20
		if strings.Contains(tt.want, timeUp) {
			cfg.LoadBudget, cfg.MaxLoadMemory = 200*time.Millisecond, 4<<30 // the time must end first
		}
		p, err := runtime.Load(writeScript(t, "\n"+tt.script), cfg)
		if err == nil {
			p.Close()
		}
		if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%.100s\n got %.300v\nwant %s", tt.script, err, tt.want)
		}
	}
}

// A store far behind the end of a table takes no memory for all that is between.
func TestStoresFarBehindTheEnd(t *testing.T) {
	s := load(t, say+`actions = function(vr) local t = {} t[2 ^ 26 - 2] = 1 say(vr, t[2 ^ 26 - 2] .. #t) end`)
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	if _, body := s.get("/"); body != "10" {
		t.Errorf("body %q\n%s", body, s.log)
	}
	goruntime.ReadMemStats(&after)
	if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 300 { // filled with nil it is a gigabyte
		t.Errorf("it took %d MB", mb)
	}
}
