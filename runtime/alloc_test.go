//go:build !race

package runtime_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"luaserve/runtime"
)

// A request that meets no file costs no memory, from its beginning to its end, whatever the
// rules. Lua takes memory for the texts that it reads and makes, and for nothing else. (With the race detector pools forget on purpose.)
func TestPureActionsDoNotAllocate(t *testing.T) {
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, "when(request.path:prefix '/p%d/', { respond(410) }), when(request.path:match '/q%d/(.*)x$', { respond(410) }),\n", i, i)
	}
	for name, script := range map[string]string{
		"respond":     `actions = respond "hello"`,
		"conditions":  `actions = { when(all { request.path:prefix "/path", request.host:ne "x", request.header["User-Agent"]:suffix "ch" }, { header.add("X-A", "b") }), respond "hello" }`,
		"regex":       `actions = { when(request.path:match "^/([a-z]+)/", { header.add("X-A", "b") }), when(request.path:nomatch "^/p", { respond(500) }), respond "hello" }`,
		"many rules":  `actions = {` + many.String() + ` when(request.path:suffix "/info.txt", { header.add("X-A", "b") }), respond "hello" }`,
		"else":        rulesScript(200, ruleShapes[0].rule, true),
		"map":         `actions = { map("%{req.path}", { ["/path/info.txt"] = header.add("X-A", "b") }), vhost.map { ["example.net"] = respond "hello" } }`,
		"map_regex":   `actions = vhost.map_regex { { "\\.org$", respond(500) }, { "\\.net$", respond "hello" } }`,
		"map_cidr":    `actions = map_cidr { ["127.0.0.0/8"] = respond "hello" }`,
		"headers":     `actions = { respond "hello", header.add("X-A", "b"), header.overwrite("X-A", "%{req.path}"), header.remove "X-B", req_header.add("X-A", "b"), req_header.remove "X-A" }`,
		"environment": `actions = { env.set("A", "b"), env.add("A", "c"), env.remove "A", env.set("A", "%{req.host}"), respond "hello" }`,
		"options":     `actions = { action.server.tag "x", action.keepalive.timeout(5), respond "hello" }`,
		"rewrite":     `actions = { rewrite "/b", rewrite_raw "/c", respond "hello" }`,
		"expire":      `actions = { respond "hello", expire "access 1 week" }`,
		"redirect":    `actions = { when(request.path:prefix "/old", { redirect "/new" }), respond "hello" }`,
		"Lua":         `actions = function(vr) if vr:handle_direct() then vr.resp.status, vr.resp.headers["X-A"] = 200, "b"; vr.out:add "hello" end end`,
		"Lua passes":  `actions = { function(vr) if vr.is_handled or vr.has_response then return lighty.HANDLER_ERROR end end, respond "hello" }`,
		"nothing":     `actions = { action.io.buffer_out(4096), respond "hello" }`,
	} {
		p, err := runtime.Load(writeScript(t, script), testConfig(&logBuffer{}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer p.Close()
		if n := allocations(t, name, p); n != 0 {
			t.Errorf("%s: %g allocations a request", name, n)
		}
	}
}

// What Lua makes costs memory: the bytes of a text that is made, and 16 more for the value of
// one that outlives the call.
func TestAllocationsOfLuaHandlers(t *testing.T) {
	for _, tt := range []struct {
		what   string
		code   string
		allocs float64
	}{
		{"a text that is read", `local p = vr.req.uri.path; vr.resp.headers["X"] = vr.req.headers["Host"] .. ""`, 1},
		{"a text that is made", `local p = "a" .. vr.req.uri.path`, 1},
		{"a text that is kept", `REQ.path = vr.req.uri.path`, 12},
		{"a number", `local n = 1; for i = 1, 10 do n = n + i end`, 0},
		{"a helper", `local n = double(21)`, 0},
		{"the workload of bench/", `local uri, headers = vr.req.uri, vr.resp.headers
headers["Content-Type"] = "text/plain"
headers["X-Path"] = uri.path
vr.out:add("hello " .. uri.host .. uri.path)`, 1},
	} {
		p, err := runtime.Load(writeScript(t, `local function double(n) return 2 * n end
actions = function(vr) vr:handle_direct(); vr.resp.status = 200; `+tt.code+` end`), testConfig(&logBuffer{}))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if n := allocations(t, tt.what, p); n != tt.allocs {
			t.Errorf("%s: %g allocations a request, want %g", tt.what, n, tt.allocs)
		}
	}
}

// allocations returns how often a request to the program takes memory.
func allocations(t *testing.T, name string, p *runtime.Program) float64 {
	ex := &fakeExchange{target: "/path/info.txt"}
	return testing.AllocsPerRun(200, func() {
		reply := p.Handle(ex)
		if reply.Status != 200 {
			t.Errorf("%s: status %d", name, reply.Status)
		}
		if err := reply.WriteBody(io.Discard, nil); err != nil {
			t.Error(err)
		}
		reply.Close()
	})
}
