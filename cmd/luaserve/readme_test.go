package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"luaserve/tests/pki"
)

// codeBlocks returns the blocks of a language in a Markdown file.
func codeBlocks(t *testing.T, file, language string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) == 0 {
		t.Errorf("%s has no block of %s", file, language)
	}
	return blocks
}

// What the README shows must work.
func TestReadme(t *testing.T) {
	const readme = "../../README.md"
	dir := t.TempDir()
	for _, host := range []string{"example.net", "example.org"} {
		pki.Authority(t, "CA").Server(t, host).Write(t, filepath.Join(dir, host+".pem"))
	}
	for _, script := range codeBlocks(t, readme, "lua") {
		file := writeFile(t, dir, "site.lua", script)
		if got := luaserve(t, dir, "check", file); got.code != exitOK {
			t.Errorf("%s\n%s", got.stderr, script)
		}
	}
	embed, err := os.ReadFile("../../examples/embed/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if block := codeBlocks(t, readme, "go")[0]; block != string(embed) {
		t.Error("the Go program in the README is not examples/embed/main.go")
	}
	commands := strings.Join(codeBlocks(t, readme, "sh"), "")
	for _, command := range []string{"go run ./cmd/luaserve demo", "go test ./..."} {
		if !strings.Contains(commands, command+" ") {
			t.Errorf("the README does not say %q", command)
		}
	}
}
