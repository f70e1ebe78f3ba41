package tests

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// wsgiBackends are the ways to one WSGI application. uWSGI's HTTP socket gives an application
// the whole path as PATH_INFO, as a proxy does not know of mounts; so there uWSGI itself is told
// where the application is mounted.
var wsgiBackends = []struct{ name, action string }{
	{"FastCGI", `core.wsgi("/app", { fastcgi "unix:@DIR@/fcgi" })`},
	{"SCGI", `core.wsgi("/app", { scgi "unix:@DIR@/scgi" })`},
	{"CGI", `core.wsgi("/app", cgi { program = { "/usr/bin/python3", "@APP@" }, environment = { PYTHONDONTWRITEBYTECODE = "1" } })`},
	{"proxy", `when(any { request.path:eq "/app", request.path:prefix "/app/" }, proxy "unix:@DIR@/http")`},
}

var largeBody = strings.Repeat("0123456789abcdef", 20_000)

// wsgiTests are requests and what comes of them everywhere.
var wsgiTests = []struct {
	name, method, target, body string
	header                     http.Header
	status                     int
	told                       map[string]string // what the application must have been told
}{
	{"mount", "GET", "/app", "", nil, 200, map[string]string{"SCRIPT_NAME": "/app", "PATH_INFO": "", "QUERY_STRING": ""}},
	{"slash", "GET", "/app/", "", nil, 200, map[string]string{"SCRIPT_NAME": "/app", "PATH_INFO": "/"}},
	{"path and query", "GET", "/app/wiki/a%20b?q=%20&r=+", "", nil, 200, map[string]string{"SCRIPT_NAME": "/app", "PATH_INFO": "/wiki/a b", "QUERY_STRING": "q=%20&r=+"}},
	{"encoded slash", "GET", "/app/a%2Fb", "", nil, 200, map[string]string{"PATH_INFO": "/a/b"}},
	{"UTF-8", "GET", "/app/gr%C3%BC%C3%9Fe", "", nil, 200, map[string]string{"PATH_INFO": "/gr\u00c3\u00bc\u00c3\u009fe"}}, // latin-1, PEP 3333
	{"mount within", "GET", "/app/app/x", "", nil, 200, map[string]string{"SCRIPT_NAME": "/app", "PATH_INFO": "/app/x"}},
	{"not the mount", "GET", "/application", "", nil, 404, nil},
	{"header", "GET", "/app/", "", http.Header{"X-A": {"a"}, "Cookie": {"c=1"}, "Authorization": {"Basic YTpi"}}, 200, nil},
	{"httpoxy", "GET", "/app/", "", http.Header{"Proxy": {"http://evil/"}}, 200, nil},
	{"HEAD", "HEAD", "/app/", "", nil, 200, nil},
	{"DELETE", "DELETE", "/app/x", "", nil, 200, map[string]string{"REQUEST_METHOD": "DELETE"}},
	{"form", "POST", "/app/form", "a=1&b=2", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 200, map[string]string{"CONTENT_TYPE": "application/x-www-form-urlencoded"}},
	{"empty form", "POST", "/app/form", "", nil, 200, nil},
	{"large body", "PUT", "/app/file", largeBody, nil, 200, nil},
	{"own error", "GET", "/app/?status=404+Nope", "", nil, 404, nil},
	{"redirect", "GET", "/app/?status=303+See+Other&location=http://example.net/", "", nil, 303, nil},
	{"local redirect", "GET", "/app/?status=302+Found&location=/app/there", "", nil, 302, nil},
	{"no content", "GET", "/app/?status=204+No+Content", "", nil, 204, nil},
	{"not modified", "GET", "/app/?status=304+Not+Modified", "", nil, 304, nil},
}

// TestWSGI: the same WSGI application answers the same way through FastCGI, SCGI, CGI and proxy.
func TestWSGI(t *testing.T) {
	app, err := filepath.Abs("testdata/wsgi/report.py")
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	startUWSGI(t, []string{dir + "/fcgi", dir + "/scgi"}, "--fastcgi-socket", dir+"/fcgi", "--scgi-socket", dir+"/scgi", "--wsgi-file", app)
	startUWSGI(t, []string{dir + "/http"}, "--http-socket", dir+"/http", "--mount", "/app="+app, "--manage-script-name")

	urls := map[string]string{}
	for _, b := range wsgiBackends {
		urls[b.name] = serveWSGI(t, strings.NewReplacer("@DIR@", dir, "@APP@", app).Replace(b.action))
	}
	for _, tt := range wsgiTests {
		t.Run(tt.name, func(t *testing.T) {
			first := ""
			for _, b := range wsgiBackends {
				got, told := askWSGI(t, tt.method, urls[b.name]+tt.target, strings.NewReader(tt.body), tt.header)
				if !strings.HasPrefix(got, fmt.Sprint(tt.status, " ")) {
					t.Errorf("%s: got %s", b.name, got)
				}
				for name, want := range tt.told {
					if told[name] != want {
						t.Errorf("%s: %s is %q, want %q", b.name, name, told[name], want)
					}
				}
				if first == "" {
					first = got
				} else if got != first {
					t.Errorf("%s answers\n%s\n%s answers\n%s", wsgiBackends[0].name, first, b.name, got)
				}
			}
		})
	}
	// CGI and its kin need the length first, so the server buffers such a body for them. A proxy
	// passes the chunks on, and uWSGI's HTTP socket leaves them to the application.
	t.Run("chunks", func(t *testing.T) {
		for _, b := range wsgiBackends[:3] {
			want, _ := askWSGI(t, "PUT", urls[b.name]+"/app/file", strings.NewReader(largeBody), nil)
			if got, _ := askWSGI(t, "PUT", urls[b.name]+"/app/file", io.MultiReader(strings.NewReader(largeBody)), nil); got != want {
				t.Errorf("%s: got\n%s\nwith a length\n%s", b.name, got, want)
			}
		}
	})
}

// startUWSGI runs uWSGI until the test ends, and waits for its sockets.
func startUWSGI(t *testing.T, sockets []string, args ...string) {
	t.Helper()
	cmd := exec.Command("uwsgi", append([]string{"--plugin", "python3", "--processes", "2", "--master", "--need-app"}, args...)...)
	if cmd.Err != nil {
		backend.Missing(t, "uwsgi is not installed (Debian: uwsgi-core uwsgi-plugin-python3)")
	}
	log := &logBuffer{}
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its workers
		cmd.Wait()
		if t.Failed() {
			t.Logf("uwsgi:\n%s", log)
		}
	})
	for _, socket := range sockets {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if c, err := net.Dial("unix", socket); err == nil {
				c.Close()
				break
			}
			if time.Now().After(end) {
				t.Fatalf("uwsgi does not listen:\n%s", log)
			}
		}
	}
}

// serveWSGI serves a script with this action until the test ends.
func serveWSGI(t *testing.T, action string) (url string) {
	t.Helper()
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "site.lua")
	script := fmt.Sprintf("setup.listen \"127.0.0.1:%d\"\nlua.plugin \"core.lua\"\nactions = { %s, respond(404, \"not the application\") }\n", port, action)
	if err := os.WriteFile(config, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	stop, err := startSite(t, config, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", action, log)
		}
	})
	return fmt.Sprintf("http://127.0.0.1:%d", port)
}

// askWSGI sends a request and returns the answer as text, without what servers add, and the
// variables that the application was told.
func askWSGI(t *testing.T, method, url string, body io.Reader, header http.Header) (answer string, told map[string]string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(r.Header, header)
	r.Host = "example.org"
	resp, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	var out strings.Builder
	fmt.Fprintln(&out, resp.Status)
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		if name != "Date" && name != "Server" {
			fmt.Fprintf(&out, "%s: %s\n", name, strings.Join(resp.Header[name], " | "))
		}
	}
	var all map[string]any
	told = map[string]string{}
	if json.Unmarshal(text, &all) == nil {
		for name, value := range all {
			told[name], _ = value.(string)
		}
	}
	return out.String() + "\n" + string(text), told
}
