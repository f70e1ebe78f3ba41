package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"luaserve/cmd/luaserve/demo"
)

// The site that init writes passes check and serves, from inside its directory and from outside.
func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "site")
	script := filepath.Join(dir, "site.lua")
	got := luaserve(t, "", "init", dir)
	if got.code != exitOK || got.stderr != "" {
		t.Fatalf("got %+v", got)
	}
	for _, name := range []string{"site.lua", "site_test.lua", "htdocs/index.html", ".luarc.json", "lighty.d.lua"} {
		if path := filepath.Join(dir, name); !strings.Contains(got.stdout, path+"\n") {
			t.Errorf("it does not say that it wrote %s:\n%s", path, got.stdout)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "lighty.d.lua")); err != nil || string(text) != luaserve(t, "", "annotations").stdout {
		t.Errorf("lighty.d.lua is not what luaserve annotations prints: %v", err)
	}
	if got := luaserve(t, dir, "check", "site.lua"); got != (result{exitOK, "site.lua: ok\n", ""}) {
		t.Errorf("check: %+v", got)
	}
	if got := luaserve(t, dir, "test", "--min-coverage", "60"); got.code != exitOK || !strings.Contains(got.stdout, "site_test.lua: 4 passed") {
		t.Errorf("test: %+v", got)
	}
	p := start(t, nil, "run", script, "--listen", "127.0.0.1:0")
	for _, c := range []struct {
		path   string
		status int
		body   string // a part of it
		header [2]string
	}{
		{"/", 200, "<h1>It works</h1>", [2]string{"Content-Type", "text/html; charset=utf-8"}},
		{"/index.html", 200, "<h1>It works</h1>", [2]string{"X-Content-Type-Options", "nosniff"}},
		{"/hello?name=Ann", 200, `{"hello":"Ann"}`, [2]string{"Content-Type", "application/json"}},
		{"/hello", 200, `{"hello":"world"}`, [2]string{"X-Content-Type-Options", "nosniff"}},
		{"/old/index.html", 301, "", [2]string{"Location", p.url + "/index.html"}},
		{"/.luarc.json", 404, "not found\n", [2]string{"Content-Type", "text/plain"}},
		{"/nothing", 404, "not found\n", [2]string{"X-Content-Type-Options", "nosniff"}},
	} {
		got := do(t, "GET", p.url+c.path, "")
		if got.StatusCode != c.status || !strings.Contains(got.body, c.body) || got.Header.Get(c.header[0]) != c.header[1] {
			t.Errorf("%s: got %d, %s: %q, %q", c.path, got.StatusCode, c.header[0], got.Header.Get(c.header[0]), got.body)
		}
	}
	if code, _ := p.end(syscall.SIGTERM); code != exitOK {
		t.Errorf("run: exit %d", code)
	}
}

// The line for an application works once its comment is taken away.
func TestInitWithAnApplication(t *testing.T) {
	dir := t.TempDir()
	if got := luaserve(t, dir, "init"); got.code != exitOK {
		t.Fatalf("got %+v", got)
	}
	text, err := os.ReadFile(filepath.Join(dir, "site.lua"))
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "app.sock")
	script := strings.NewReplacer(`-- core.wsgi("", {`, `core.wsgi("", {`, "unix:/run/app.sock", "unix:"+socket).Replace(string(text))
	application, err := demo.StartApplication(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer application.Close()
	p := start(t, nil, "run", writeFile(t, dir, "site.lua", script), "--listen", "127.0.0.1:0")
	if got := do(t, "GET", p.url+"/wiki/Start", ""); got.StatusCode != 200 || !strings.Contains(got.body, "/wiki/Start") {
		t.Errorf("got %d, %q", got.StatusCode, got.body)
	}
	if got := do(t, "GET", p.url+"/", ""); !strings.Contains(got.body, "<h1>It works</h1>") {
		t.Errorf("a file is not sent any more: %q", got.body)
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	dir := t.TempDir()
	mine := writeFile(t, dir, "site.lua", "actions = respond 'mine'")
	if err := os.Symlink("nowhere", filepath.Join(dir, ".luarc.json")); err != nil {
		t.Fatal(err)
	}
	want := dir + ": nothing was written, because it would overwrite site.lua, .luarc.json\n"
	if got := luaserve(t, "", "init", dir); got != (result{exitRefused, "", want}) {
		t.Errorf("got %+v", got)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%d files, %v", len(files), err)
	}
	if text, _ := os.ReadFile(mine); string(text) != "actions = respond 'mine'" {
		t.Errorf("site.lua was changed: %q", text)
	}
	if got := luaserve(t, "", "init", mine); got.code != exitRefused || !strings.Contains(got.stderr, "not a directory") {
		t.Errorf("a file in place of the directory: %+v", got)
	}
	if got := luaserve(t, "", "init", "a", "b"); got.code != exitUsage {
		t.Errorf("two directories: %+v", got)
	}
}
