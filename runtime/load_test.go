package runtime_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

// What people write by mistake, and what they are told.
func TestLoadErrors(t *testing.T) {
	for script, want := range map[string]string{
		`actions = { respond "x", redirct "/y" }`:                   `:1: unknown action "redirct"; did you mean "redirect"?`,
		`actions = { respnd, respond "x" }`:                         `:1: unknown action "respnd"; did you mean "respond"?`,
		`actions = { header.ad("X", "y") }`:                         `:1: unknown action "header.ad"; did you mean "header.add"?`,
		`actions = vhost.map { ["a"] = trac }`:                      `:1: unknown name "trac"`,
		`actions = core.wsgi("", { respond "x" })`:                  `:1: unknown name "core"; write lua.plugin "core.lua" first`,
		`actions = { vr.req }`:                                      `:1: unknown name "vr"; it is the argument of a handler`,
		`actions = all { request.remoteip:ip "10.0.0.0/99" }`:       `:1: invalid ip address "10.0.0.0/99"`,
		`actions = when(request.path:match "(", { respond "x" })`:   `:1: failed to compile regex "("`,
		`actions = when(request.path == "/x", { respond "x" })`:     `:1: when: condition: expected a condition, got a boolean: compare with request.path:eq "/x"`,
		`actions = when(request.pth:eq "/x", { respond "x" })`:      `:1: unknown variable "request.pth"; did you mean "request.path"?`,
		`actions = when(request.path:begins "/x", {})`:              `unknown operator "begins"`,
		`actions = when(request.path, { respond "x" })`:             `request.path is not a condition; compare it`,
		`actions = header:add("X", "y")`:                            `called with a colon; use a dot: header.add(…)`,
		`actions = { setup.listen "127.0.0.1:1", respond "x" }`:     `listen is a setup: call it on a line of its own`,
		`local actions = respond "x"`:                               `"actions" is a local variable: remove "local"`,
		`action = respond "x"`:                                      `the global "action" was set: did you mean "actions"?`,
		`actions = { static }`:                                      `entry 1: static is a name, not a value; call it: static(…)`,
		`actions = { respond "x", nil, respond "y" }`:               `the list has a hole: entry 2 is nil`,
		`actions = { respond "x", a = respond "y" }`:                `cannot be a list and have named keys at once`,
		`actions = { respond "x", respond "y", a = respond "z" }`:   `cannot be a list and have named keys at once`,
		`actions = { respond "x", respond "y", [5] = respond "z" }`: `the list has a hole: entry 3 is nil`,
		`actions = respond("404", "x")`:                             `the status comes first, and is a number`,
		`actions = header.add("X", 5)`:                              `:1: header.add: value: expected a string (pattern), got a number`,
		`actions = header.add("X")`:                                 `value is missing; expected header.add(name, value)`,
		`actions = header.add("X", "y", "z")`:                       `expected header.add(name, value), got 3 arguments`,
		`actions = respond "%{req.pth}"`:                            `unknown variable "req.pth"; did you mean "request.path"?`,
		`setup.servr.tag "x" actions = respond "x"`:                 `unknown setup "servr.tag"; did you mean "server.tag"?`,
		`setup.docroot "/x" actions = respond "x"`:                  `it is an action: write action.docroot`,
		`actions = action.listen "127.0.0.1:1"`:                     `this is a setup: write setup.listen`,
		"actions = {\n respond 'x'\n respond 'y' }":                 `:3: syntax error near "respond"`,
		`actions = function(vr)`:                                    `the "function" of line 1 has no "end"`,
		`error("my own")`:                                           `:1: my own`,
		`local t = nil; actions = t.x`:                              `:1: attempt to index`,
	} {
		_, err := runtime.Load(writeScript(t, script), testConfig(&logBuffer{}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", script, err, want)
		}
	}
}

// A condition that nothing uses was probably lost in an "and".
func TestUnusedConditionIsAWarning(t *testing.T) {
	s := load(t, "local inside = request.remoteip:ip '10.0.0.0/8'\nactions = when(inside and request.path:prefix '/x', { respond 'secret' })")
	w := s.Warnings()
	if len(w) != 1 || !strings.Contains(w[0].String(), "site.lua:1: warning: the condition request.remoteip:ip(\"10.0.0.0/8\") is not used") {
		t.Errorf("warnings %v", w)
	}
	if s := load(t, "actions = when(all { request.path:prefix '/x', none { request.query:is() } }, { respond 'x' })"); len(s.Warnings()) != 0 {
		t.Errorf("warnings %v", s.Warnings())
	}
}

// Libraries may look for globals that are not there.
func TestRequiredLibraryMayProbe(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lib.lua"), []byte(`return { bits = bit or jit or "none" }`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := load(t, fmt.Sprintf(`package.path = %q; actions = respond(require("lib").bits)`, dir+"/?.lua"))
	if _, body := s.get("/"); body != "none" {
		t.Errorf("body %q", body)
	}
}

// Rules written as a hash keep the order in which they were written.
func TestHashKeepsItsOrder(t *testing.T) {
	for range 30 {
		s := load(t, `actions = { rewrite { ["^/a"] = "/first", ["^/a/b"] = "/second", ["^/"] = "/third" }, respond "%{req.path}" }`)
		if _, body := s.get("/a/b"); body != "/first" {
			t.Fatalf("body %q", body)
		}
	}
}

func TestHandlerFileThatNeverEnds(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	loop := write("loop.lua", "while true do end")
	self := write("self.lua", fmt.Sprintf("actions = action.lua.handler(%q)", filepath.Join(dir, "self.lua")))
	for _, tt := range []struct {
		file   string
		budget time.Duration
		want   string
	}{{loop, 100 * time.Millisecond, "time budget"}, {self, time.Minute, "does one name itself?"}} {
		s := loadWithBudget(t, tt.budget, fmt.Sprintf(`actions = lua.handler(%q)`, tt.file))
		if status, _ := s.get("/"); status != 500 {
			t.Errorf("%s: status %d, want 500", tt.file, status)
		}
		if !strings.Contains(s.log.String(), tt.want) {
			t.Errorf("%s: the log does not say why:\n%s", tt.file, s.log)
		}
	}
}

// What an editor has not saved stands in place of the files.
func TestUnsaved(t *testing.T) {
	file := writeScript(t, "actions = nope")
	dir := filepath.Dir(file)
	cfg := testConfig(&logBuffer{})
	cfg.Unsaved = map[string][]byte{
		file:                          []byte("lua.plugin 'new.lua'\nactions = { fromplugin() }"),
		filepath.Join(dir, "new.lua"): []byte("actions = { fromplugin = function() return action.respond('unsaved') end }"),
	}
	p, err := runtime.Load(file, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Body.String() != "unsaved" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}
