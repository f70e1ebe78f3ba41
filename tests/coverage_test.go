package tests

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/reference"
	"luaserve/scripts"
)

const coverageFile = "../docs/coverage.md"

// missing says why a name of lighttpd2 is unknown here: using it is a load error.
var missing = map[string]string{}

// TestCoverage holds what lighttpd2 documents against the tables of the modules: every name
// is there, or it is said why not; docs/coverage.md tells readers. -update writes it anew.
func TestCoverage(t *testing.T) {
	names, err := os.ReadFile("testdata/lighttpd2-names.txt")
	if err != nil {
		t.Fatal(err)
	}
	here := ourNames(t)
	var b strings.Builder
	b.WriteString("# Coverage of lighttpd2\n\nEvery setup, action and option that lighttpd2's documentation lists, and what it is here. " +
		"This page is made from the tables of the modules.\n\n| name | kind | module there | here |\n| --- | --- | --- | --- |\n")
	for line := range strings.Lines(string(names)) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		answer, ok := here[f[1]+" "+f[0]]
		reason, isMissing := missing[f[0]]
		switch {
		case ok && isMissing:
			t.Errorf("%s is there: take it off the list of what is missing", f[0])
		case !ok && !isMissing:
			t.Errorf("%s %s of lighttpd2 is neither there nor explained", f[1], f[0])
		case !ok:
			answer = "missing: " + reason
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f[0], f[1], f[2], answer)
	}
	if *update {
		if err := os.WriteFile(coverageFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(coverageFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Error("docs/coverage.md is stale; write it anew with: go test ./tests -run Coverage -update")
	}
}

// ourNames returns what there is by "kind name", with what a reader is told of it. An
// option is a setup and an action too.
func ourNames(t *testing.T) map[string]string {
	names := map[string]string{}
	add := func(kind, name, noEffect string) {
		names[kind+" "+name] = "yes"
		if noEffect != "" {
			names[kind+" "+name] = "accepted, no effect: " + noEffect
		}
	}
	for _, m := range bindings.Modules() {
		for _, s := range m.Setups {
			add("setup", s.Name, s.NoEffect)
		}
		for _, a := range m.Actions {
			add("action", a.Name, a.NoEffect)
		}
		for _, o := range m.Options {
			for _, kind := range []string{"setup", "action", "option"} {
				add(kind, o.Name, o.NoEffect)
			}
		}
	}
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, plugin := range plugins {
		for _, e := range plugin.Entries {
			names[string(e.Kind)+" "+e.Name] = fmt.Sprintf("yes, in the plugin `%s`", plugin.Name)
		}
	}
	return names
}
