package tests

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/reference"
	"luaserve/runtime"
	"luaserve/scripts"
)

const referenceFile = "../docs/reference.md"

// TestReference compares docs/reference.md with the module tables; -update writes it anew.
func TestReference(t *testing.T) {
	got := newReference(t).Markdown()
	if *update {
		if err := os.WriteFile(referenceFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("docs/reference.md is stale; write it anew with: go test ./tests -run Reference -update")
	}
}

// newReference describes all that scripts can use.
func newReference(t *testing.T) *reference.Reference {
	t.Helper()
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil {
		t.Fatal(err)
	}
	return reference.New(bindings.Modules(), plugins...)
}

// TestEveryNameIsDocumented wants a sentence for everything that scripts can use, and an
// example that loads for every setup, action and option.
func TestEveryNameIsDocumented(t *testing.T) {
	exampleFiles(t)
	need := func(what, text string) {
		if !strings.HasSuffix(text, ".") {
			t.Errorf("%s: expected a sentence, got %q", what, text)
		}
	}
	for _, m := range bindings.Modules() {
		need("module "+m.Name, m.Doc)
		for _, s := range m.Setups {
			need("setup "+s.Name, s.Doc)
			checkExample(t, s.Name, s.Example)
		}
		for _, a := range m.Actions {
			need("action "+a.Name, a.Doc)
			checkExample(t, a.Name, a.Example)
		}
		for _, o := range m.Options {
			need("option "+o.Name, o.Doc)
			checkExample(t, o.Name, o.Example)
		}
		for _, o := range m.Objects {
			need("object "+o.Name, o.Doc)
			for _, f := range o.Fields {
				need(o.Name+"."+f.Name, f.Doc)
			}
			for _, f := range o.Methods {
				need(o.Name+":"+f.Name, f.Doc)
			}
		}
	}
}

// TestPluginsAreDocumented wants the same for what the built-in plugins register.
func TestPluginsAreDocumented(t *testing.T) {
	exampleFiles(t)
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil || len(plugins) < 2 {
		t.Fatalf("%d plugins: %v", len(plugins), err)
	}
	for _, plugin := range plugins {
		text, err := scripts.FS.ReadFile(plugin.Name)
		if err != nil {
			t.Fatal(err)
		}
		documented := map[string]bool{}
		for _, e := range append(plugin.Entries, plugin) {
			if !strings.HasSuffix(e.Doc, ".") {
				t.Errorf("%s: expected a sentence, got %q", e.Name, e.Doc)
			}
			documented[e.Name] = true
		}
		for _, e := range plugin.Entries {
			checkExample(t, e.Name, e.Example)
			for _, p := range e.Params {
				if p.Doc == "" {
					t.Errorf("%s: the parameter %s has no annotation", e.Name, p.Name)
				}
			}
		}
		_, table, _ := strings.Cut(string(text), "\nactions = {")
		for _, m := range regexp.MustCompile(`\["([\w.]+)"\] = `).FindAllStringSubmatch(table, -1) {
			if !documented[m[1]] {
				t.Errorf("%s has no comment on %s", plugin.Name, m[1])
			}
			delete(documented, m[1])
		}
		if delete(documented, plugin.Name); len(documented) > 0 {
			t.Errorf("%s describes what it does not register: %v", plugin.Name, documented)
		}
	}
}

// checkExample loads an example as a script.
func checkExample(t *testing.T, name, example string) {
	t.Helper()
	if example == "" {
		t.Errorf("%s has no example", name)
		return
	}
	if err := loadExample(t, example); err != nil {
		t.Errorf("the example of %s does not load: %v\n%s", name, err, example)
	}
}

// TestEveryTableOfOptions holds what is described of options against what the calls take: each
// name, with its default if it has one, and no other name.
func TestEveryTableOfOptions(t *testing.T) {
	exampleFiles(t)
	tables := 0
	check := func(kind, name string, params []runtime.Param) {
		call := kind + name + "("
		for _, p := range params {
			if len(p.Options) > 0 {
				tables++
				checkOptions(t, call, ")", p.Options)
			}
			call += `"handler", ` // a path, a file, or a level
		}
	}
	for _, m := range bindings.Modules() {
		for _, s := range m.Setups {
			check("setup.", s.Name, s.Params)
		}
		for _, a := range m.Actions {
			check("actions = action.", a.Name, a.Params)
		}
	}
	if tables < 20 {
		t.Errorf("%d calls take tables of options", tables)
	}
}

// checkOptions tries the options of a table that stands between before and after.
func checkOptions(t *testing.T, before, after string, options []runtime.TableOption) {
	t.Helper()
	try := func(name, value string) string {
		if err := loadExample(t, fmt.Sprintf("%s{ %s = %s }%s", before, name, value, after)); err != nil {
			return err.Error()
		}
		return ""
	}
	if got := try("nothing", "1"); !strings.Contains(got, `unknown option "nothing"`) {
		t.Errorf("%s{ nothing = 1 }%s: got %q", before, after, got)
	}
	for _, o := range options {
		if o.Doc == "" || o.Type == "" || strings.Contains(o.Name, "-") {
			t.Errorf("%s: the option %s needs words joined by _, a type and a description", before, o.Name)
		}
		for _, name := range []string{o.Name, `["` + strings.ReplaceAll(o.Name, "_", "-") + `"]`} {
			if o.Default == "" {
				continue
			}
			// others may be missing
			if got := try(name, o.Default); strings.Contains(got, o.Name+": ") || strings.Contains(got, "unknown") {
				t.Errorf("%s{ %s = %s }%s: %s", before, name, o.Default, after, got)
			}
		}
		if len(o.Options) > 0 {
			open, end := "", ""
			if strings.Contains(o.Type, "table[]") {
				open, end = "{ ", " }"
			}
			checkOptions(t, before+"{ "+o.Name+" = "+open, end+" }"+after, o.Options)
		}
	}
}
