package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Each way in which a file of a site can change loads the site again.
func TestRunWatch(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "v1"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "v1/linked.lua", `actions = { linked = function() return respond "linked" end }`)
	link(t, "v1", filepath.Join(dir, "current"))
	writeFile(t, dir, "plugin.lua", `actions = { plug = function() return respond "plugin" end }`)
	writeFile(t, dir, "handler.lua", `actions = respond "handler"`)
	site := func(body string) string {
		return `lua.plugin "` + dir + `/plugin.lua"
			lua.plugin "` + dir + `/current/linked.lua"
			actions = {
				when(request.path:eq "/plugin", plug()), when(request.path:eq "/linked", linked()),
				when(request.path:eq "/handler", { lua.handler "` + dir + `/handler.lua" }), respond "` + body + `" }`
	}
	script := writeFile(t, dir, "site.lua", site("one"))
	p := start(t, nil, "run", "--watch", "--listen", "127.0.0.1:0", script)
	// A file that is seen while it is written, on a busy machine, is loaded once more; and what
	// was logged may be of that.
	is := func(path, want string) {
		t.Helper()
		got := do(t, "GET", p.url+path, "")
		for range 1000 {
			if got.body == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
			got = do(t, "GET", p.url+path, "")
		}
		t.Errorf("%s: got %q, want %q", path, got.body, want)
	}
	is("", "one")
	is("/handler", "handler")
	is("/linked", "linked")

	writeFile(t, dir, "site.lua", site("two")) // in place
	p.waitForLogs("the script was reloaded", 1)
	is("", "two")

	writeFile(t, dir, "new", `actions = { plug = function() return respond "replaced" end }`) // as editors do
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "plugin.lua")); err != nil {
		t.Fatal(err)
	}
	p.waitForLogs("the script was reloaded", 2)
	is("/plugin", "replaced")

	writeFile(t, dir, "plugin.lua", "actions = {\nplug = fnction() }") // an error keeps what is there
	p.waitForLog("plugin.lua:2")
	is("/plugin", "replaced")
	writeFile(t, dir, "plugin.lua", `actions = { plug = function() return respond "mended" end }`)
	p.waitForLogs("the script was reloaded", 3)
	is("/plugin", "mended")

	if err := os.Mkdir(filepath.Join(dir, "v2"), 0o755); err != nil { // a directory that a link leads to
		t.Fatal(err)
	}
	writeFile(t, dir, "v2/linked.lua", `actions = { linked = function() return respond "led elsewhere" end }`)
	link(t, "v2", filepath.Join(dir, "next"))
	if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
	p.waitForLogs("the script was reloaded", 4)
	is("/linked", "led elsewhere")

	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}
