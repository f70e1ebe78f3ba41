package runtime_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Go values that may change are not shared by several states without a lock: an open file,
// what an iterator of gmatch has left.
func TestOpenFileForcesOneState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]int{
		fmt.Sprintf("local f = io.open(%q); actions = function(vr) f:read(1); say(vr, 1) end", file):                        1,
		fmt.Sprintf("local t = { { io.open(%q) } }; actions = function(vr) say(vr, #t) end", file):                          1,
		fmt.Sprintf("_G.f = io.open(%q); actions = function(vr) f:read(1); say(vr, 1) end", file):                           1,
		"local w = (\"a b\"):gmatch(\"%a\"); actions = function(vr) say(vr, w()) end":                                       1,
		"local io = io; actions = function(vr) say(vr, type(io)) end":                                                       4,
		"local c, a = request.path:eq(\"/\"), respond(\"x\"); actions = { when(c, function(vr) say(vr, tostring(a)) end) }": 4,
	} {
		s := load(t, "setup.lua.states(4)\n"+say+script)
		s.wantStates(t, want)
	}
}

// All states answer the same: metatables of types, the order of pairs.
func TestForkedStatesAreEqual(t *testing.T) {
	for _, script := range []string{
		`debug.setmetatable(nil, { __index = function() return "index of nil" end })
actions = function(vr) local x say(vr, x.y) end`,
		`debug.setmetatable(0, { __index = { double = function(n) return n * 2 end } })
actions = function(vr) say(vr, (2):double()) end`,
		`debug.setmetatable(print, { __index = { hi = 1 } })
actions = function(vr) say(vr, say.hi) end`,
		`debug.setmetatable(true, { __index = { hi = 2 } })
actions = function(vr) say(vr, (true).hi) end`,
		`debug.setmetatable("", { __index = function(s, k) return k end })
actions = function(vr) say(vr, ("x").abc) end`,
		`local a = {} for i = 10, 1, -1 do a["k" .. i] = i end a.k5 = nil a.k5 = 5 a[3] = 3 a[1] = 1
actions = function(vr) local o = {} for k in pairs(a) do o[#o + 1] = tostring(k) end say(vr, table.concat(o, ",")) end`,
		`_G.t = {} for i = 1, 20 do _G["g" .. i] = i end
actions = function(vr) local o = {} for k in pairs(_G) do if k:match("^g%d") then o[#o + 1] = k end end say(vr, table.concat(o, ",")) end`,
	} {
		s := load(t, "setup.lua.states(4)\n"+say+script+`
local inner = actions
actions = { when(request.path:eq "/spin", { function() local t = os.clock() while os.clock() - t < 0.3 do end end }, { inner }) }`)
		// requests that spin take the first states, so each answer comes from another one
		got := map[string]int{}
		for range 3 {
			status, body := s.get("/")
			got[fmt.Sprint(status, " ", body)]++
			defer func(answer <-chan string) { <-answer }(s.ask("/spin"))
			time.Sleep(30 * time.Millisecond)
		}
		for k := range got {
			if len(got) != 1 || k[:3] != "200" {
				t.Errorf("answers %v\n%s\n%s", got, script, s.log)
			}
		}
	}
}
