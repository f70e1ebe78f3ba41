package bindings_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
)

func (s *luaSite) loadAgain(name string) error {
	p, err := runtime.Load(s.dir+"/"+name, runtime.Config{Modules: bindings.Modules()})
	if err == nil {
		p.Close()
	}
	return err
}

func TestLuaSubrequest(t *testing.T) {
	const page = `
local page = action.list { header.add("X-Page", "1"), function(vr) vr.req.headers["X-Seen"] = "yes"; vr.env.SEEN = "yes" end, respond(203, "page %{req.path} %{req.header[X-Seen]}") }
`
	for _, tt := range []struct{ name, script, want string }{
		{"answer", page + inHandler(`
			local res = vr:subrequest(page)
			out(res.status, res.headers["X-Page"], res.body, res.body == res.body)
			out(req.headers["X-Seen"] == "", env.SEEN, resp.headers["X-Page"] == "", res.headers["Server"] ~= nil)`),
			"203 1 page / yes true\ntrue nil true true\n"},
		{"nobody handles it", inHandler(`local res = vr:subrequest(action.list {}); out(res.status, res.body:match("404"))`), "404 404\n"},
		{"fails", inHandler(`local res = vr:subrequest(action.list { function() error("x") end }); out(res.status)`), "500\n"},
		{"made in the handler", `setup.lua.states(4)
` + inHandler(`local n = 0; for i = 1, 3 do local res = vr:subrequest(action.list { function(sub) n = n + i; sub.env.X = "1"; sub:handle_direct(); sub.resp.status = 200 end }); n = n + res.status end; out(n, env.X)`), "606 nil\n"},
		{"stream", `local s = test_stream "streamed"
` + inHandler(`local res = vr:subrequest(s); out(res.status, res.body)`), "200 streamed\n"},
		{"body never read", `local s = test_stream "streamed"
` + inHandler(`vr:subrequest(s); out("done")`), "done\n"},
		{"through a filter", `
local up = { __index = { handle = function(self, vr, outq, inq) outq:add(inq:read():upper()); outq.is_closed = inq.is_closed end } }
local class = { new = function() return setmetatable({}, up) end }
local a = action.list { lighty.filter_out(class), test_stream "streamed" }
` + inHandler(`out(vr:subrequest(a).body)`), "STREAMED\n"},
		{"arguments", inHandler(`
			try("none", vr.subrequest, vr); try("function", function() vr:subrequest(print) end)
			try("unknown", function() return vr:subrequest(action.respond "x").foo end)`),
			"none: false incorrect number of arguments\nfunction: false @DIR@/site.lua:11: vr:subrequest expects an action, got a function; action.list{…} makes one of functions\nunknown: false cannot read attribute foo in subrequest\n"},
		{"without end", `local a
a = action.list { function(vr) local res = vr:subrequest(_G.again); vr:handle_direct(); vr.resp.status = res.status; vr.out:add(res.body) end }
_G.again = a
` + inHandler(`out(vr:subrequest(a).status)`), "500\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, tt.script, withTestActions)
			want := strings.ReplaceAll(tt.want, "@DIR@", site.dir)
			if got := text(site.get("/")); got != want {
				t.Errorf("got %q, want %q\n%s", got, want, site.log)
			}
		})
	}
}

// Handlers that wait do not hold the lock of their state: 200 of them on one state wait
// at the same time, for a backend that answers when all have come.
func TestLuaBlockingReleasesTheState(t *testing.T) {
	var come sync.WaitGroup
	come.Add(200)
	ctx, answer := context.WithTimeout(t.Context(), 30*time.Second)
	defer answer()
	go func() {
		come.Wait()
		answer()
	}()
	slow := &runtime.Module{Name: "slow", Actions: []runtime.ActionDef{{
		Name: "test_slow",
		New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
			return runtime.ActionFunc(func(vr *runtime.VRequest) error {
				come.Done()
				<-ctx.Done()
				vr.HandleDirect()
				vr.Response.Status = 200
				return nil
			}), nil
		},
	}}}
	site := luaScript(t, `
setup.lua.states(1)
local slow = test_slow()
actions = function(vr)
  mine = vr.req.uri.path
  local res = vr:subrequest(slow)
  vr:handle_direct(); vr.resp.status = res.status; vr.out:add(mine)
end`, func(cfg *runtime.Config) { cfg.Modules = append(cfg.Modules, slow) })
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			path := "/" + strings.Repeat("x", i)
			if got := text(site.get(path)); got != path {
				t.Errorf("got %q, want %q", got, path)
			}
		}()
	}
	wg.Wait()
	if ctx.Err() != context.Canceled {
		t.Error("they did not wait at the same time")
	}
	if n, _ := site.States(); n != 1 {
		t.Errorf("%d states", n)
	}
}

// everything uses each object once.
const everything = `
local page = action.list { env.set("P", "1"), respond(201, "page") }
local Upper = {}; Upper.__index = Upper
function Upper:new(vr) return setmetatable({ n = 0 }, self) end
function Upper:handle(vr, outq, inq)
  self.n = self.n + 1
  outq:add(inq:read():upper())
  outq.is_closed = inq.is_closed
end
function Upper:finished() self.n = nil end
actions = { lighty.filter_in(Upper), lighty.filter_out(Upper), function(vr)
  if not vr:handle_direct() then return lighty.HANDLER_ERROR end
  counter = (counter or 0) + 1; REQ.n = (REQ.n or 0) + 1
  local uri, h, env = vr.req.uri, vr.resp.headers, vr.env
  vr.resp.status = 200
  h["X-Path"] = uri.path; h:append("X-Path", uri.query); h:insert("X-Id", vr.req.headers["X-Id"])
  for k, v in vr.req.headers:pairs() do env["H_" .. k] = v end
  for k, v in env:pairs() do REQ[k] = v end
  uri.path = "/other"; vr.phys.path = "@DIR@/site.lua"
  local st = vr:stat(vr.phys.path)
  local body = vr["in"]:read()
  local data = lighty.json_decode(lighty.json_encode { id = vr.req.headers["X-Id"], null = lighty.null, list = { 1, 2 } })
  local res = vr:subrequest(page)
  vr.out:add(table.concat({ body, data.id, res.body, res.status, tostring(st.is_file), vr.con.remote, counter, REQ.n, vr.req.content_length }, " "))
  vr:debug("done", data.id)
end }`

// A hundred goroutines use everything at once; run it with -race.
func TestLuaHammer(t *testing.T) {
	for _, states := range []string{"1", "4"} {
		site := luaScript(t, "setup.lua.states("+states+")\n"+everything)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				id := strings.Repeat("i", i%7+1)
				for range 10 {
					r := httptest.NewRequest("POST", "/path?query", strings.NewReader("body "+id))
					r.Header.Set("X-Id", id)
					w := site.do(r)
					want := strings.ToUpper(fmt.Sprintf("body %s %s page 201 true 192.0.2.1 1 1 %d", id, id, len("body ")+len(id)))
					if got := text(w); got != want || w.Header.Get("X-Path") != "/path, query" {
						t.Errorf("got %q, want %q; X-Path %q", got, want, w.Header.Get("X-Path"))
						return
					}
				}
			}()
		}
		wg.Wait()
		if strings.Contains(site.log.String(), "level=ERROR") {
			t.Error(site.log)
		}
	}
}

// A client that went away ends what its request waits for.
func TestLuaSubrequestHasTheContext(t *testing.T) {
	site := luaScript(t, `local a = test_context()
actions = function(vr) vr:handle_direct(); vr.resp.status = 200; vr.out:add(tostring(vr:subrequest(a).status)) end`,
		func(cfg *runtime.Config) {
			cfg.Modules = append(cfg.Modules, &runtime.Module{Name: "ctx", Actions: []runtime.ActionDef{{
				Name: "test_context",
				New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
					return runtime.ActionFunc(func(vr *runtime.VRequest) error {
						<-vr.Context().Done()
						return runtime.Fail(504, "gone")
					}), nil
				},
			}}})
		})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if got := text(site.do(httptest.NewRequest("GET", "/", nil).WithContext(ctx))); got != "504" {
		t.Errorf("got %q", got)
	}
}
