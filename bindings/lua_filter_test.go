package bindings_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// pass hands everything on and the end with it.
const passFilter = `
local Pass = {}; Pass.__index = Pass
function Pass:new(vr) return setmetatable({}, self) end
function Pass:handle(vr, outq, inq) outq:steal_all(inq); outq.is_closed = inq.is_closed end
`

func TestLuaFilters(t *testing.T) {
	for _, tt := range []struct{ name, script, want string }{
		{"steal_all", passFilter + `actions = { lighty.filter_out(Pass), respond "body" }`, "body"},
		{"from a handler", passFilter + `actions = { function(vr) local f = vr:add_filter_out(Pass:new(vr)); f.out:add("<"); f["in"]:add("|") end, respond "body" }`, "<|body"},
		{"on a stream", passFilter + `actions = { lighty.filter_out(Pass), test_stream "streamed" }`, "streamed"},
		{"replaces the body", `
local D = { handle = function(self, vr, outq, inq) inq:skip_all(); inq.is_closed = true end }
actions = { respond "original", function(vr) local f = vr:add_filter_out(D); f.out:add_file("@DIR@/site.lua", 1, 5); f.out.is_closed = true end }`, "local"},
		{"a new that returns nil", `actions = { lighty.filter_out({ new = function() end }), respond "body" }`, "body"},
		{"read and length", `
local R = { handle = function(self, vr, outq, inq) local n = #inq; outq:add(n .. inq:read(1) .. "," .. inq:read() .. ";"); outq.is_closed = inq.is_closed end }
actions = { function(vr) vr:add_filter_out(R) end, respond "body" }`, "4b,ody;"},
		{"globals and REQ", `
local F = {}; F.__index = F
function F:new(vr) g = "set in new"; REQ.f = "req"; return setmetatable({}, self) end
function F:handle(vr, outq, inq) outq:steal_all(inq); if inq.is_closed and not outq.is_closed then outq:add(" " .. tostring(g) .. " " .. tostring(REQ.f)); outq.is_closed = true end end
actions = { function(vr) g = "handler" end, lighty.filter_out(F), respond "b" }`, "b set in new req"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, tt.script, withTestActions)
			if got := text(site.get("/")); got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, site.log)
			}
		})
	}
}

// finished is called once for each filter, whatever becomes of the request.
func TestLuaFilterFinished(t *testing.T) {
	site := luaScript(t, `
local log = {}
local F = {}; F.__index = F
function F:new(vr) return setmetatable({ path = vr.req.uri.path }, self) end
function F:handle(vr, outq, inq) if self.path == "/boom" then error("boom") end; outq:steal_all(inq); outq.is_closed = inq.is_closed end
function F:finished() log[#log + 1] = self.path end
local function answer(vr) vr:handle_direct(); vr.resp.status = 200; vr.out:add(table.concat(log, ",")) end
actions = { when(request.path:ne "/log", { lighty.filter_out(F) }), when(request.path:eq "/fail", function() error("no") end), answer }`)
	for target, status := range map[string]int{"/ok": 200, "/boom": 500, "/fail": 500} {
		if r := site.get(target); r.StatusCode != status {
			t.Errorf("%s: status %d\n%s", target, r.StatusCode, site.log)
		}
	}
	got := strings.Split(text(site.get("/log")), ",")
	if len(got) != 3 {
		t.Errorf("finished was called for %q", got)
	}
}

// An error of a filter behind the head cuts the response.
func TestLuaFilterErrorCutsTheResponse(t *testing.T) {
	site := luaScript(t, `
actions = { test_stream "streamed", function(vr) vr:add_filter_out { handle = function(self, vr, outq, inq) outq:steal_all(inq); if inq.is_closed then error("late") end end } end }`, withTestActions)
	server := httptest.NewServer(site)
	defer server.Close()
	r, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := text(r); !strings.Contains(got, "EOF") {
		t.Errorf("the response ended as if it were complete: %q", got)
	}
}

// What a script can do wrong with queues and actions is an error, never an endless loop.
func TestLuaNoEndlessLoops(t *testing.T) {
	for _, tt := range []struct{ name, script string }{
		{"an out filter reads what it writes", `actions = { respond "x", function(vr) vr:add_filter_out { handle = function(self, vr, outq) outq:read() end } end }`},
		{"an in filter reads what it writes", `actions = { function(vr) vr:add_filter_in { handle = function(self, vr) vr["in"]:read() end }; vr["in"]:read() end }`},
		{"a filter without handle", `actions = { respond "x", function(vr) vr:add_filter_out {} end }`},
		{"a filter that is a string", `actions = { respond "x", function(vr) vr:add_filter_out "x" end }`},
		{"a class without new", `actions = { lighty.filter_out {}, respond "x" }`},
		{"an action that enters itself", `actions = { function(vr) _G.again = action.list { function(vr) vr:enter_action(_G.again) end }; vr:enter_action(_G.again) end }`},
		{"a handler that enters an action for ever", `actions = { function(vr) vr:enter_action(action.list {}); return lighty.HANDLER_WAIT_FOR_EVENT end }`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, tt.script)
			done := make(chan *http.Response, 1)
			go func() { done <- site.post("/", "body") }()
			select {
			case r := <-done:
				if r.StatusCode != 500 {
					t.Errorf("status %d", r.StatusCode)
				}
			case <-time.After(20 * time.Second):
				t.Error("no answer")
			}
		})
	}
}
