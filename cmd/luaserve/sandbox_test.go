package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSandboxFlags(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "root"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "secret", "secret")
	for _, c := range []struct {
		script string
		flags  []string
		want   string // "" is that it loads
	}{
		{`io.popen("true"):close() actions = { docroot "/", respond "x" }`, nil, ""},
		{`io.popen("true"):close() actions = { docroot "/", respond "x" }`, []string{"--sandbox", "handler"},
			`site.lua:1: io.popen is refused at the sandbox level "handler"; --sandbox-allow io.popen (in Go: Config.Sandbox) allows it`},
		{`io.popen("true"):close() actions = { docroot "/", respond "x" }`, []string{"--sandbox", "handler", "--sandbox-allow", "io.popen"}, ""},
		{`actions = { docroot "/", respond "x" }`, []string{"--sandbox", "untrusted"},
			`site.lua:1: docroot is refused at the sandbox level "untrusted"; --sandbox-allow docroot (in Go: Config.Sandbox) allows it`},
		{`actions = { docroot "/", respond "x" }`, []string{"--sandbox", "untrusted", "--sandbox-allow", "docroot", "--sandbox-root", "root"},
			`site.lua:1: docroot: "/": it is outside of the directory that the script is confined to: ` + filepath.Join(dir, "root")},
		{`actions = { docroot "` + dir + `/root", respond "x" }`, []string{"--sandbox", "untrusted", "--sandbox-allow", "docroot", "--sandbox-allow", "os.getenv", "--sandbox-root", "root"}, ""},
		{`assert(io.open("secret")) actions = respond "x"`, nil, ""},
		{`assert(io.open("../secret")) actions = respond "x"`, []string{"--sandbox", "untrusted", "--sandbox-root", "root"},
			`site.lua:1: ../secret: it is outside of the directory that the script is confined to`},
		{`assert(io.open("secret")) actions = respond "x"`, []string{"--sandbox", "untrusted"},
			`site.lua:1: secret: the script has no directory to open files in`},
		{`actions = respond "x"`, []string{"--sandbox-root", "root"}, `a root confines scripts at the sandbox level "untrusted" only, the level is "default"`},
	} {
		writeFile(t, dir, "site.lua", c.script)
		want := result{exitOK, "site.lua: ok\n", ""}
		if c.want != "" {
			want = result{exitRefused, "", c.want + "\n"}
		}
		if got := luaserve(t, dir, append([]string{"check", "site.lua"}, c.flags...)...); got != want {
			t.Errorf("%s %v\n got %+v\nwant %+v", c.script, c.flags, got, want)
		}
	}
	writeFile(t, dir, "site.lua", `io.popen("true"):close() actions = respond "x"`)
	writeFile(t, dir, "site_test.lua", `test("answers", function(t) t:eq(t:get("http://a/").status, 200) end)`)
	for _, command := range [][]string{
		{"explain", "site.lua", "http://a/"}, {"repl", "site.lua"}, {"test", "site_test.lua"}, {"check", "site.lua"},
	} {
		if got := luaserve(t, dir, command...); got.code != exitOK {
			t.Errorf("%v: %+v", command, got)
		}
		got := luaserve(t, dir, append(command, "--sandbox", "handler")...)
		if got.code != exitRefused || !strings.Contains(got.stdout+got.stderr, `io.popen is refused at the sandbox level "handler"; --sandbox-allow io.popen`) {
			t.Errorf("%v --sandbox handler: %+v", command, got)
		}
		if got := luaserve(t, dir, append(command, "--sandbox", "handler", "--sandbox-allow", "io.popen")...); got.code != exitOK {
			t.Errorf("%v --sandbox-allow io.popen: %+v", command, got)
		}
	}
	if got := luaserve(t, dir, "explain", "--server", "http://127.0.0.1:1", "--key-file", "secret", "http://a/", "--sandbox", "handler"); got.code != exitRefused && got.code != exitUsage || !strings.Contains(got.stderr, "sandbox") {
		t.Errorf("a sandbox for a server that runs: %+v", got)
	}
	if got := luaserve(t, dir, "check", "site.lua", "--sandbox", "safe"); got.code != exitUsage {
		t.Errorf("an unknown level: %+v", got)
	}
}
