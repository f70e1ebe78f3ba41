package tests

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// allowedImports says which packages of this module a folder may import. Imports point one
// way: cmd to server and bindings, those to runtime; codecs and scripts stand alone.
var allowedImports = map[string][]string{
	"runtime":            {"runtime/luafast", "runtime/luastring", "runtime/luaio", "runtime/luatext"},
	"runtime/luafast":    {},
	"runtime/luatext":    {},
	"runtime/luastring":  {},
	"runtime/luaio":      {"runtime/luastring"},
	"scripts":            {},
	"reference":          {"runtime"},
	"explain":            {"runtime"},
	"replay":             {"runtime", "explain"},
	"repl":               {"runtime", "explain"},
	"sitetest":           {"runtime", "runtime/luastring", "explain"},
	"playground":         {"runtime", "explain", "reference"},
	"devpage":            {"runtime"},
	"lint":               {"runtime", "runtime/luatext"},
	"lint/report":        {"runtime", "runtime/luatext", "lint"},
	"bindings/upstream":  {},
	"bindings/balancer":  {},
	"bindings/fcgi":      {"bindings/upstream"},
	"bindings/scgi":      {"bindings/upstream", "bindings/fcgi"},
	"bindings/cgi":       {"bindings/upstream", "bindings/fcgi"},
	"bindings/httpproxy": {"bindings/upstream"},
	"bindings/certs":     {},
	"bindings/memcached": {"bindings/upstream"},
	"bindings": {"runtime", "explain", "bindings/upstream", "bindings/balancer", "bindings/fcgi", "bindings/scgi", "bindings/cgi",
		"bindings/httpproxy", "bindings/memcached", "bindings/certs"},
	"server":   {"runtime"},
	"cmd":      {"runtime", "server", "bindings", "bindings/fcgi", "reference", "explain", "playground", "replay", "repl", "sitetest", "scripts", "lint", "devpage"},
	"examples": {"runtime", "server", "bindings", "scripts"},
	"bench":    {},
	"tests":    {"runtime", "server", "bindings", "reference", "scripts", "tests/backend", "tests/pki"},
}

// allowedModules are the modules that each folder may use besides the standard library.
var allowedModules = map[string][]string{
	"runtime":            {"github.com/yuin/gopher-lua", "layeh.com/gopher-luar"},
	"runtime/luafast":    {"github.com/yuin/gopher-lua"},
	"runtime/luastring":  {"github.com/yuin/gopher-lua"},
	"runtime/luaio":      {"github.com/yuin/gopher-lua"},
	"scripts":            {},
	"reference":          {},
	"explain":            {},
	"replay":             {},
	"repl":               {},
	"sitetest":           {"github.com/yuin/gopher-lua"},
	"playground":         {},
	"runtime/luatext":    {},
	"lint":               {"github.com/yuin/gopher-lua/ast", "github.com/yuin/gopher-lua/parse"},
	"lint/report":        {},
	"devpage":            {},
	"server":             {"github.com/pires/go-proxyproto", "golang.org/x/sys"},
	"bindings/upstream":  {},
	"bindings/balancer":  {},
	"bindings/fcgi":      {"github.com/yookoala/gofast"},
	"bindings/scgi":      {},
	"bindings/cgi":       {},
	"bindings/httpproxy": {},
	"bindings/memcached": {},
	"bench":              {},
	"bindings/certs":     {"golang.org/x/crypto"},
}

func TestImportsPointOneWay(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		checkImports(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkImports(t *testing.T, path string) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	folder := folderOf(strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../"))
	own, known := allowedImports[folder]
	if !known {
		t.Errorf("%s: the folder %q is not in the list of who may import whom", path, folder)
		return
	}
	for _, imp := range file.Imports {
		name := strings.Trim(imp.Path.Value, `"`)
		if inside, ok := strings.CutPrefix(name, "luaserve/"); ok {
			if f := folderOf(inside); f != folder && !hasPrefixOf(own, inside) {
				t.Errorf("%s imports %s, which %s must not", path, name, folder)
			}
			continue
		}
		modules, limited := allowedModules[folder]
		if external := strings.Contains(strings.SplitN(name, "/", 2)[0], "."); limited && external && !hasPrefixOf(modules, name) {
			t.Errorf("%s imports %s, which %s must not", path, name, folder)
		}
	}
}

// folderOf returns the entry of the list that a folder belongs to.
func folderOf(dir string) string {
	if _, ok := allowedImports[dir]; ok {
		return dir
	}
	first, _, _ := strings.Cut(dir, "/")
	return first
}

func hasPrefixOf(list []string, name string) bool {
	for _, p := range list {
		if name == p || strings.HasPrefix(name, p+"/") {
			return true
		}
	}
	return false
}
