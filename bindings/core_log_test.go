package bindings_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Each level goes to its target, the action counts for the rest of the request, and a level
// that is named is written although the server's own log would not have it.
func TestLogTargets(t *testing.T) {
	site := luaScript(t, `
		setup.log { debug = "@DIR@/debug.log", warning = "", default = "file:@DIR@/rest.log" }
		actions = {
			when(request.path:eq "/levels", { function(vr) vr:debug("a debug"); vr:info("an info"); vr:warning("a warning"); vr:error("an error") end }),
			when(request.path:eq "/own", { action.log { ["*"] = "stderr" }, function(vr) vr:error("to the server") end }),
			when(request.path:eq "/broken", { function(vr) error("it broke") end }),
			when(request.path:eq "/backend", { action.log { backend = "@DIR@/backend.log" }, cgi { program = { "/bin/sh", "-c", "echo complaint >&2; printf 'X: y\\n\\n'" } } }),
			respond "ok" }`)
	for _, path := range []string{"/levels", "/own", "/broken", "/backend"} {
		site.get(path)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(site.dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	// what a program writes to stderr is read beside its answer
	for deadline := time.Now().Add(10 * time.Second); read("backend.log") == "" && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	for name, want := range map[string][]string{
		"debug.log":   {"a debug"},
		"rest.log":    {"an info", "an error", "it broke"},
		"backend.log": {"complaint"},
	} {
		text := read(name)
		if lines := strings.Count(text, "\n"); lines != len(want) {
			t.Errorf("%s has %d lines:\n%s", name, lines, text)
		}
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s has no %q:\n%s", name, w, text)
			}
		}
	}
	own := site.log.String()
	if !strings.Contains(own, "to the server") || strings.Contains(own, "an info") || strings.Contains(own, "a warning") {
		t.Errorf("the server's own log:\n%s", own)
	}
}

func TestLogTargetErrors(t *testing.T) {
	for call, want := range map[string]string{
		`{ eror = "stderr" }`:           `unknown level "eror"; did you mean "error"?`,
		`{ fatal = "stderr" }`:          `unknown level "fatal"; expected one of debug, info, warning, error, abort, backend, default`,
		`{ error = 5 }`:                 "error: expected a target, got a number",
		`{ error = "syslog:" }`:         `error: "syslog:": logging to pipes and to syslog is not supported`,
		`{ error = "/nowhere/at/all" }`: "no such file or directory",
	} {
		err := loadError(t, "setup.log "+call)
		if err == nil || !strings.Contains(err.Error(), "site.lua:1: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", call, err, want)
		}
	}
}
