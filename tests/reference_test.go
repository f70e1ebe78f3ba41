package tests

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/reference"
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
