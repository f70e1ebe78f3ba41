package runtime_test

import (
	goruntime "runtime"
	"testing"
)

// Handlers that write to load-time state by a detour.
func TestIndirectLoadTimeWrites(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"or {}", `local counts = {n=0}
actions = function(vr) local c = counts or {} c.n = c.n + 1 say(vr, c.n) end`},
		{"if not t", `local shared = {n=0}
actions = function(vr) local t = shared if not t then t = {} end t.n = t.n + 1 say(vr, t.n) end`},
		{"getter function", `local shared = {n=0}
local function get() return shared end
actions = function(vr) local t = get() t.n = t.n + 1 say(vr, t.n) end`},
		{"pairs loop", `local servers = {{hits=0},{hits=0}}
actions = function(vr) for _, s in ipairs(servers) do s.hits = s.hits + 1 end say(vr, servers[1].hits) end`},
		{"rawget", `local shared = {s={n=0}}
actions = function(vr) local t = rawget(shared, "s") t.n = t.n + 1 say(vr, t.n) end`},
		{"assert", `local shared = {s={n=0}}
actions = function(vr) local t = assert(shared.s) t.n = t.n + 1 say(vr, t.n) end`},
		{"object with store", `local store = {n=0}
local C = {} C.__index = C
function C:inc() self.store.n = self.store.n + 1 return self.store.n end
actions = function(vr) local o = setmetatable({ store = store }, C) say(vr, o:inc()) end`},
		{"table constructor", `local store = {n=0}
actions = function(vr) local ctx = { s = store } ctx.s.n = ctx.s.n + 1 say(vr, ctx.s.n) end`},
		{"REQ", `local store = {n=0}
actions = { function(vr) REQ.s = store end, function(vr) REQ.s.n = REQ.s.n + 1 say(vr, REQ.s.n) end }`},
		{"global of the handler", `local store = {n=0}
actions = function(vr) s = store s.n = s.n + 1 say(vr, s.n) end`},
		{"higher order", `local list = {{n=0}}
local function each(l, f) for i = 1, #l do f(l[i]) end end
actions = function(vr) each(list, function(x) x.n = x.n + 1 end) say(vr, list[1].n) end`},
		{"one prototype, two closures", `local db = {n=0}
local function reader(d) return d.n end
local function writer(d) d.n = d.n + 1 return d.n end
local function with(f) return function(vr) say(vr, f(db)) end end
actions = { when(request.path:eq "/r", with(reader)), when(request.path:ne "/r", with(writer)) }`},
		{"varargs", `local db = {n=0}
local function set(...) local d = ... d.n = d.n + 1 return d.n end
actions = function(vr) say(vr, set(db)) end`},
		{"parameter captured by a closure", `local db = {n=0}
local function bump(d) local function go() d.n = d.n + 1 end go() return d.n end
actions = function(vr) say(vr, bump(db)) end`},
		{"setmetatable", `local db = {}
actions = function(vr) local m = getmetatable(db) local n = m and m.n or 0 setmetatable(db, {n = n + 1}) say(vr, n + 1) end`},
		{"recursion", `local db = {n=0}
local function a(d, k) if k == 0 then d.n = d.n + 1 return d.n end return a(d, k-1) end
actions = function(vr) say(vr, a(db, 2)) end`},
		{"function returned", `local function new() local store = {n=0} return function() return store end end
local get = new()
actions = function(vr) get().n = 1 say(vr, get().n) end`},
		{"select", `local db = {n=0}
actions = function(vr) local t = select(1, db) t.n = t.n + 1 say(vr, t.n) end`},
		{"unpack", `local db = {{n=0}}
actions = function(vr) local t = unpack(db) t.n = t.n + 1 say(vr, t.n) end`},
		{"getmetatable", `local db = setmetatable({}, {n=0})
actions = function(vr) local t = getmetatable(db) t.n = t.n + 1 say(vr, t.n) end`},
		{"callback", `local db = {n=0}
actions = function(vr) (("x"):gsub("x", function() db.n = db.n + 1 end)) say(vr, db.n) end`},
		{"next", `local db = {a={n=0}}
actions = function(vr) local _, t = next(db) t.n = t.n + 1 say(vr, t.n) end`},
		{"iterating helper", `local function foreach(t, f) for k, v in next, t do f(k, v) end end local db = {a={n=0}}
actions = function(vr) foreach(db, function(_, t) t.n = t.n + 1 end) say(vr, db.a.n) end`},
		{"coroutine", `local db = {n=0}
actions = function(vr) local w = coroutine.wrap(function(t) t.n = t.n + 1 end) w(db) say(vr, db.n) end`},
		{"yielded", `local db = {n=0}
actions = function(vr) local w = coroutine.wrap(function() coroutine.yield(db) end) local t = w() t.n = t.n + 1 say(vr, t.n) end`},
		{"dispatch table", `local db = {n=0}
local ops = { ["/"] = function(t) t.n = t.n + 1 end }
actions = function(vr) ops[vr.req.uri.path](db) say(vr, db.n) end`},
		{"Go function in a table", `local db, ops = {}, { ins = table.insert }
actions = function(vr) local name = "ins" ops[name](db, 1) say(vr, #db) end`},
		{"alias of a Go function", `local insert, db = table.insert, {}
actions = function(vr) insert(db, 1) say(vr, #db) end`},
		{"__call", `local unused = {}
local db = setmetatable({}, { __call = function(t, k) rawset(t, k, (rawget(t, k) or 0) + 1) return t[k] end })
actions = function(vr) say(vr, db("x")) end`},
		{"proxy", `local db = {s={n=0}}
actions = function(vr) local p = setmetatable({}, { __index = function(_, k) return db[k] end }) p.s.n = p.s.n + 1 say(vr, p.s.n) end`},
		{"set by a closure", `local db = {n=0}
actions = function(vr) local t = {} local function take() t = db end take() t.n = (t.n or 0) + 1 say(vr, t.n) end`},
		{"error value", `local db = {n=0}
actions = function(vr) local _, t = pcall(error, db) t.n = t.n + 1 say(vr, t.n) end`},
		{"loop carried", `local db = {n=0}
actions = function(vr) local t = {} for i = 1, 2 do t.n = (t.n or 0) + 1 t = db end say(vr, t.n) end`},
		{"shared class table", `local C = { all = {n=0} } C.__index = C
actions = function(vr) local o = setmetatable({}, C) o.all.n = o.all.n + 1 say(vr, o.all.n) end`},
		{"filter that is its class", `local F = { n = 0 } F.__index = F
function F:new() return self end
function F:handle(vr, o, i) self.n = self.n + 1 o:steal_all(i) o.is_closed = i.is_closed end
actions = { lighty.filter_out(F), function(vr) say(vr, F.n) end }`},
		{"kept filter object", `local F = {} function F:handle(vr, o, i) self.n = 1 o:steal_all(i) o.is_closed = i.is_closed end
actions = function(vr) vr:add_filter_out(F) say(vr, 1) end`},
		{"string method", `local n = 0 function string.count(s) n = n + 1 return n end
actions = function(vr) say(vr, ("x"):count()) end`},
		{"global of _G", `_G.bump = function(t) t.n = t.n + 1 return t.n end _G.db = {n=0}
actions = function(vr) say(vr, bump(db)) end`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := load(t, say+tt.script)
			s.wantStates(t, 1)
			if status, body := s.get("/"); status != 200 {
				t.Errorf("status %d: %s\n%s", status, body, s.log)
			}
		})
	}
}

// Handlers that only read what the load made keep their parallel states.
func TestReadersKeepTheirStates(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"common handler", `local config = { x = "1", list = { "a" } } local template = "t"
actions = function(vr) if vr:handle_direct() then vr.resp.status = 200 vr.resp.headers["X"] = config.x vr.out:add(template .. config.list[1]) end end`},
		{"loop over a list", `local list = { "a", "b" }
actions = function(vr) local out = {} for i, v in ipairs(list) do out[#out + 1] = v .. i end say(vr, table.concat(out)) end`},
		{"list of records", `local users = { { name = "a" }, { name = "b" } }
actions = function(vr) local s = "" for _, u in ipairs(users) do s = s .. u.name end say(vr, s) end`},
		{"objects of the request", `local P = {} P.__index = P
function P.new(title) return setmetatable({ title = title, parts = {} }, P) end
function P:add(s) self.parts[#self.parts + 1] = s end
actions = function(vr) local p = P.new("x") p:add("y") say(vr, p.title .. p.parts[1]) end`},
		{"lookup with a default", `local types = { html = "text/html" }
actions = function(vr) local t = types[vr.req.uri.path] or "none" say(vr, t) end`},
		{"pcall", `local config = { n = 1 }
actions = function(vr) local ok, v = pcall(function() return config.n + 1 end) say(vr, v) end`},
		{"REQ and strings", `local config = { name = "x" }
actions = { function(vr) REQ.name = config.name REQ.t = {} end, function(vr) REQ.t.a = REQ.name say(vr, REQ.t.a) end }`},
		{"table.concat", `local list = { "a", "b" }
actions = function(vr) say(vr, table.concat(list, ",")) end`},
		{"filter objects of the request", `local F = {} F.__index = F
function F:handle(vr, o, i) self.n = (self.n or 0) + 1 o:steal_all(i) o.is_closed = i.is_closed end
actions = function(vr) vr:add_filter_out(setmetatable({}, F)) say(vr, 1) end`},
		{"gsub with a table", `local vars = { a = "1" }
actions = function(vr) say(vr, (("$a"):gsub("%$(%w+)", vars))) end`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := load(t, say+tt.script)
			s.wantStates(t, goruntime.GOMAXPROCS(0))
			if status, body := s.get("/"); status != 200 {
				t.Errorf("status %d: %s\n%s", status, body, s.log)
			}
		})
	}
}
