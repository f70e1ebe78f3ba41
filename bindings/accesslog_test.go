package bindings

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// accessLogOf returns what a script logged; it closes the program.
func accessLogOf(t *testing.T, s *guardSite) string {
	t.Helper()
	s.Close()
	text, err := os.ReadFile(filepath.Join(s.dir, "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const accessScript = `setup.accesslog "@DIR@/access.log"
setup.accesslog.format %q
actions = { when(request.path:eq "/fail", function() error "x" end),
  when(request.path:eq "/user", { env.set("REMOTE_USER", "eve\n\"x") }),
  when(request.path:eq "/empty", respond(204)), when(request.path:eq "/none", {}, { header.add("X-A", "1"), header.add("X-A", "2"), respond "12345" }) }`

func TestAccessLogFormat(t *testing.T) {
	for _, tt := range []struct{ format, target, want string }{
		{`%m %U %q %>s %b %B`, "/a%20b?x=1", "GET /a b x=1 200 5 5"},
		{`%m %U %q %s %b %B`, "/empty", "GET /empty - 204 - 0"},
		{`%s %b`, "/none", "404 411"},
		{`%s`, "/fail", "500"},
		{`%s %U %r`, "*x y", `400 - GET *x y HTTP/1.1`},
		{`%h %a %p %V %v`, "/", "192.0.2.1 192.0.2.1 - host host"},
		{`%r %f %u %l`, "/x?y", "GET /x?y HTTP/1.1 - - -"},
		{`"%u"|%{REMOTE_USER}e|%{NO}e`, "/user", `"eve\n\"x"|eve\n\"x|-`},
		{`%{X-In}i %{x-a}o %{b}C %{c}C`, "/", "in, again 1, 2 two -"},
		{`%% %X %T`, "/", "% + 0"},
		{`%X`, "/fail", "-"},
		{`%I %O`, "/", "73 84"},
	} {
		synctest.Test(t, func(t *testing.T) { // so that %T is 0 also when the machine stands still
			s := newGuard(t, fmt.Sprintf(accessScript, tt.format), nil)
			s.get(tt.target, "X-In", "in", "X-In", "again", "Cookie", "a=1; b=two")
			if got := accessLogOf(t, s); got != tt.want+"\n" {
				t.Errorf("%s, %s: got %q, want %q", tt.format, tt.target, got, tt.want)
			}
		})
	}
}

func TestAccessLogDefaultFormat(t *testing.T) {
	s := newGuard(t, `setup.accesslog "@DIR@/access.log"
actions = respond "12345"`, nil)
	s.get("/x", "User-Agent", "a \"b\"")
	want := regexp.MustCompile(`^192\.0\.2\.1 host - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /x HTTP/1\.1" 200 5 "-" "a \\"b\\""\n$`)
	if got := accessLogOf(t, s); !want.MatchString(got) {
		t.Errorf("got %q", got)
	}
}

// TestAccessLogInjection tries to break out of a line and of its quotes.
func TestAccessLogInjection(t *testing.T) {
	for _, format := range []string{`"%r" "%U" "%q" "%{User-Agent}i" "%V" "%{X}C" "%m"`, "json"} {
		s := newGuard(t, fmt.Sprintf(accessScript, format), nil)
		s.get("/%0a%22%1b[2J%00?\"\\", "User-Agent", "x\" 200 \\\r\n\x1b\x7f\xff\u2028", "Cookie", "X=\"")
		got := accessLogOf(t, s)
		if strings.Count(got, "\n") != 1 {
			t.Errorf("%s: more than a line: %q", format, got)
		}
		for i := 0; i < len(got)-1; i++ {
			if got[i] < ' ' || got[i] == 0x7f && format != "json" {
				t.Errorf("%s: byte %#x in %q", format, got[i], got)
			}
		}
		if format != "json" && strings.Count(strings.NewReplacer(`\\`, "", `\"`, "").Replace(got), `"`) != 14 {
			t.Errorf("a quote got out: %s", got)
		}
	}
}

func TestAccessLogJSON(t *testing.T) {
	s := newGuard(t, fmt.Sprintf(accessScript, "json"), nil)
	s.get("/a%20b?x=1", "User-Agent", "me", "Referer", "http://r/")
	var got map[string]any
	if err := json.Unmarshal([]byte(accessLogOf(t, s)), &got); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.RFC3339Nano, got["time"].(string)); err != nil {
		t.Error(err)
	}
	if d := got["duration"].(float64); d < 0 || d > 10 {
		t.Errorf("duration %v", d)
	}
	delete(got, "time")
	delete(got, "duration")
	want := "map[bytes:5 client:192.0.2.1 complete:true host:host method:GET path:/a b protocol:HTTP/1.1 referer:http://r/ status:200 target:/a%20b?x=1 tls:false user_agent:me]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAccessLogErrors(t *testing.T) {
	for _, tt := range []struct{ script, want string }{
		{`setup.accesslog ""`, `site.lua:1: accesslog: the target is empty; expected a file or "stderr"`},
		{`setup.accesslog "|cronolog"`, `"|cronolog": logging to pipes and to syslog is not supported`},
		{`setup.accesslog "@DIR@/no/such/dir"`, "no such file or directory"},
		{`setup.accesslog(3)`, "accesslog: value: expected a string, got a number"},
		{`setup.accesslog.format "%z"`, `site.lua:1: accesslog.format: unknown directive "%z"; expected one of %% %a`},
		{`setup.accesslog.format "%i"`, "%i needs a name: %{name}i"},
		{`setup.accesslog.format "%{x}s"`, "%s takes no name, got {x}"},
		{`setup.accesslog.format "%{x"`, "a } is missing behind %{x"},
		{`setup.accesslog.format "100%"`, "a directive is missing behind % at the end"},
		{`setup.accesslog.format "%{%Y}t"`, "unknown form {%Y} of %t; expected sec, msec, usec or none"},
		{`setup.accesslog.format "a\nb"`, "the format has a line break in it"},
	} {
		_, err := loadGuard(t, tt.script+"\nactions = respond 'x'", nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.script, err, tt.want)
		}
	}
}

// TestAccessLogPerRequest switches the log off and the format over for some requests, and
// leaves subrequests out.
func TestAccessLogPerRequest(t *testing.T) {
	s := newGuard(t, `setup.accesslog "@DIR@/access.log"
setup.accesslog.format "%U"
local inner = action.list { respond "inner" }
actions = { when(request.path:prefix "/quiet", accesslog()), when(request.path:eq "/loud", accesslog.format "!%U"),
  when(request.path:eq "/sub", function(vr) vr:subrequest(inner) end), respond "x" }`, nil)
	for _, target := range []string{"/a", "/quiet", "/loud", "/sub"} {
		s.get(target)
	}
	if got, want := accessLogOf(t, s), "/a\n!/loud\n/sub\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// brokenWriter takes a few bytes and fails then.
type brokenWriter struct {
	*httptest.ResponseRecorder
}

func (w brokenWriter) Write(p []byte) (int, error) { return 2, errors.New("gone") }

func TestAccessLogCut(t *testing.T) {
	s := newGuard(t, fmt.Sprintf(accessScript, "%s %B %X"), nil)
	func() {
		defer func() {
			if r := recover(); r != http.ErrAbortHandler {
				t.Errorf("panic %v", r)
			}
		}()
		s.ServeHTTP(brokenWriter{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
	}()
	r := httptest.NewRequest("HEAD", "/", nil)
	s.ServeHTTP(httptest.NewRecorder(), r)
	if got, want := accessLogOf(t, s), "200 2 X\n200 0 +\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAccessLogConcurrent(t *testing.T) {
	s := newGuard(t, fmt.Sprintf(accessScript, "%U %s"), nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 500 {
				s.get(fmt.Sprintf("/%d-%s", i, strings.Repeat("x", 20)))
			}
		})
	}
	all.Wait()
	lines := strings.Split(strings.TrimSpace(accessLogOf(t, s)), "\n")
	for _, l := range lines {
		if len(l) != len("/0-")+20+len(" 200") {
			t.Fatalf("broken line %q", l)
		}
	}
	if len(lines) != 4000 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestAccessLogFlushes(t *testing.T) {
	s := newGuard(t, fmt.Sprintf(accessScript, "%U"), nil)
	s.get("/x")
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if text, _ := os.ReadFile(filepath.Join(s.dir, "access.log")); string(text) == "/x\n" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the line did not come")
		}
	}
}

// TestAccessLogFilteredBytes counts what was sent, not what a filter was given.
func TestAccessLogFilteredBytes(t *testing.T) {
	s := newGuard(t, `setup.accesslog "@DIR@/access.log"
setup.accesslog.format "%B"
actions = { header.add("Content-Type", "text/plain"), respond(("x"):rep(5000)), deflate() }`, nil)
	w := s.get("/", "Accept-Encoding", "gzip")
	if got, want := accessLogOf(t, s), fmt.Sprintf("%d\n", w.Body.Len()); got != want || w.Body.Len() >= 5000 {
		t.Errorf("got %s, want %s", got, want)
	}
}

func BenchmarkAccessLog(b *testing.B) {
	for _, format := range []string{defaultAccessFormat, "json"} {
		s := newGuard(b, fmt.Sprintf(accessScript, format), nil)
		b.Run(format[:4], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.get("/x")
			}
		})
	}
}
