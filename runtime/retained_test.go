package runtime_test

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"luaserve/runtime"
)

// What handlers keep from call to call is limited, too: the script's own state is not called
// any more, and a file of lua.handler is loaded again.
func TestRetainedMemory(t *testing.T) {
	const limit, piece = 16 << 20, 100_000
	dir := t.TempDir()
	keep := say + `
local kept = {}
actions = {
  when(request.path:suffix "/keep", function(vr) kept[#kept + 1] = ("x"):rep(100000) .. #kept say(vr, #kept) end),
  when(request.path:suffix "/global", function(vr) _G.kept = { _G.kept, ("x"):rep(100000) .. vr.req.uri.path } say(vr, "kept") end),
  function(vr) say(vr, #kept) end,
}`
	if err := os.WriteFile(filepath.Join(dir, "file.lua"), []byte(keep), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.MaxLuaMemory = limit
	script := filepath.Join(dir, "site.lua")
	if err := os.WriteFile(script, []byte(keep+` setup.lua.states(1) actions = when(request.path:prefix "/file", lua.handler "file.lua", actions)`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(script, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &site{p, log}
	const calls = 4 * limit / piece
	failed := map[string]int{}
	for _, path := range []string{"/file/keep", "/keep"} {
		for range calls {
			if status, _ := s.get(path); status != 200 {
				failed[path]++
			}
		}
	}
	if failed["/file/keep"] != 0 || failed["/keep"] == 0 {
		t.Errorf("%d calls kept %d bytes each; of them failed: %v", calls, piece, failed)
	}
	if status, body := s.get("/file/x"); status != 200 || len(body) > 3 {
		t.Errorf("the file was not loaded again: %d %.0s\n%.3000s", status, body, log)
	}
	if status, _ := s.get("/x"); status != 500 || !strings.Contains(log.String(), "keeps from call to call") {
		t.Errorf("status %d, and the log does not say why\n%.2000s", status, log)
	}
}

// Keys that are gone take no memory for ever: a handler may put ever new names into a table, and
// take them out again. What is left in the table stays, in its order.
func TestKeysThatAreGone(t *testing.T) {
	log := &logBuffer{}
	cfg := testConfig(log)
	cfg.MaxLuaMemory = 32 << 20
	p, err := runtime.Load(writeScript(t, say+`
setup.lua.states(1)
local sessions = setmetatable({ first = 1, second = 2 }, { __index = { 1, 2 } })
sessions.third = 3
_G.seen = { kept = true }
local n = 0
actions = {
  when(request.path:eq "/list", function(vr)
    local all = {}
    for k, v in pairs(sessions) do all[#all + 1] = k .. v end
    say(vr, table.concat(all, " ") .. " " .. tostring(seen.kept) .. " " .. sessions[2])
  end,
  function(vr)
    for i = 1, 1000 do
      n = n + 1
      local id = ("x"):rep(200) .. n
      sessions[id], _G.seen[id] = vr.req.uri.path, true
      sessions[id], _G.seen[id] = nil, nil
    end
    say(vr, n)
  end),
}`), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s := &site{p, log}
	_, before := s.get("/list")
	most := uint64(0)
	for i := range 1250 {
		if status, body := s.get("/"); status != 200 {
			t.Fatalf("call %d: %d %s\n%.1000s", i, status, body, log)
		}
		if i%250 == 249 {
			goruntime.GC()
			var now goruntime.MemStats
			goruntime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
	if most > 320<<20 { // without an end it is half a gigabyte
		t.Errorf("%d MB are in use", most>>20)
	}
	if _, after := s.get("/list"); after != before || !strings.Contains(after, "first1 second2 third3") {
		t.Errorf("the table has %q, before %q", after, before)
	}
}
