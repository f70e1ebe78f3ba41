package main

import (
	"os"
	"strings"
	"testing"
)

func TestAnnotations(t *testing.T) {
	want, err := os.ReadFile("../../editor/lighty.d.lua")
	if err != nil {
		t.Fatal(err)
	}
	if got := luaserve(t, "", "annotations"); got != (result{exitOK, string(want), ""}) {
		t.Errorf("it is not editor/lighty.d.lua: exit %d, %d bytes, %s", got.code, len(got.stdout), got.stderr)
	}
	got := luaserve(t, "../../examples/plugin", "annotations", "edge.lua")
	for _, line := range []string{"\nfunction action.edge.guard() end\n", "\nfunction action.edge.health(actions) end\n", "\nedge = action.edge\n"} {
		if !strings.Contains(got.stdout, line) {
			t.Errorf("with edge.lua there is no line %q; exit %d, %s", line, got.code, got.stderr)
		}
	}
}

func TestAnnotationsErrors(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "bad.lua", "-- x.y(a): does it.\n---@param b string\n")
	for _, c := range []struct{ file, want string }{
		{"missing.lua", "open missing.lua: no such file or directory\n"},
		{"bad.lua", "bad.lua: x.y: there is no parameter b: @param b string\n"},
	} {
		if got := luaserve(t, dir, "annotations", c.file); got != (result{exitRefused, "", c.want}) {
			t.Errorf("got %+v, want %q", got, c.want)
		}
	}
}
