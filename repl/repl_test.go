package repl_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/explain"
	"luaserve/repl"
	"luaserve/runtime"
	"luaserve/scripts"
)

func newSession(t *testing.T, script string) (*repl.Session, *strings.Builder) {
	t.Helper()
	site := ""
	if script != "" {
		site = filepath.Join(t.TempDir(), "site.lua")
		if err := os.WriteFile(site, []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	s := repl.New(site, &out)
	s.Style = explain.Style{Width: 200}
	s.Load = func(site string, unsaved map[string][]byte) (*runtime.Program, error) {
		return runtime.Load(site, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true, Unsaved: unsaved})
	}
	return s, &out
}

// What lines print, one after another in one session; an error is printed behind "error: ".
func TestEval(t *testing.T) {
	s, out := newSession(t, `lua.plugin "core.lua"
local secret = "a local variable"
actions = { docroot "/srv", when(request.path:prefix "/app", { env.set("WHO", "%{req.header[X-Who]}") }) }`)
	for _, tt := range []struct{ line, want string }{
		{"", ""},
		{"-- nothing", ""},
		{".get http://example.net/app/x?q=1", ""},
		{".header X-Who: me", ""},
		{".show", "GET http://example.net/app/x?q=1\nX-Who: me\n"},
		{`request.path:prefix "/app"`, `request.path:prefix("/app") saw "/app/x": yes` + "\n"},
		{`request.method:eq "POST"`, `request.method:eq("POST") saw "GET": no` + "\n"},
		{`all { request.path:eq "/", physical.is_file }`, "all{request.path:eq(\"/\"), physical.is_file:is()}: no\n  request.path:eq(\"/\") saw \"/app/x\": no\n"},
		{`physical.is_file`, `physical.is_file:is() saw "FALSE": no` + "\n"},
		{`"%{req.host}|%{phys.path}|%{req.env[WHO]}"`, `"example.net|/srv/app/x|me"` + "\n"},
		{`"%{req.header[X-None]}"`, `""` + "\n"},
		{`vr.req.uri.query`, `"q=1"` + "\n"},
		{`1 + 1, "two"`, "2\t\"two\"\n"},
		{`secret`, `"a local variable"` + "\n"},
		{`vr.env["X"] = "y"`, `request.env["X"] = "y"` + "\n"},
		{`for i = 1, 2 do lighty.print(i) end`, "1\n2\n"},
		{`vr.nothing.more`, "error: "},
		{`redirct "/x"`, `error: unknown action "redirct"; did you mean "redirect"?`},
		{`request.pth:eq "x"`, `error: unknown variable "request.pth"; did you mean "request.path"?`},
		{`1 +`, "error: syntax error"},
		{`.hlp`, `error: unknown command "hlp"; did you mean "help"?`},
		{`.get`, "error: the URL is missing"},
		{`.header nothing`, "error: \"nothing\" is no header field"},
		{`.remote there`, "error: \"there\" is no address"},
		{`.backends maybe`, `error: expected on or off, got "maybe"`},
		{`.remote 192.0.2.7`, ""},
		{`request.remoteip:ip "192.0.2.0/24"`, `request.remoteip:ip("192.0.2.0/24") saw "192.0.2.7": yes` + "\n"},
		{`.request post /b`, ""},
		{`.body hello`, ""},
		{`request.length:eq "5"`, `request.length:eq("5") saw "5": yes` + "\n"},
		{`.header`, ""},
		{`.show`, "POST http://localhost/b\n\nhello\n"},
	} {
		out.Reset()
		if err := s.Eval(context.Background(), tt.line); err != nil {
			out.WriteString("error: " + err.Error())
		}
		if got := out.String(); got != tt.want && (!strings.HasPrefix(tt.want, "error") || !strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s\n got %q\nwant %q", tt.line, got, tt.want)
		}
	}
}

func TestActionsAndExplain(t *testing.T) {
	s, out := newSession(t, "")
	ctx := context.Background()
	for line, want := range map[string]string{
		`respond "hello"`: "response.body = \"5 bytes\"",
		`{ docroot "/a", header.add("X", "%{phys.path}") }`: "response.header[\"X\"] = \"/a/\"",
		".explain": "404 Not Found  no rule has answered",
		".help":    ".request METHOD URL",
	} {
		out.Reset()
		if err := s.Eval(ctx, line); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v\n%s", line, err, out.String())
		}
	}
}

// It is the site that is told of when that is wrong.
func TestBrokenSite(t *testing.T) {
	s, _ := newSession(t, "actions = {\n  redirct 'x' }")
	if err := s.Eval(context.Background(), "1 + 1"); err == nil || !strings.Contains(err.Error(), `site.lua:2: unknown action "redirct"`) {
		t.Error(err)
	}
	s, out := newSession(t, "actions = { function(vr) error 'broken' end }")
	if err := s.Eval(context.Background(), "1 + 1"); err == nil || !strings.Contains(err.Error(), "the site fails before: ") {
		t.Error(err, out.String())
	}
}
