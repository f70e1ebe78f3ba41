package main

import (
	"slices"
	"strings"
	"testing"
)

func TestDoc(t *testing.T) {
	for _, c := range []struct {
		args   []string
		code   int
		stdout []string // parts of it
		stderr string
	}{
		{nil, exitOK, []string{"\n  expire           Lets clients keep answers", "\n  core.lua         The actions core.wsgi"}, ""},
		{[]string{"expire"}, exitOK, []string{"module expire\n", "\naction expire(rule)\n\n  The rule is a base,", "\n    actions = { when("}, ""},
		{[]string{"header"}, exitOK, []string{"  header.add        Adds a field to the response header.\n"}, ""},
		{[]string{"log"}, exitOK, []string{"option log: a key-value list\n", "\n  log.write      Writes a message"}, ""},
		{[]string{"vr"}, exitOK, []string{"object vrequest\n", "\n  :handle_direct(): Claims the request"}, ""},
		{[]string{":prefix"}, exitOK, []string{"operator :prefix(value)\n\n  True when the variable begins with the value."}, ""},
		{[]string{"redirct"}, exitRefused, nil, `unknown name "redirct"; did you mean "redirect"?` + "\n"},
		{[]string{"htpass"}, exitRefused, nil, `unknown name "htpass"; did you mean "auth.htpasswd"?` + "\n"},
		{[]string{"is_handle"}, exitRefused, nil, `unknown name "is_handle"; look at request.is_handled, vrequest.is_handled` + "\n"},
		{[]string{"xyzzyq"}, exitRefused, nil, `unknown name "xyzzyq"` + "\n"},
		{[]string{"a", "b"}, exitUsage, nil, "accepts at most 1 arg(s), received 2\nsee luaserve doc --help\n"},
	} {
		got := luaserve(t, "", append([]string{"doc"}, c.args...)...)
		if got.code != c.code || got.stderr != c.stderr || (c.stdout == nil && got.stdout != "") {
			t.Errorf("doc %q: got %+v", c.args, got)
		}
		for _, part := range c.stdout {
			if !strings.Contains(got.stdout, part) {
				t.Errorf("doc %q: no %q in\n%s", c.args, part, got.stdout)
			}
		}
		if strings.Contains(got.stdout, "\x1b") {
			t.Errorf("doc %q: an escape sequence, but stdout is no terminal:\n%q", c.args, got.stdout)
		}
	}
}

func TestDocCompletion(t *testing.T) {
	got := luaserve(t, "", "__complete", "doc", "limit.")
	if names := strings.Split(got.stdout, "\n"); !slices.Contains(names, "limit.con_ip") {
		t.Errorf("got %q", names)
	}
}
