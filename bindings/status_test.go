package bindings

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const statusScript = `local inner = list { respond "inner" }
actions = {
  when(request.path:eq "/status", status.info()), when(request.path:eq "/short", status.info "short"), when(request.path:eq "/metrics", status.metrics()),
  when(request.path:eq "/sub", function(vr) vr:subrequest(inner) end),
  when(request.path:eq "/fail", function() error "x" end), when(request.path:eq "/moved", respond(302)), when(request.path:eq "/ok", respond "12345") }`

// plainNumber returns a number of a text of names and numbers.
func plainNumber(t *testing.T, text, name string) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `:? (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in\n%s", name, text)
	}
	return m[1]
}

// No time passes in it, so averages are exact.
func TestStatusCounts(t *testing.T) { synctest.Test(t, countStatus) }

func countStatus(t *testing.T) {
	s := newGuard(t, statusScript, nil)
	for _, target := range []string{"/ok", "/ok", "/moved", "/none", "/fail", "/sub", "*bad x"} {
		s.get(target)
	}
	w := s.get("/status?format=plain")
	plain := w.Body.String()
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type %s", got)
	}
	for name, want := range map[string]string{
		"requests_abs": "7", "status_1xx": "0", "status_2xx": "2", "status_3xx": "1", "status_4xx": "3", "status_5xx": "1",
		"connections_abs": "1", "connection_state_handle_request": "1", "requests_avg": "7", "uptime": "1",
	} {
		if got := plainNumber(t, plain, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	metrics := s.get("/metrics").Body.String()
	for name, want := range map[string]string{
		`luaserve_requests_total{class="2xx"}`: "3", `luaserve_requests_total{class="4xx"}`: "3", "luaserve_requests_in_flight": "1",
		`luaserve_request_duration_seconds_bucket{le="+Inf"}`: "8", "luaserve_request_duration_seconds_count": "8",
	} {
		if got := plainNumber(t, metrics, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestStatusLua(t *testing.T) {
	s := newGuard(t, statusScript, nil)
	s.get("/fail")
	s.get("/sub")
	s.get("/ok")
	metrics := s.get("/metrics").Body.String()
	for name, want := range map[string]string{"luaserve_lua_calls_total": "2", "luaserve_lua_errors_total": "1", "luaserve_lua_state_waits_total": "0"} {
		if got := plainNumber(t, metrics, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := plainNumber(t, metrics, "luaserve_lua_seconds_total"); got == "0" {
		t.Error("no time passed in Lua")
	}
}

// A request counts for the vhost that it was named last; the totals hold all of them.
func TestStatusVhosts(t *testing.T) {
	s := newGuard(t, `actions = { action.status.vhost "any",
		when(request.path:prefix "/wiki", { action.status.vhost 'a "wiki"' }), when(request.path:eq "/none", { action.status.vhost() }),
		when(request.path:eq "/metrics", { status.metrics() }), when(request.path:eq "/status", { status.info() }), respond "ok" }`, nil)
	for _, target := range []string{"/", "/wiki", "/wiki/a", "/none"} {
		s.get(target)
	}
	metrics := s.get("/metrics").Body.String()
	for name, want := range map[string]string{
		`luaserve_requests_total{vhost="any",class="2xx"}`:                       "1",
		`luaserve_requests_total{vhost="a \"wiki\"",class="2xx"}`:                "2",
		`luaserve_requests_total{class="2xx"}`:                                   "1",
		`luaserve_request_duration_seconds_bucket{vhost="a \"wiki\"",le="+Inf"}`: "2",
		`luaserve_request_duration_seconds_count{vhost="any"}`:                   "1",
		`luaserve_request_duration_seconds_count`:                                "1",
	} {
		if got := plainNumber(t, metrics, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := plainNumber(t, s.get("/status?format=plain").Body.String(), "requests_abs"); got != "5" {
		t.Errorf("%s requests in all, want 5", got)
	}
}

// TestStatusMetricsFormat checks every line against the grammar of the text format, and
// that a metric's lines follow its TYPE.
func TestStatusMetricsFormat(t *testing.T) {
	script := strings.Replace(statusScript, "actions = {", "actions = { action.status.vhost 'a \"b\"',", 1)
	s := newGuard(t, "balance.rr { respond \"a\", { action = respond \"b\", name = 'with \"\\\\' } }\n"+script, nil)
	text := s.get("/metrics").Body.String()
	const labels = `\{[a-z]+="(?:[^"\\]|\\["\\n])*"(?:,[a-z]+="(?:[^"\\]|\\["\\n])*")*\}`
	line := regexp.MustCompile(`^(?:# HELP [a-z_]+ .+|# TYPE [a-z_]+ (?:counter|gauge|histogram)|([a-z_]+)(?:` + labels + `)? [0-9]+(?:\.[0-9]+)?)$`)
	current := ""
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Errorf("bad line %q", l)
			continue
		}
		if name, ok := strings.CutPrefix(l, "# TYPE "); ok {
			current, _, _ = strings.Cut(name, " ")
		} else if m[1] != "" && !strings.HasPrefix(m[1], current) {
			t.Errorf("%q is not below its TYPE", l)
		}
	}
}

func TestStatusPage(t *testing.T) {
	s := newGuard(t, statusScript, nil)
	s.get("/ok")
	page := s.get("/status?<script>alert(1)</script>&refresh=5").Body.String()
	for _, want := range []string{"Server status", `content="5"`, "2xx successful", "In progress", "192.0.2.1:1234", "prefers-color-scheme:dark", "width=device-width"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	if strings.Contains(page, "<script>") {
		t.Error("the target is not escaped")
	}
	for target, unwanted := range map[string]string{"/short": "192.0.2.1", "/short?mode=runtime": "Goroutines", "/status?mode=runtime": "last 5 s", "/status?refresh=-1": "http-equiv"} {
		if strings.Contains(s.get(target).Body.String(), unwanted) {
			t.Errorf("%s shows %s", target, unwanted)
		}
	}
	if page := s.get("/status?mode=runtime").Body.String(); !strings.Contains(page, "Goroutines") || !strings.Contains(page, "site.lua") {
		t.Error("the process is not shown")
	}
	css := newGuard(t, `setup.status.css "/my.css"
actions = status.info()`, nil)
	if page := css.get("/").Body.String(); !strings.Contains(page, `<link rel="stylesheet" href="/my.css">`) || strings.Contains(page, "<style") {
		t.Error("status.css has no effect")
	}
}

func TestStatusErrors(t *testing.T) {
	_, err := loadGuard(t, `actions = status.info "long"`, nil)
	if want := `site.lua:1: status.info: unknown mode "long"; expected "short" or none`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestStatusConcurrent(t *testing.T) {
	s := newGuard(t, statusScript, nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 100 {
				s.get([]string{"/ok", "/status", "/metrics", "/none"}[i%4])
			}
		})
	}
	all.Wait()
	text := s.get("/status?format=plain").Body.String()
	if got := plainNumber(t, text, "requests_abs"); got != "800" {
		t.Errorf("%s requests", got)
	}
	if got := plainNumber(t, text, "connections_abs"); got != "1" {
		t.Errorf("%s in flight", got)
	}
}

func TestStatusTexts(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{sizeText(1023), "1023 B"}, {sizeText(1536), "1.5 KiB"}, {sizeText(1 << 42), "4.0 TiB"},
		{timeText(5 * time.Millisecond), "5 ms"}, {timeText(61 * time.Second), "1 min 1 s"}, {timeText(50 * time.Hour), "2 d 2 h"},
		{numberText(1.25), "1.2"}, {numberText(3), "3"}, {fmt.Sprint(refreshSeconds("9999"), refreshSeconds("x"), refreshSeconds("7")), "0 0 7"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
	}
}
