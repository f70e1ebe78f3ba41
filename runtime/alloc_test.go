//go:build !race

package runtime_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"luaserve/runtime"
)

// A request that meets neither Lua nor a file costs no memory, from its beginning to its
// end, whatever the rules. (With the race detector pools forget on purpose.)
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
		"nothing":     `actions = { action.io.buffer_out(4096), respond "hello" }`,
	} {
		p, err := runtime.Load(writeScript(t, script), testConfig(&logBuffer{}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer p.Close()
		ex := &fakeExchange{target: "/path/info.txt"}
		if n := testing.AllocsPerRun(200, func() {
			reply := p.Handle(ex)
			if reply.Status != 200 {
				t.Errorf("%s: status %d", name, reply.Status)
			}
			if err := reply.WriteBody(io.Discard, nil); err != nil {
				t.Error(err)
			}
			reply.Close()
		}); n != 0 {
			t.Errorf("%s: %g allocations a request", name, n)
		}
	}
}
