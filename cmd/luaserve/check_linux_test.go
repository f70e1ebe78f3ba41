package main

import (
	"strings"
	"testing"
)

// On a terminal an error of a script comes with its line and a mark, in colours unless
// NO_COLOR is set; the first line is what it is elsewhere.
func TestErrorsOnATerminal(t *testing.T) {
	file := writeFile(t, t.TempDir(), "site.lua", "actions = {\n\tredirct '/x',\n}")
	first := file + `:2: unknown action "redirct"; did you mean "redirect"?`
	plain := first + `
    2 | 	redirct '/x',
      | 	^^^^^^^
      = hint: write redirect
`
	for _, command := range []string{"check", "run"} {
		got := strings.ReplaceAll(onTerminal(t, 80, "NO_COLOR=1", command, file), "\r", "")
		if spaced(got) != spaced(plain) {
			t.Errorf("%s: got\n%s\nwant\n%s", command, got, plain)
		}
		got = onTerminal(t, 80, "NO_COLOR=", command, file)
		if !strings.HasPrefix(got, first) || !strings.Contains(got, "\x1b[1;31m^^^^^^^\x1b[0m") {
			t.Errorf("%s: got\n%q", command, got)
		}
		if got := luaserve(t, "", command, file); got != (result{exitRefused, "", first + "\n"}) {
			t.Errorf("%s without a terminal: %+v", command, got)
		}
	}
}

func TestFindingsOnATerminal(t *testing.T) {
	file := writeFile(t, t.TempDir(), "site.lua", "server.tag 'x'\nactions = respond 'x'")
	if got := onTerminal(t, 80, "NO_COLOR=", "check", file); !strings.Contains(got, "\x1b[1;33mwarning\x1b[0m: server.tag changes nothing") {
		t.Errorf("got %q", got)
	}
	for _, env := range []string{"NO_COLOR=1", "TERM=dumb"} {
		if got := onTerminal(t, 80, env, "check", file); strings.Contains(got, "\x1b") || !strings.Contains(got, "warning: server.tag") {
			t.Errorf("%s: got %q", env, got)
		}
	}
}

// spaced replaces tabs, which some terminals write as spaces.
func spaced(s string) string {
	return strings.Join(strings.Fields(s), " ")
}
