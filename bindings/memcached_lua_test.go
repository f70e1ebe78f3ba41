package bindings_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"luaserve/runtime"
	"luaserve/tests/backend"
)

// memcachedLua runs code in a handler; con is a connection to a real memcached, made while
// the script was loaded, show prints a response.
func memcachedLua(t *testing.T, m *backend.Memcached, code string) string {
	t.Helper()
	script := fmt.Sprintf("local con = memcached.new %q\n", m.Address) + inHandler(`
  local function show(r)
    local names = {}
    for name, v in pairs(r) do
      if name ~= "cas" then names[#names + 1] = name .. "=" .. tostring(v) end
    end
    table.sort(names)
    out(table.concat(names, " "))
  end
`+code)
	site := luaScript(t, script)
	r := site.get("/")
	body := text(r)
	if r.StatusCode != 200 {
		body += site.log.String()
	}
	return strings.ReplaceAll(body, site.dir, "@DIR@")
}

func TestMemcachedLua(t *testing.T) {
	m := backend.StartMemcached(t, "")
	for _, tt := range []luaCase{
		{"miss", `show(con:get("none", vr).response)`, `
code=4 key=none ttl=0
`},
		{"set and get", `
			show(con:set("k", "v\0\r\nv", vr, 60).response)
			local r = con:get("k", vr).response
			out(r.code, r.key, r.flags, r.ttl, #r.data, r.data == "v\0\r\nv", r.cas:match("^%d+$") ~= nil)`, `
code=1 key=k ttl=60
1 k 0 0 5 true true
`},
		{"cas changes", `
			con:setq("c", "v"); local a = con:get("c", vr).response.cas
			con:setq("c", "v"); local b = con:get("c", vr).response.cas
			out(a ~= b, type(a))`, `
true string
`},
		{"callbacks", `
			local order = {}
			local req = con:set("cb", 42, function(r) order[#order + 1] = "set " .. r.code end)
			con:get("cb", function(r) order[#order + 1] = "get " .. r.data end)
			out(table.concat(order, ", "), req.response.code, tostring(req))`, `
set 1, get 42 1 <memcached request>
`},
		{"setq", `out(con:setq("q", "quiet")); out(con:get("q", vr).response.data); out(con:setq("q", "short", 1))`, `
true
quiet
true
`},
		{"any key", `
			for _, key in ipairs { "a b", "", ("k"):rep(300), "a\r\nflush_all\r\n", "\255" } do
				con:setq(key, "value")
				local r = con:get(key, vr).response
				out(r.code, r.key == key, r.data)
			end`, `
1 true value
1 true value
1 true value
1 true value
1 true value
`},
		{"too large for the server", `
			local big = ("x"):rep(2000000)
			local r = con:set("big", big, vr).response
			out(r.code, r.error:match("SERVER_ERROR object too large for cache"))
			local ok, err = con:setq("big", big)
			out(ok, err:match("object too large"))
			out(con:get("big", vr).response.code)`, `
5 SERVER_ERROR object too large for cache
nil object too large
4
`},
		{"a connection made here", `
			local mine = memcached.new(con and "127.0.0.1:1")
			local r = mine:get("k", vr).response
			out(r.code, r.error:match("connection refused"), r.data)
			for _ = 1, 5 do -- it is left alone for a second, in which the machine may stand still
				r = mine:get("k", vr).response
				if r.error:match("left alone") then break end
			end
			out(r.code, r.error:match("left alone"))`, `
5 connection refused nil
5 left alone
`},
		{"arguments", `
			try("no key", function() con:get() end)
			try("no target", function() con:get("k") end)
			try("a table", function() con:get({}, vr) end)
			try("a wrong target", function() con:get("k", {}) end)
			try("an object", function() con:get("k", vr.req) end)
			try("no value", function() con:set("k", nil, vr) end)
			try("set without target", function() con:set("k", "v", 60) end)
			try("ttl", function() con:set("k", "v", vr, -1) end)
			try("ttl text", function() con:setq("k", "v", "soon") end)
			try("ttl large", function() con:setq("k", "v", 1e12) end)
			try("a dot", function() con.get("k", vr) end)
			try("unknown", function() return con:delete("k") end)
			try("request", function() return con:get("k", vr).data end)`, `
no key: false @DIR@/site.lua:21: bad argument #2 to '?' (string expected, got no value)
no target: false @DIR@/site.lua:22: bad argument #3 to '?' (function or vr expected, got no value)
a table: false @DIR@/site.lua:23: bad argument #2 to '?' (string expected, got table)
a wrong target: false @DIR@/site.lua:24: bad argument #3 to '?' (function or vr expected, got table)
an object: false @DIR@/site.lua:25: bad argument #3 to '?' (function or vr expected, got userdata)
no value: false @DIR@/site.lua:26: bad argument #3 to '?' (string expected, got nil)
set without target: false @DIR@/site.lua:27: bad argument #4 to '?' (function or vr expected, got number)
ttl: false @DIR@/site.lua:28: bad argument #5 to '?' (a number of seconds expected)
ttl text: false @DIR@/site.lua:29: bad argument #4 to '?' (a number of seconds expected)
ttl large: false @DIR@/site.lua:30: bad argument #4 to '?' (a number of seconds expected)
a dot: false @DIR@/site.lua:31: bad argument #1 to 'get' (memcached connection expected, got string); call it with a colon, object:get(…)
unknown: false cannot read attribute delete in memcached connection
request: false cannot read attribute data in memcached request
`},
	} {
		if got := "\n" + memcachedLua(t, m, tt.code); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// A handler that was written for lighttpd2 asks, waits, and finds the response when it is
// run again. Its connection is used by all Lua states.
func TestMemcachedLuaWaits(t *testing.T) {
	m := backend.StartMemcached(t, "")
	site := luaScript(t, fmt.Sprintf(`setup.lua.states(3)
local con = memcached.new %q
local function handle(vr)
  local key = vr.req.uri.path
  if not REQ.get then
    REQ.get = con:get(key, vr)
    return lighty.HANDLER_WAIT_FOR_EVENT
  end
  local r = REQ.get.response
  if r.code == 4 and not REQ.set then
    REQ.set = con:set(key, "value of " .. key, vr)
    return lighty.HANDLER_WAIT_FOR_EVENT
  end
  vr:handle_direct()
  vr.resp.status = 200
  vr.out:add(r.data or "set: " .. REQ.set.response.code)
end
actions = { handle }`, m.Address))
	if n, _ := site.States(); n != 3 {
		t.Errorf("%d Lua states, want 3", n)
	}
	for i, want := range []string{"set: 1", "value of /a", "value of /a"} {
		if got := text(site.get("/a")); got != want {
			t.Errorf("%d: got %q, want %q\n%s", i, got, want, site.log)
		}
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 20 {
				path := fmt.Sprint("/", i)
				if got := text(site.get(path)); got != "set: 1" && got != "value of "+path {
					t.Errorf("%s: got %q", path, got)
				}
			}
		})
	}
	all.Wait()
}

// Handlers that only talk to memcached do not force a single Lua state.
func TestMemcachedLuaStates(t *testing.T) {
	site := luaScript(t, `local con = memcached.new "127.0.0.1"
local keys = { "a", "b" }
actions = function(vr)
  con:setq(keys[1], "x")
  con:get(keys[2], vr)
  con:get("c", function(r) REQ.data = r.data end)
end`)
	if _, forced := site.States(); forced != nil {
		t.Errorf("a single state because of %v", forced)
	}
}

// An error of a callback is an error of the handler.
func TestMemcachedLuaCallbackError(t *testing.T) {
	m := backend.StartMemcached(t, "")
	site := luaScript(t, fmt.Sprintf(`local con = memcached.new %q
actions = { function(vr) con:get("k", function(r) error("the rule broke") end) end, respond "ok" }`, m.Address))
	if r := site.get("/"); r.StatusCode != 500 || !strings.Contains(site.log.String(), "site.lua:2: the rule broke") {
		t.Errorf("%d\n%s", r.StatusCode, site.log)
	}
}

// A value that is larger than a script may hold is an error, not a value.
func TestMemcachedLuaTooLarge(t *testing.T) {
	m := backend.StartMemcached(t, "")
	site := luaScript(t, fmt.Sprintf(`local con = memcached.new %q
actions = function(vr)
  con:setq("k", ("x"):rep(1001))
  con:setq("l", ("x"):rep(1000))
  vr:handle_direct(); vr.resp.status = 200
  vr.out:add(con:get("k", vr).response.error:match("the value has.*") .. ", " .. #con:get("l", vr).response.data)
end`, m.Address), func(c *runtime.Config) { c.MaxBufferedBody = 1000 })
	if got := text(site.get("/")); got != "the value has 1001 bytes, more than 1000, 1000" {
		t.Errorf("%s\n%s", got, site.log)
	}
}
