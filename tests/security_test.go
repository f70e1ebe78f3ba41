package tests

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"luaserve/bindings"
)

// handlerFiles is a site with Lua files in its document root and above it.
const handlerFiles = `
setup.listen "$A"
actions = { docroot "$DIR/www", index("index.lua", "handler.lua"), static(), respond(404, "none") }`

// A Lua file runs when the script of the site names it, and not because a URL or a directory
// leads to it, be it in the document root or above.
func TestLuaFilesAreNotRun(t *testing.T) {
	dir := t.TempDir()
	code := `actions = function(vr) vr:handle_direct() vr.resp.status = 200 vr.out:add("it " .. "ran") end _G.ran = io.open("` + dir + `/ran", "w")`
	for _, name := range []string{"handler.lua", "index.lua", "www/handler.lua", "www/index.lua", "www/sub/handler.lua", "www/sub/.lua"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, strings.ReplaceAll(handlerFiles, "$DIR", dir))
	for _, path := range []string{
		"/", "/sub/", "/sub", "/handler.lua", "/index.lua", "/sub/handler.lua", "/sub/handler.lua/x", "/sub/.lua", "/../handler.lua", "/%2e%2e/handler.lua",
		"/sub/../../handler.lua", "/x/handler.lua", "/sub/x", "/handler.lua?x", "/HANDLER.LUA", "/handler.lua%20", "/handler.lua.",
	} {
		for _, a := range sendRaw(t, r.addr(0), "GET "+path+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") {
			if strings.Contains(string(a.body), "it ran") {
				t.Errorf("%s: the file ran", path)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("a file was loaded")
	}
}

// Nothing that comes from a client or a backend is decompressed, so that no bomb has anything
// to go off in.
func TestNothingDecompresses(t *testing.T) {
	reader := regexp.MustCompile(`\b(gzip|flate|zlib|brotli|zstd|bzip2|lzw)\.(NewReader\w*|NewDecoder)\b`)
	eachSource(t, func(path string, src []byte) {
		if use := reader.Find(src); use != nil {
			t.Errorf("%s uses %s: bound what comes out, and say so in docs/security.md", path, use)
		}
	})
}

// Nothing parses multipart bodies, so that no such parser can be overrun.
func TestNothingParsesMultipart(t *testing.T) {
	parser := regexp.MustCompile(`"mime/multipart"|\.(MultipartReader|ParseMultipartForm|FormFile|FormValue|PostFormValue)\(`)
	eachSource(t, func(path string, src []byte) {
		if use := parser.Find(src); use != nil {
			t.Errorf("%s uses %s: bound what it reads, fuzz it, and say so in docs/security.md", path, use)
		}
	})
}

// eachSource calls f with each Go file that becomes part of the server.
func eachSource(t *testing.T, f func(path string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.HasPrefix(path, "../tests/") || strings.HasPrefix(path, "../bench/") {
			return err
		}
		src, err := os.ReadFile(path)
		f(path, src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// docs/security.md says which test covers each incident of comparable servers. Each test is there.
func TestSecurityTable(t *testing.T) {
	doc, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (\d+) \| .* \| (.*) \|$`)
	named := regexp.MustCompile("`(\\w+)` \\(([\\w/.]+)\\)")
	rows := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(doc), -1) {
		rows[m[1]] = true
		tests := named.FindAllStringSubmatch(m[2], -1)
		if len(tests) == 0 {
			t.Errorf("incident %s has no test", m[1])
		}
		for _, test := range tests {
			if !hasFunction(t, test[2], test[1]) {
				t.Errorf("incident %s: %s has no test %s", m[1], test[2], test[1])
			}
		}
	}
	for n := 1; n <= 29; n++ {
		if !rows[fmt.Sprint(n)] {
			t.Errorf("there is no row for incident %d", n)
		}
	}
}

// docs/security.md names what untrusted scripts may use.
func TestUntrustedNamesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range bindings.Modules() {
		for _, name := range append(m.Untrusted, m.Trusted...) {
			if !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("docs/security.md does not name %s", name)
			}
		}
	}
}

// hasFunction reports whether a file of tests has a function.
func hasFunction(t *testing.T, path, name string) bool {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", path), nil, 0)
	if err != nil {
		t.Error(err)
		return false
	}
	return file.Scope.Lookup(name) != nil
}
