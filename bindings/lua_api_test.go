package bindings_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
)

// logBuffer keeps what a program logs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// luaSite is a loaded script and its log.
type luaSite struct {
	*runtime.Program
	dir string
	log *logBuffer
}

// luaScript writes a script to site.lua in a directory of its own, where @DIR@ in the text
// stands for the directory, and loads it.
func luaScript(t *testing.T, script string, change ...func(*runtime.Config)) *luaSite {
	t.Helper()
	site := &luaSite{dir: t.TempDir(), log: &logBuffer{}}
	file := filepath.Join(site.dir, "site.lua")
	site.write(t, "site.lua", strings.ReplaceAll(script, "@DIR@", site.dir))
	cfg := runtime.Config{
		Modules: bindings.Modules(),
		Scripts: scripts.FS,
		Log:     slog.New(slog.NewTextHandler(site.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if site.Program, err = runtime.Load(file, cfg); err != nil {
		t.Fatalf("load: %v", err)
	}
	t.Cleanup(func() { site.Close() })
	return site
}

func (s *luaSite) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// get asks for a target and returns the answer.
func (s *luaSite) get(target string) *http.Response {
	return s.do(httptest.NewRequest("GET", target, nil))
}

func (s *luaSite) post(target, body string) *http.Response {
	return s.do(httptest.NewRequest("POST", target, strings.NewReader(body)))
}

func (s *luaSite) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func text(r *http.Response) string {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// inHandler wraps code in a handler with two helpers: out writes its arguments as a line
// of the response, try calls a function and writes its name, success and result.
func inHandler(code string) string {
	return `actions = function(vr)
  vr:handle_direct(); vr.resp.status = 200
  local function out(...)
    local t = {...}
    for i = 1, select("#", ...) do t[i] = tostring(t[i]) end
    vr.out:add(table.concat(t, " ") .. "\n")
  end
  local function try(name, f, ...) local ok, e = pcall(f, ...); out(name .. ":", ok, e) end
  local req, uri, resp, env, phys = vr.req, vr.req.uri, vr.resp, vr.env, vr.phys
` + code + `
end`
}

// luaCase is one piece of handler code and what it writes; @DIR@ stands for the directory
// of the script in both.
type luaCase struct {
	name string
	code string
	want string
}

func runLuaCases(t *testing.T, cases []luaCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, inHandler(tt.code))
			site.write(t, "letters.txt", "abcdefghij")
			site.write(t, "empty.txt", "")
			r := httptest.NewRequest("GET", "http://www.example.com:8080/a%20b?x=%31", nil)
			r.RequestURI = "/a%20b?x=%31"
			r.Header.Set("X-A", "1")
			got := text(site.do(r))
			want := strings.ReplaceAll(strings.TrimPrefix(tt.want, "\n"), "@DIR@", site.dir)
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s\nlog: %s", got, want, site.log)
			}
		})
	}
}

// Every object has a doc, and so has everything in it.
func TestLuaObjectsAreDocumented(t *testing.T) {
	for _, m := range bindings.Modules() {
		for _, o := range m.Objects {
			if o.Doc == "" {
				t.Errorf("%s has no doc", o.Name)
			}
			for _, f := range o.Fields {
				if f.Doc == "" || f.Type == "" || !strings.HasSuffix(f.Doc, ".") {
					t.Errorf("%s.%s: type %q, doc %q", o.Name, f.Name, f.Type, f.Doc)
				}
			}
			for _, f := range o.Methods {
				if f.Doc == "" || !strings.HasSuffix(f.Doc, ".") {
					t.Errorf("%s:%s: doc %q", o.Name, f.Name, f.Doc)
				}
			}
		}
	}
}
