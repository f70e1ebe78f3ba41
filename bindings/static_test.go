package bindings

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

// staticSite is a document root with a script that serves it.
type staticSite struct {
	*runtime.Program
	dir  string // holds root and what lies beside it
	root string
	log  *bytes.Buffer
}

// staticTime is the time of the last change of every test file.
var staticTime = time.Date(2001, 9, 9, 1, 46, 40, 123456789, time.UTC)

const staticDate = "Sun, 09 Sep 2001 01:46:40 GMT"

// probeModule has two actions for the tests: place(docroot, path) does what a script can do
// to vr.phys, and mime_type() answers with the type of the URL's path.
func probeModule() *runtime.Module {
	return &runtime.Module{Name: "probe", Actions: []runtime.ActionDef{
		{Name: "place",
			Params: []runtime.Param{{Name: "docroot", Type: runtime.TString}, {Name: "path", Type: runtime.TString}},
			New: func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
				docroot, path := args.Str(0), args.Str(1)
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					vr.Physical.DocRoot, vr.Physical.Path = docroot, path
					return nil
				}), nil
			}},
		{Name: "mime_type",
			New: func(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
				types := b.Option("mime_types")
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					vr.HandleDirect()
					vr.Response.Status = 200
					vr.Out.AddString(vr.Option(types).(*mimeTable).lookup(vr.Request.URI.Path))
					return nil
				}), nil
			}},
	}}
}

// loadStatic runs a script in which @DIR@ and @ROOT@ stand for the directories. files are
// below @DIR@.
func loadStatic(t testing.TB, script string, files map[string]string) (*staticSite, error) {
	t.Helper()
	dir := t.TempDir()
	s := &staticSite{dir: dir, root: filepath.Join(dir, "www"), log: &bytes.Buffer{}}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, staticTime, staticTime); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "site.lua")
	script = strings.NewReplacer("@DIR@", dir, "@ROOT@", s.root).Replace(script)
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(file, runtime.Config{
		Modules: append(Modules(), probeModule()),
		Log:     slog.New(slog.NewTextHandler(s.log, nil)),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { p.Close() })
	s.Program = p
	return s, nil
}

var staticFiles = map[string]string{
	"www/a.txt":      "file a\n",
	"www/range.txt":  "0123456789abcdefghijklmnopqrstuvwxyz",
	"www/empty.txt":  "",
	"www/sub/x.html": "sub x\n",
	"www/code.php":   "<?php\n",
	"www/backup~":    "backup\n",
	"www-secret/s":   "secret\n",
	"secret/s":       "secret\n",
}

func newStaticSite(t testing.TB, script string) *staticSite {
	t.Helper()
	s, err := loadStatic(t, script, staticFiles)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const plainStatic = `actions = { docroot "@ROOT@", static() }`

// ask sends a request; header holds names and values in turn.
func (s *staticSite) ask(method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://host/", nil)
	r.RequestURI = target
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	for name, values := range w.Header().Clone() { // names are sent as they were written
		delete(w.Header(), name)
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	return w
}

func TestStaticAnswers(t *testing.T) {
	s := newStaticSite(t, plainStatic)
	for _, c := range []struct {
		method, target string
		status         int
		body           string // not compared for errors
	}{
		{"GET", "/a.txt", 200, "file a\n"},
		{"HEAD", "/a.txt", 200, ""},
		{"GET", "/a.txt?query", 200, "file a\n"},
		{"GET", "/empty.txt", 200, ""},
		{"GET", "/sub/x.html", 200, "sub x\n"},
		{"GET", "/missing", 404, ""},
		{"GET", "/A.TXT", 404, ""},
		{"GET", "/a.txt/", 404, ""},
		{"GET", "/a.txt/x", 404, ""},
		{"GET", "/sub", 404, ""},
		{"GET", "/sub/", 404, ""},
		{"GET", "/", 404, ""},
		{"GET", "/" + strings.Repeat("n", 300), 414, ""},
		{"POST", "/a.txt", 405, ""},
		{"OPTIONS", "/missing", 405, ""},
		{"OPTIONS", "*", 405, ""},
		{"get", "/a.txt", 405, ""},
	} {
		r := s.ask(c.method, c.target, "Content-Length", "0")
		if r.Code != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.target, r.Code, c.status)
		}
		if allow := r.Header().Get("Allow"); (c.status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow %q", c.method, c.target, allow)
		}
		if c.status != 200 {
			continue
		}
		if got := r.Body.String(); got != c.body {
			t.Errorf("%s %s: body %q, want %q", c.method, c.target, got, c.body)
		}
		for name, want := range map[string]string{"Last-Modified": staticDate, "Accept-Ranges": "bytes", "Content-Type": octetStream} {
			if got := r.Header().Get(name); got != want {
				t.Errorf("%s %s: %s %q, want %q", c.method, c.target, name, got, want)
			}
		}
	}
}

func TestStaticHeadHasTheLength(t *testing.T) {
	s := newStaticSite(t, plainStatic)
	server := httptest.NewServer(s)
	defer server.Close()
	for header, want := range map[string]int64{"": 36, "bytes=0-3": 4, "bytes=0-1,3-4": 205} {
		req, _ := http.NewRequest("HEAD", server.URL+"/range.txt", nil)
		if header != "" {
			req.Header.Set("Range", header)
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.ContentLength != want {
			t.Errorf("Range %q: length %d, want %d", header, r.ContentLength, want)
		}
	}
}

func TestStaticLeavesToOthers(t *testing.T) {
	for _, c := range []struct {
		name, script, method, target string
		status                       int
		body, header                 string
	}{
		{"handled already", `actions = { respond "early", docroot "@ROOT@", static() }`, "GET", "/a.txt", 200, "early", ""},
		{"no docroot", `actions = { static(), header.add("X-After", "1"), respond "late" }`, "GET", "/a.txt", 200, "late", "1"},
		{"a directory", `actions = { docroot "@ROOT@", static(), respond "late" }`, "GET", "/sub", 200, "late", ""},
		{"missing: the list goes on", `actions = { docroot "@ROOT@", static(), header.add("X-After", "1"), respond "late" }`, "GET", "/none", 404, "", "1"},
		{"no_fail, found", `actions = { docroot "@ROOT@", static_no_fail(), respond "late" }`, "GET", "/a.txt", 200, "file a\n", ""},
		{"no_fail, missing", `actions = { docroot "@ROOT@", static_no_fail(), respond "late" }`, "GET", "/none", 200, "late", ""},
		{"no_fail, method", `actions = { docroot "@ROOT@", static_no_fail(), respond "late" }`, "PUT", "/a.txt", 200, "late", ""},
		{"no_fail, excluded", `actions = { docroot "@ROOT@", static.exclude_extensions ".php", static_no_fail(), respond "late" }`, "GET", "/code.php", 200, "late", ""},
	} {
		r := newStaticSite(t, c.script).ask(c.method, c.target)
		if r.Code != c.status || (c.body != "" && r.Body.String() != c.body) || r.Header().Get("X-After") != c.header {
			t.Errorf("%s: %d %q %v", c.name, r.Code, r.Body, r.Header())
		}
		if r.Header().Get("Allow") != "" {
			t.Errorf("%s: Allow was set", c.name)
		}
	}
}

func TestStaticExclude(t *testing.T) {
	s := newStaticSite(t, `
		setup.static.exclude_extensions { ".php", "~" }
		actions = { docroot "@ROOT@", when(request.query:eq "all", { static.exclude_extensions {} }), static() }`)
	for target, want := range map[string]int{
		"/code.php": 403, "/backup~": 403, "/missing.php": 403, "/code.php/x": 404, "/a.txt": 200, "/code.php?all": 200,
	} {
		if r := s.ask("GET", target); r.Code != want {
			t.Errorf("%s: status %d, want %d", target, r.Code, want)
		}
	}
}

func TestStaticOverwritesHeaders(t *testing.T) {
	s := newStaticSite(t, `
		setup.mime_types { [".txt"] = "text/x-a", [".html"] = "text/html" }
		actions = { docroot "@ROOT@", header.add("Content-Type", "x/y"), header.add("ETag", '"mine"'), etag.use {}, static() }`)
	r := s.ask("GET", "/a.txt")
	if got := r.Header().Values("Content-Type"); len(got) != 1 || got[0] != "text/x-a" {
		t.Errorf("Content-Type %q", got)
	}
	if got := r.Header().Values("ETag"); got != nil {
		t.Errorf("ETag %q", got)
	}
}

func TestStaticBadScripts(t *testing.T) {
	for script, want := range map[string]string{
		`setup.static.exclude_extensions { ".php", 5 }`:           "static.exclude_extensions",
		`setup.static.range_requests "yes"`:                       "expected a boolean",
		`setup.etag.use { "ctime" }`:                              `unknown property "ctime"; expected inode, mtime or size`,
		`setup.stat_cache.ttl(-1)`:                                "expected a number of seconds",
		`setup.mime_types { { ".txt", 5 } }`:                      `".txt": expected a type, got a number`,
		`setup.mime_types { { ".txt", "a", "b" } }`:               `entry 1: expected {[".suffix"] = "type"} or "default", got ".txt"`,
		`setup.mime_types { ".txt", "text/plain" }`:               "expected a list of pairs",
		`setup.etag.use "size"`:                                   "expected a list of strings, got a string",
		`setup.mime_types "full"`:                                 `or "default", got "full"`,
		`setup.mime_types { [".txt"] = "" }`:                      "cannot stand in a header",
		`setup.mime_types { [".txt"] = "text/plain\r\nX-Bad: 1"}`: "cannot stand in a header",
		`actions = static("a")`:                                   "static",
	} {
		_, err := loadStatic(t, script+"\nactions = actions or static()", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", script, err, want)
		}
	}
	script := "setup.stat_cache.ttl(10)\nsetup[\"stat.async\"](false)\nsetup.mime_types {}\nactions = static()"
	if _, err := loadStatic(t, script, nil); err != nil {
		t.Error(err)
	}
}

// TestStaticBigFile goes through a real connection, where the kernel copies the file.
func TestStaticBigFile(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 64<<10)
	s, err := loadStatic(t, plainStatic, map[string]string{"www/big": big})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	for header, want := range map[string]string{"": big, "bytes=5-700000": big[5:700001]} {
		req, _ := http.NewRequest("GET", server.URL+"/big", nil)
		req.Header.Set("Range", header)
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || string(got) != want || r.ContentLength != int64(len(want)) {
			t.Errorf("Range %q: %d bytes of %d, length %d, %v", header, len(got), len(want), r.ContentLength, err)
		}
	}
}
