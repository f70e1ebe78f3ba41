package runtime_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

// A line break that a script puts into a header is an error that names the line of the script.
func TestLineBreakNamesTheLine(t *testing.T) {
	s := load(t, `actions = function(vr)
  vr:handle_direct()
  vr.resp.headers["X"] = "a\r\nB: c"
end`)
	w := s.answer("/")
	if w.Code != 500 || w.Header().Get("B") != "" || w.Header().Get("X") != "" {
		t.Errorf("status %d, header %v", w.Code, w.Header())
	}
	if !strings.Contains(s.log.String(), `site.lua:3: the value of the header X has a line break`) {
		t.Errorf("the log does not name the line:\n%s", s.log)
	}
}

// A subrequest has no body, and says so: a backend would wait for what its parent announced.
func TestSubrequestDropsTheBody(t *testing.T) {
	s := load(t, say+`
local inner = action.list { function(vr)
  local h = vr.req.headers
  say(vr, ("cl=%s te=%s x=%s body=%s"):format(h["Content-Length"] or "", h["Transfer-Encoding"] or "", h["X"] or "", #vr["in"]))
end }
actions = function(vr) say(vr, vr:subrequest(inner).body) end`)
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		r := httptest.NewRequest(method, "http://host/", strings.NewReader("12345"))
		r.Header.Set("X", "kept")
		r.Header.Set("Content-Length", "5")
		r.Header.Set("Transfer-Encoding", "chunked")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if body, _ := io.ReadAll(w.Body); string(body) != "cl= te= x=kept body=0" {
			t.Errorf("%s: %q", method, body)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodHead, "http://host/", nil))
	if w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: status %d, %d bytes of body", w.Code, w.Body.Len())
	}
}

// A rule that breaks lets nobody past it, however it breaks.
func TestBrokenRulesLetNobodyPast(t *testing.T) {
	for _, rule := range []string{
		`function(vr) error("broken") end`,
		`function(vr) error() end`,
		`function(vr) error(setmetatable({}, { __tostring = function() error("again") end })) end`,
		`function(vr) return nothing.at.all end`,
		`function(vr) local user = vr.req.headers["User"]:match("x"):len() end`,
		`function(vr) return lighty.HANDLER_ERROR end`,
		`function(vr) return lighty.HANDLER_WAIT_FOR_EVENT end`,
		`function(vr) return 17 end`,
		`function(vr) while true do end end`,
		`function(vr) while true do pcall(function() while true do end end) end end`,
		`function(vr) pcall(function() while true do end end) end`,
		`function(vr) return pcall(function() while true do end end) end`,
		`function(vr) local function f() return 1 + f() end f() end`,
		`function(vr) return ("x"):rep(1e10) end`,
		`function(vr) vr:enter_action(action.list { function() error("inside") end }) end`,
		`function(vr) vr:enter_action(nil) end`,
		`function(vr) os.exit(0) end`,
		`function(vr) os.execute("true") end`,
		`function(vr) coroutine.yield() end`,
		`function(vr) coroutine.wrap(function() error("inside") end)() end`,
		`function(vr) setmetatable(_G, nil); return undefined() end`,
		`when(response.status:eq(200), {})`,
		`when(request.header["X"]:eq "y", {}, function(vr) error("in else") end)`,
		`lua.handler("missing.lua")`,
		`header.add("X", "%{req.header[X-Bad]}")`,
	} {
		log := &logBuffer{}
		cfg := testConfig(log)
		cfg.LuaBudget = 200 * time.Millisecond
		p, err := runtime.Load(writeScript(t, `actions = { `+rule+`, respond "secret" }`), cfg)
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		reply := p.Handle(&fakeExchange{target: "http://host/", fields: []runtime.Field{{Name: "X-Bad", Value: "a\rb"}}})
		var body strings.Builder
		reply.WriteBody(&body, nil)
		status := reply.Status
		reply.Close()
		p.Close()
		if status != 500 || strings.Contains(body.String(), "secret") {
			t.Errorf("%s: status %d, body %q\n%s", rule, status, body.String(), log)
		}
	}
}

// A filter whose output grows without end is stopped by the limits of its calls; one that
// makes much of little is asked only as fast as the client reads.
func TestFiltersThatGrow(t *testing.T) {
	for name, tt := range map[string]struct {
		handle string
		want   string // in the log
	}{
		"within one call":     {`local n = 0 while true do n = n + 1 outq:add(("x"):rep(1e5) .. n) end`, "used up"},
		"of the same string":  {`while true do outq:add("x") end`, "used up"},
		"table":               {`local t = {} while true do t[#t + 1] = { outq } end`, "used up"},
		"an error":            {`error("broken")`, "broken"},
		"feeds itself":        {`outq:add("x") inq:add("y")`, ""},
		"never says anything": {``, ""},
	} {
		log := &logBuffer{}
		cfg := testConfig(log)
		cfg.LuaBudget, cfg.MaxLuaMemory = 300*time.Millisecond, 64<<20
		if tt.want == "broken" { // which takes no time
			cfg.LuaBudget = time.Hour
		}
		p, err := runtime.Load(writeScript(t, `
local filter = {}
filter.__index = filter
function filter:new() return setmetatable({}, self) end
function filter:handle(vr, outq, inq) `+tt.handle+` end
actions = { lighty.filter_out(filter), respond "hello" }`), cfg)
		if err != nil {
			t.Fatal(err)
		}
		reply := p.Handle(&fakeExchange{target: "http://host/"})
		bounded := &limitedWriter{left: 4 << 20}
		reply.WriteBody(bounded, nil)
		reply.Close()
		p.Close()
		if !strings.Contains(log.String(), tt.want) {
			t.Errorf("%s: the log has no %q\n%.1000s", name, tt.want, log)
		}
	}
}

// limitedWriter is a client that goes away when it has enough.
type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}
