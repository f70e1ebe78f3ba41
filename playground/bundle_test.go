package playground_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What web/ was bundled from and to is what is there: neither the sources nor the bundle have
// been changed alone. It needs no npm.
func TestBundleIsUpToDate(t *testing.T) {
	list, err := os.ReadFile("web/built.sha256")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(list)) {
		want, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			t.Fatalf("what does %q mean?", line)
		}
		names = append(names, name)
		text, err := os.ReadFile(filepath.Join("web", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != want {
			t.Errorf("web/%s has changed since the page was bundled; go generate ./playground does it again", name)
		}
	}
	for _, pattern := range []string{"web/src/*", "web/*.json", "web/*.mjs", "assets/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Errorf("%s: no files, %v", pattern, err)
		}
		for _, file := range found {
			if name, _ := filepath.Rel("web", file); !slices.Contains(names, filepath.ToSlash(name)) {
				t.Errorf("%s is new; go generate ./playground bundles it", file)
			}
		}
	}
}

// The licences of what is bundled are served with it.
func TestLicences(t *testing.T) {
	text, err := os.ReadFile("assets/LICENSES.txt")
	if err != nil {
		t.Fatal(err)
	}
	packages, err := os.ReadFile("web/package.json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(packages)) {
		if name, _, ok := strings.Cut(strings.Trim(line, " ,\n"), ": "); ok && (strings.HasPrefix(name, `"@codemirror/`) || strings.HasPrefix(name, `"@lezer/`)) {
			if !strings.Contains(string(text), "\n"+strings.Trim(name, `"`)+" ") {
				t.Errorf("the licence of %s is missing", name)
			}
		}
	}
	if n := strings.Count(string(text), "Permission is hereby granted"); n < 8 {
		t.Errorf("only %d licences", n)
	}
}
