package devpage_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/devpage"
	"luaserve/runtime"
	"luaserve/scripts"
)

const script = `setup.listen "127.0.0.1:0"
local function inner(vr)
  local nothing = vr and REQ.nothing
  return nothing.field -- <b>
end
local function outer(vr)
  local x = inner(vr)
  return x
end
actions = {
  when(request.path:eq "/lua", outer),
  when(request.path:eq "/message", function(vr) error(vr.req.headers["X-Message"], 0) end),
  when(request.path:eq "/action", header.add("X", "%{req.header[X-Bad]}")),
  when(request.path:eq "/denied", access.deny()),
  when(request.path:eq "/backend", fastcgi "unix:/does/not/exist"),
  respond "fine",
}
`

// serve loads the script, with the page or without.
func serve(t *testing.T, dev bool) (http.Handler, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler)}
	if dev {
		cfg.ErrorPage = devpage.Page
	}
	p, err := runtime.Load(file, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p, file
}

func get(site http.Handler, path, accept string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://site.test"+path, nil)
	r.Header.Set("Accept", accept)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	return w
}

const browser = "text/html,application/xhtml+xml,*/*;q=0.8"

func TestPageOfALuaError(t *testing.T) {
	site, file := serve(t, true)
	w := get(site, "/lua?q=<i>", browser, "X-Field", "</pre><script>alert(1)</script>")
	body := w.Body.String()
	if w.Code != 500 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	for _, want := range []string{
		"Lua error", "attempt to index", file + ":4", `class="marked" aria-current="true"><i>4</i>  return nothing.field -- &lt;b&gt;`,
		"<i>1</i>setup.listen", "<code>local x = inner(vr)</code>", "GET http://site.test/lua?q=&lt;i&gt; HTTP/1.1", "&lt;script&gt;alert(1)",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	for _, never := range []string{"<script", "<b> ", "<i>\"", "q=<i>", "[G]: ?"} {
		if strings.Contains(body, never) {
			t.Errorf("%q is not escaped", never)
		}
	}
}

func TestPageAsTextAndJSON(t *testing.T) {
	site, file := serve(t, true)
	w := get(site, "/lua", "*/*")
	for _, want := range []string{"Lua error: attempt to index", ">    4 |   return nothing.field -- <b>\n", "      local x = inner(vr)\n", "GET http://site.test/lua HTTP/1.1\n"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in\n%s", want, w.Body)
		}
	}
	if ct := w.Header().Get("Content-Type"); ct != "text/plain; charset=utf-8" {
		t.Error(ct)
	}
	w = get(site, "/lua", "application/json")
	var got struct {
		Status         int
		Message, Place string
		Source         []struct {
			Line   int
			Text   string
			Marked bool
		}
		Traceback []struct{ Call, Code string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, w.Body)
	}
	if got.Status != 500 || got.Place != file+":4" || len(got.Source) != 10 || !got.Source[3].Marked || got.Source[3].Line != 4 || len(got.Traceback) == 0 {
		t.Errorf("%+v", got)
	}
}

// What an error says is its place may come from a client: only scripts are shown.
func TestOnlyScriptsAreShown(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("the secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	site, _ := serve(t, true)
	w := get(site, "/message", browser, "X-Message", secret+":1: oops")
	if body := w.Body.String(); strings.Contains(body, "the secret") || !strings.Contains(body, secret+":1: oops") {
		t.Errorf("got\n%s", body)
	}
}

func TestOtherErrors(t *testing.T) {
	site, file := serve(t, true)
	body := get(site, "/action", "*/*", "X-Bad", "a\rb").Body.String()
	for _, want := range []string{"500 Internal Server Error: the value of X has a line break", ">   13 |", "action: header.add " + file + ":13"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if w := get(site, "/backend", "*/*"); w.Code != 503 || !strings.Contains(w.Body.String(), "503 Service Unavailable: backend unix:/does/not/exist") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	if w := get(site, "/denied", browser); w.Code != 403 || strings.Contains(w.Body.String(), "site.lua") {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	if w := get(site, "/", browser); w.Body.String() != "fine" {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
}

func TestNothingIsShownOtherwise(t *testing.T) {
	site, _ := serve(t, false)
	for _, path := range []string{"/lua", "/action", "/backend"} {
		for _, accept := range []string{browser, "*/*", "application/json"} {
			w := get(site, path, accept, "X-Bad", "a\rb")
			if body := w.Body.String(); w.Code < 500 || strings.Contains(body, "site.lua") || strings.Contains(body, "nothing") {
				t.Errorf("%s: %d\n%s", path, w.Code, body)
			}
		}
	}
}
