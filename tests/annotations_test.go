package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/yuin/gopher-lua/parse"
)

const annotationsFile = "../editor/lighty.d.lua"

// TestAnnotations compares editor/lighty.d.lua with the module tables; -update writes it anew.
func TestAnnotations(t *testing.T) {
	got := newReference(t).Annotations()
	if *update {
		if err := os.WriteFile(annotationsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(annotationsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Error("editor/lighty.d.lua is stale; write it anew with: go test ./tests -run Annotations -update")
	}
	if _, err := parse.Parse(strings.NewReader(got), "lighty.d.lua"); err != nil {
		t.Errorf("it is not Lua: %v", err)
	}
}

var (
	classDefined = regexp.MustCompile(`(?m)^---@(?:class|alias) (lighty[\w.]*)`)
	classUsed    = regexp.MustCompile(`\blighty\.[\w.]*\w`)
	annotation   = regexp.MustCompile(`(?m)^---@(?:param|return|field|type|alias|overload) .*`)
	// the part behind the type may be prose about the global lighty
	annotatedType = regexp.MustCompile(`^---@(?:(?:param|field) \S+ (\S+)|(?:return|type|alias|overload) (.*))`)
)

// Every type that an annotation names is defined, so no field or method has a misspelt one.
func TestAnnotationsUseDefinedTypes(t *testing.T) {
	text := newReference(t).Annotations()
	defined := map[string]bool{}
	for _, m := range classDefined.FindAllStringSubmatch(text, -1) {
		if defined[m[1]] {
			t.Errorf("%s is defined twice", m[1])
		}
		defined[m[1]] = true
	}
	used := 0
	for _, line := range annotation.FindAllString(text, -1) {
		m := annotatedType.FindStringSubmatch(line)
		for _, name := range classUsed.FindAllString(m[1]+m[2], -1) {
			used++
			if !defined[name] {
				t.Errorf("%s is not defined: %s", name, line)
			}
		}
	}
	if used < 100 {
		t.Errorf("only %d types are used", used)
	}
}

// Every name that the annotations define without action or setup before it is there in a
// script, and is not a library of Lua.
func TestAnnotatedBareNames(t *testing.T) {
	_, bare, _ := strings.Cut(newReference(t).Annotations(), "\n-- the same names")
	script := "lua.plugin 'core.lua'\nlua.plugin 'secdownload.lua'\n"
	names := regexp.MustCompile(`(?m)^(\w+) = `).FindAllStringSubmatch(bare, -1)
	for _, m := range names {
		script += fmt.Sprintf("assert(tostring(%s) == '%[1]s' or tostring(%[1]s) == '<%[1]s>', '%[1]s is ' .. tostring(%[1]s))\n", m[1])
	}
	if err := loadExample(t, script); err != nil || len(names) < 30 {
		t.Errorf("%d names: %v", len(names), err)
	}
}

// TestEditor has lua-language-server, where it is installed, check this repository's scripts
// and all examples of the documentation with the annotations: it must find nothing.
func TestEditor(t *testing.T) {
	server, err := exec.LookPath("lua-language-server")
	if err != nil {
		t.Skip("lua-language-server is not installed")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(".luarc.json", `{"runtime.version": "Lua 5.1"}`)
	write("lighty.d.lua", newReference(t).Annotations())
	for name, block := range luaBlocks(t) {
		write(strings.NewReplacer(":", "-", "/", "-").Replace(name)+".lua", block)
	}
	for _, pattern := range []string{"../scripts/*.lua", "../examples/*/site*.lua", "../cmd/luaserve/demo/site/*.lua", "../cmd/luaserve/starter/*.lua"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			write(strings.ReplaceAll(strings.TrimPrefix(file, "../"), "/", "-"), string(text))
		}
	}
	out, err := exec.CommandContext(t.Context(), server, "--check", dir, "--checklevel=Information", "--logpath="+t.TempDir()).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
