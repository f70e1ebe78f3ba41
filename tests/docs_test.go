package tests

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/tests/pki"
)

var luaBlock = regexp.MustCompile("(?s)```lua\n(.*?)```")

// TestDocs loads every Lua block of the documentation as a script.
func TestDocs(t *testing.T) {
	blocks := luaBlocks(t)
	exampleFiles(t)
	for name, block := range blocks {
		if err := loadExample(t, block); err != nil {
			t.Errorf("%s: %v\n%s", name, err, block)
		}
	}
}

// luaBlocks returns the Lua blocks of all pages by their place: "scripts.md:9".
func luaBlocks(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	pages = append(pages, "../README.md")
	blocks := map[string]string{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range luaBlock.FindAllStringSubmatchIndex(string(text), -1) {
			line := 1 + strings.Count(string(text[:m[0]]), "\n")
			blocks[fmt.Sprintf("%s:%d", filepath.Base(page), line)] = string(text[m[2]:m[3]])
		}
	}
	return blocks
}

// exampleFiles makes a working directory with the files that examples name.
func exampleFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, file := range []string{"users.txt", "htpasswd", "htdigest", "fortunes.txt"} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := pki.Authority(t, "CA")
	for _, name := range []string{"server", "example.net", "example.org"} {
		authority.Server(t, name).Write(t, name+".pem")
	}
}

func loadExample(t *testing.T, example string) error {
	if !strings.Contains(example, "actions =") {
		example += "\nactions = respond 'x'"
	}
	file := filepath.Join(t.TempDir(), "example.lua")
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(file, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return p.Close()
}
