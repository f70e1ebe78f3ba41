package main

import (
	"strings"
	"testing"
)

func TestReplay(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "a.lua", `actions = respond "x"`)
	writeFile(t, dir, "b.lua", `actions = when(request.path:eq "/b", respond(410), respond "x")`)
	writeFile(t, dir, "access.log", `192.0.2.7 - - [x] "GET /a HTTP/1.1" 200 1
192.0.2.7 - - [x] "GET /b HTTP/1.1" 200 1
nonsense
192.0.2.7 - - [x] "GET /a\x00b HTTP/1.1" 200 1
`)
	writeFile(t, dir, "empty.log", "")
	for _, tt := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"replay access.log --old a.lua --new a.lua --host h", 0, "0 of 2 requests are decided differently", "2 lines were left out: line 3"},
		{"replay access.log --old a.lua --new b.lua --host h", 1, "GET http://h/b (once, line 2)", "the scripts differ"},
		{"replay access.log --old a.lua --new b.lua --host h --json", 1, `"Status": 410`, ""},
		{"replay access.log --old a.lua --new b.lua", 1, "", "access.log: no requests"},
		{"replay empty.log --old a.lua --new b.lua --host h", 1, "", "empty.log: no requests"},
		{"replay gone.log --old a.lua --new b.lua", 1, "", "gone.log: no such file"},
		{"replay access.log --old a.lua", 2, "", "expected one log and two scripts"},
	} {
		got := luaserve(t, dir, strings.Fields(tt.args)...)
		if got.code != tt.code || !strings.Contains(got.stdout, tt.stdout) || !strings.Contains(got.stderr, tt.stderr) {
			t.Errorf("%s: %+v", tt.args, got)
		}
	}
}
