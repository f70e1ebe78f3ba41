package tests

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/runtime"
)

const referenceFile = "../docs/reference.md"

// TestReference compares docs/reference.md with the module tables; -update writes it anew.
func TestReference(t *testing.T) {
	got := reference(bindings.Modules())
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

// reference prints the tables of the modules as Markdown.
func reference(modules []*runtime.Module) string {
	var b strings.Builder
	b.WriteString("# Reference\n\nEverything that a script can use. This page is made from the tables of the modules.\n\n")
	b.WriteString("Setups are called while the script is loaded: `setup.listen \"127.0.0.1:8080\"`. Actions make up the pipeline: `action.respond \"hello\"`, or just `respond \"hello\"`. " +
		"An option is both: as a setup it counts for all requests, as an action for the rest of one.\n\n")
	writeConditions(&b)
	for _, m := range modules {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", m.Name, m.Doc)
		for _, s := range m.Setups {
			writeEntry(&b, "setup "+usage(s.Name, s.Params), withReason(s.Doc, s.NoEffect), s.Params, s.Example)
		}
		for _, a := range m.Actions {
			writeEntry(&b, usage(a.Name, a.Params), withReason(a.Doc, a.NoEffect), a.Params, a.Example)
		}
		for _, o := range m.Options {
			writeEntry(&b, fmt.Sprintf("option %s: %s", o.Name, o.Type), withReason(o.Doc, o.NoEffect), nil, o.Example)
		}
		for _, o := range m.Objects {
			writeObject(&b, o)
		}
	}
	return b.String()
}

// withReason says in the reference what the log says when a name has no effect.
func withReason(doc, noEffect string) string {
	if noEffect == "" {
		return doc
	}
	return doc + " Accepted without an effect: " + noEffect + "."
}

func writeConditions(b *strings.Builder) {
	b.WriteString("## Conditions\n\nA condition compares a variable: `request.path:prefix \"/x\"`. `all{…}`, `any{…}` and `none{…}` combine conditions; a boolean variable alone stands for `:is()`.\n\n")
	b.WriteString("| variable | in a pattern | meaning |\n| --- | --- | --- |\n")
	for _, v := range runtime.Variables() {
		key := ""
		if v.Keyed {
			key = `["name"]`
		}
		pattern := "%{" + v.Name + "}"
		if v.Keyed {
			pattern = "%{" + v.Name + "[name]}"
		}
		fmt.Fprintf(b, "| `%s%s` | `%s` | %s |\n", v.Name, key, pattern, v.Doc)
	}
	b.WriteString("\n| operator | in lighttpd2 | true when the variable |\n| --- | --- | --- |\n")
	for _, o := range runtime.Operators() {
		sign := "`" + o.Sign + "`"
		if o.Sign == "" {
			sign = ""
		}
		fmt.Fprintf(b, "| `:%s` | %s | %s |\n", o.Name, sign, o.Doc)
	}
	b.WriteString("\n")
}

func usage(name string, params []runtime.Param) string {
	parts := make([]string, len(params))
	for i, p := range params {
		parts[i] = p.Name
		if p.Optional {
			parts[i] = "[" + p.Name + "]"
		}
	}
	return name + "(" + strings.Join(parts, ", ") + ")"
}

func writeEntry(b *strings.Builder, title, doc string, params []runtime.Param, example string) {
	fmt.Fprintf(b, "### %s\n\n%s\n\n", title, doc)
	for _, p := range params {
		fmt.Fprintf(b, "- `%s`: %s", p.Name, p.Type)
		if p.Optional {
			b.WriteString(", optional")
		}
		if p.Doc != "" {
			b.WriteString("; " + p.Doc)
		}
		b.WriteString("\n")
	}
	if len(params) > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(b, "```lua\n%s\n```\n\n", example)
}

func writeObject(b *strings.Builder, o *runtime.Object) {
	call := ":"
	if o.Global != "" {
		call = "."
	}
	fmt.Fprintf(b, "### object %s\n\n%s\n\n", o.Name, o.Doc)
	for _, f := range o.Fields {
		access := " (read only)"
		if f.Set != nil {
			access = ""
		}
		fmt.Fprintf(b, "- `.%s`%s: %s\n", f.Name, access, f.Doc)
	}
	for _, m := range o.Methods {
		fmt.Fprintf(b, "- `%s%s(%s)`: %s\n", call, m.Name, m.Args, m.Doc)
	}
	b.WriteString("\n")
}
