package runtime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

// FuzzLoad loads any text as a script, and sends a request to what comes of it: there is a
// program or an error, within the limits, and no panic. The script is untrusted, so that what
// the fuzzer thinks up touches nothing.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"", "#!/usr/bin/luaserve\nactions = respond 'x'", "\xef\xbb\xbfactions = respond 'x'", "actions = nil", "return", "\x1bLua",
		`actions = { when(request.path:match "^/(.*)$", respond "%1"), when(all { request.host:eq "a", none { physical.is_file } }, {}, { respond(404) }) }`,
		`setup.listen "127.0.0.1:0" actions = { docroot "/nowhere", alias { ["/x/"] = "/y" }, static() }`,
		`actions = vhost.map { ["a.test"] = { header.add("X", "%{req.header[Y]}") }, default = respond(302, "%{req.path}") }`,
		`actions = function(vr) if vr:handle_direct() then vr.out:add("a" .. 1 .. vr.req.uri.path) end return lighty.HANDLER_GO_ON end`,
		`local t = setmetatable({}, { __index = function(t, k) return k end, __call = function() end }) actions = { t.x, t() }`,
		`for i = 1, 10 do local x <const> = i goto continue ::continue:: end`, `while true do end`, `repeat local x = f() until x`,
		`local a, b, c = ... local function f(...) return select("#", ...), ... end actions = respond(tostring(f(1, 2, 3)))`,
		`actions = { {}, { {} }, nil, 1, "x", function() end }`, `actions = "%{nothing} $1 %[a-"`, `return [==[ ]=] ]==] --[[ x`, "x = 'a\\\nb\\300\\x' y = 0x1p4 .. 1e309",
		"local function f() return f() end f()", `("x"):rep(1e9)`, `coroutine.wrap(function() coroutine.yield(1) error({}) end)()`, `error(setmetatable({}, { __tostring = error }))`,
		strings.Repeat("local a = 1 ", 250), "x = " + strings.Repeat("{", 300) + strings.Repeat("}", 300), "x = {" + strings.Repeat("1,", 120) + "f()}", "f(" + strings.Repeat("a,", 260) + "a)",
		`actions = rewrite("^/(.*)$", "/%1", ".*", "/$1") setup.lua.states(2) fastcgi "127.0.0.1:1"`,
		`actions = lua.handler("x", { sandbox = "untrusted", ttl = 1 })`, `actions = balance.rr { respond "a", respond "b" }`,
	} {
		f.Add([]byte(seed))
	}
	file := filepath.Join(f.TempDir(), "site.lua")
	f.Fuzz(func(t *testing.T, script []byte) {
		if err := os.WriteFile(file, script, 0o600); err != nil {
			t.Fatal(err)
		}
		log := &logBuffer{}
		cfg := testConfig(log)
		cfg.LoadBudget, cfg.LuaBudget, cfg.MaxLuaString = 2*time.Second, time.Second, 1<<20
		cfg.MaxLoadMemory, cfg.MaxLuaMemory = 256<<20, 256<<20
		cfg.Sandbox = runtime.Sandbox{Level: runtime.SandboxUntrusted, Allow: []string{
			"docroot", "alias", "static", "index", "pathinfo", "rewrite", "fastcgi", "proxy", "balance", "limit", "lua", "listen", "req_header", "env", "keepalive", "server",
		}}
		p, err := runtime.Load(file, cfg)
		if err != nil {
			if strings.Contains(err.Error(), "runtime error") {
				t.Errorf("a Go error: %v", err)
			}
			return
		}
		defer p.Close()
		p.Handle(&fakeExchange{target: "http://a.test/path"}).Close()
		if strings.Contains(log.String(), "panic: ") {
			t.Errorf("%s", log)
		}
	})
}
