package replay_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/replay"
	"luaserve/runtime"
	"luaserve/scripts"
)

func TestRead(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{`192.0.2.7 - - [28/Nov/2026:19:27:42 +0000] "GET /a?b HTTP/1.1" 200 12`, "GET http://fallback/a?b 192.0.2.7"},
		{`192.0.2.7 - eve [28/Nov/2026:19:27:42 +0000] "POST /a HTTP/1.1" 200 - "http://r/" "curl \"x\""`, `POST http://fallback/a 192.0.2.7 Referer: http://r/ User-Agent: curl "x"`},
		{`::1 example.net - [28/Nov/2026:19:27:42 +0000] "GET /a HTTP/1.1" 404 0 "-" "-"`, "GET http://example.net/a ::1"},
		{`example.net:80 192.0.2.7 - - [28/Nov/2026:19:27:42 +0000] "GET /a HTTP/1.1" 404 0`, "GET http://example.net:80/a 192.0.2.7"},
		{`some.host - - [28/Nov/2026:19:27:42 +0000] "GET http://other/a%20b HTTP/1.1" 404 0`, "GET http://other/a%20b invalid"},
		{`{"client":"192.0.2.7","host":"example.net","method":"GET","target":"/x","tls":true,"user_agent":"me"}`, "GET https://example.net/x 192.0.2.7 User-Agent: me"},
		{`{"client":`, "no JSON as the access log has it"},
		{`192.0.2.7 - - [x] "\x16\x03\x01" 400 0`, "is no request line"},
		{`192.0.2.7 - - [x] "OPTIONS * HTTP/1.1" 200 0`, `"OPTIONS *" is no request`},
		{`nonsense`, "in no known format"},
	} {
		got := ""
		bad, first, err := replay.Read(strings.NewReader(tt.line+"\n\n"), "fallback", func(e replay.Entry) error {
			addr := "invalid"
			if e.Request.Remote.IsValid() {
				addr = e.Request.Remote.Addr().String()
			}
			got = e.Request.Method + " " + e.Request.URL + " " + addr
			for _, f := range e.Request.Header {
				got += " " + f.Name + ": " + f.Value
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if bad > 0 {
			got = first.Error()
		}
		if got != tt.want && (bad == 0 || !strings.Contains(got, tt.want)) {
			t.Errorf("%s\n got %s\nwant %s", tt.line, got, tt.want)
		}
	}
}

// No line makes the reader panic, and what it takes as a request is one.
func FuzzRead(f *testing.F) {
	f.Add(`192.0.2.7 - - [x] "GET /a\x20 HTTP/1.1" 200 12 "a\\" "\"`)
	f.Add(`{"host":"a","method":"GET","target":"http://b"}`)
	p := load(f, `actions = respond "x"`)
	f.Fuzz(func(t *testing.T, line string) {
		d := replay.NewDiffer(p, p)
		_, _, err := replay.Read(strings.NewReader(line), "h", func(e replay.Entry) error { return d.Add(context.Background(), e) })
		if err == nil && d.Result().Different > 0 {
			t.Errorf("%q differs from itself", line)
		}
	})
}

func load(t testing.TB, script string) *runtime.Program {
	t.Helper()
	site := filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(site, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(site, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Requests are told that come to another status, backend, file or header; that a rule moved
// to another line is no difference.
func TestDiffer(t *testing.T) {
	before := load(t, `actions = {
  when(request.path:prefix "/app", { fastcgi "127.0.0.1:1" }),
  when(request.path:eq "/old", { redirect "/new" }),
  when(request.path:eq "/header", { header.add("X-A", "1"), respond "x" }),
  when(request.path:eq "/time", { expire "access 1 hours", respond "x" }),
  when(request.path:eq "/file", { docroot "/srv/a" }),
  when(request.path:eq "/broken", { function(vr) error "x" end }),
}`)
	after := load(t, `

actions = {
  when(request.path:prefix "/app", { fastcgi "127.0.0.1:2" }),
  when(request.path:eq "/header", { header.add("X-A", "2"), respond "x" }),
  when(request.path:eq "/time", { expire "access 1 hours", respond "x" }),
  when(request.path:eq "/file", { docroot "/srv/b" }),
  when(request.path:eq "/broken", { respond(500) }),
}`)
	d := replay.NewDiffer(before, after)
	var log strings.Builder
	for _, path := range []string{"/app", "/old", "/old", "/header", "/time", "/file", "/none", "/broken"} {
		log.WriteString(`192.0.2.7 a - [x] "GET ` + path + ` HTTP/1.1" 200 1` + "\n")
	}
	if bad, first, err := replay.Read(strings.NewReader(log.String()), "", func(e replay.Entry) error { return d.Add(context.Background(), e) }); bad > 0 || err != nil {
		t.Fatal(first, err)
	}
	result := d.Result()
	var out strings.Builder
	if err := result.Text(&out); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{
		"GET http://a/old (2 times, line 2)\n", "site.lua:3: redirect \"/new\", Location: http://a/new", "new: 404, no rule has answered",
		`fastcgi "127.0.0.1:1"`, `fastcgi "127.0.0.1:2"`, "X-A: 1", "X-A: 2", "physical.path /srv/a/file", "physical.path /srv/b/file",
		"GET http://a/broken (once, line 8)", "6 of 8 requests are decided differently",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "/time") || strings.Contains(got, "/none") {
		t.Errorf("what is decided alike is told:\n%s", got)
	}
}
