package runtime_test

import (
	"os"
	"path/filepath"
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
