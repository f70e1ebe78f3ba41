// Package wsgi tests the example with a real Django application under a real uWSGI.
package wsgi

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ts "luaserve/examples/internal/testsite"
	"luaserve/tests/backend"
)

// startDjango runs the application under uWSGI's FastCGI socket.
func startDjango(t *testing.T) (stop func()) {
	t.Helper()
	uwsgi, err := exec.LookPath("uwsgi")
	if err != nil {
		backend.Missing(t, "uwsgi is not installed (Debian: uwsgi-core uwsgi-plugin-python3)")
	}
	// uWSGI's plugin is linked to the Python of the distribution, whatever PATH says
	if err := exec.Command("/usr/bin/python3", "-c", "import django").Run(); err != nil {
		backend.Missing(t, "Django is not installed (Debian: python3-django)")
	}
	socket := filepath.Join(ts.SocketDir(t), "app.sock")
	t.Setenv("WSGI_SOCKET", socket)
	cmd := exec.Command(uwsgi, "--plugin", "python3", "--fastcgi-socket", socket,
		"--chdir", "app", "--module", "wsgi", "--master", "--processes", "4")
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	return ts.Application(t, socket, cmd)
}

// environ is what Django says that the server told it.
func environ(t *testing.T, url string, header ...string) map[string]string {
	t.Helper()
	got := ts.Get(t, url, header...)
	got.Want(t, 200)
	var env map[string]string
	if err := json.Unmarshal([]byte(got.Text), &env); err != nil {
		t.Fatalf("%s: %v\n%s", url, err, got.Text)
	}
	return env
}

func wantEnv(t *testing.T, env map[string]string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got, ok := env[name]; !ok || got != value {
			t.Errorf("%s is %q (there: %v), want %q", name, got, ok, value)
		}
	}
}

func TestSite(t *testing.T) {
	stop := startDjango(t)
	site, _ := ts.Serve(t, "site.lua")

	t.Run("static files", func(t *testing.T) {
		got := ts.Get(t, site+"/robots.txt")
		got.Want(t, 200, "User-agent")
		got.WantHeader(t, "X-Cleanurl", "hit", "Content-Type", "text/plain; charset=utf-8", "Expires", "", "Cache-Control", "")
		for path, typ := range map[string]string{
			"/trac-static/style.css": "text/css; charset=utf-8", "/chrome/common/style.css": "text/css; charset=utf-8",
			"/trac-static/logo.png": "image/png", "/chrome/common/logo.png": "image/png",
		} {
			got := ts.Get(t, site+path)
			got.Want(t, 200)
			got.WantHeader(t, "X-Cleanurl", "hit", "Content-Type", typ, "Cache-Control", "max-age=604800")
			if got.Header.Get("Expires") == "" {
				t.Errorf("%s: no Expires", path)
			}
		}
	})
	t.Run("application", func(t *testing.T) {
		got := ts.Get(t, site+"/")
		got.Want(t, 200, "Django behind luaserve", `href="/wiki/Start"`)
		got.WantHeader(t, "X-Cleanurl", "miss", "Content-Type", "text/html; charset=utf-8")
		ts.Get(t, site+"/wiki/Sub/Page").Want(t, 200, "<h1>Sub/Page</h1>", `href="/wiki/Sub/Page"`)
		ts.Get(t, site+"/nowhere").Want(t, 404)
		ts.Get(t, site+"/trac-static/none.css").Want(t, 404) // no file, so Django was asked
	})
	t.Run("environment", func(t *testing.T) {
		htdocs, err := filepath.Abs("htdocs")
		if err != nil {
			t.Fatal(err)
		}
		u, _ := url.Parse(site)
		env := environ(t, site+"/environ/a%2Fb%20c?q=1&r=%20", "Proxy", "http://evil/", "X-A", "dash", "Cookie", "c=1")
		wantEnv(t, env, map[string]string{
			"SCRIPT_NAME": "", "PATH_INFO": "/environ/a/b c", "QUERY_STRING": "q=1&r=%20",
			"REQUEST_URI": "/environ/a%2Fb%20c?q=1&r=%20", "REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1",
			"DOCUMENT_ROOT": htdocs + "/", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": u.Port(), "HTTP_HOST": u.Host,
			"REMOTE_ADDR": "127.0.0.1", "GATEWAY_INTERFACE": "CGI/1.1", "HTTP_X_A": "dash", "HTTP_COOKIE": "c=1",
		})
		if v, there := env["HTTP_PROXY"]; there {
			t.Errorf("HTTP_PROXY is %q", v)
		}
	})
	t.Run("bodies", func(t *testing.T) { testBodies(t, site) })
	t.Run("stream", func(t *testing.T) {
		if got := ts.WantStream(t, site+"/stream"); got != "line 1\nline 2\nline 3\nline 4\nline 5\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("hosts", func(t *testing.T) {
		ts.Get(t, site+"/wiki/Start", "Host", "trac.example.net").Want(t, 200, "<h1>Start</h1>")
		other := ts.Get(t, site+"/wiki/Start", "Host", "other.example.net")
		other.Want(t, 404)
		other.WantHeader(t, "X-Cleanurl", "")
	})
	t.Run("nothing outside", func(t *testing.T) {
		for _, path := range []string{"/trac-static/../site.lua", "/trac-static/%2e%2e/site.lua", "/trac-static/..%2fsite.lua",
			"/%2e%2e/site.lua", "/trac-static%2f..%2f..%2fsite.lua", "/trac-static/style.css%00.png", "/trac-static../site.lua"} {
			got := ts.Get(t, site+path)
			if got.StatusCode == 200 || strings.Contains(got.Text, "core.wsgi") {
				t.Errorf("%s: got %s\n%.200s", path, got.Status, got.Text)
			}
		}
	})
	t.Run("many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				page := fmt.Sprint("Page", i)
				ts.Get(t, site+"/wiki/"+page).Want(t, 200, "<h1>"+page+"</h1>")
			})
		}
		wg.Wait()
	})
	t.Run("dead application", func(t *testing.T) {
		stop()
		ts.Get(t, site+"/wiki/Start").Want(t, 503)
		ts.Get(t, site+"/robots.txt").Want(t, 200)
	})
}

// testBodies posts a form, and 20 MB with and without a length.
func testBodies(t *testing.T, site string) {
	form := url.Values{"text": {"Grüße & more"}}.Encode()
	ts.Do(t, "POST", site+"/echo", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded").
		Want(t, 200, "text=Grüße & more\n")

	body := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	want := fmt.Sprintf(`{"length": %d, "sha256": "%x"}`, len(body), sha256.Sum256(body))
	for name, r := range map[string]io.Reader{"length": bytes.NewReader(body), "chunks": io.MultiReader(bytes.NewReader(body))} {
		got := ts.Do(t, "POST", site+"/upload", r, "Content-Type", "application/octet-stream")
		if got.StatusCode != 200 || got.Text != want {
			t.Errorf("with %s: got %s %s, want %s", name, got.Status, got.Text, want)
		}
	}
}

func TestSiteAtTrac(t *testing.T) {
	startDjango(t)
	site, _ := ts.Serve(t, "site-at-trac.lua")
	ts.Get(t, site+"/trac/").Want(t, 200, `href="/trac/wiki/Start"`, `action="/trac/echo"`)
	ts.Get(t, site+"/trac").Want(t, 200, "<th>SCRIPT_NAME</th><td>/trac</td>")
	ts.Get(t, site+"/trac/wiki/Start").Want(t, 200, `href="/trac/wiki/Start"`)
	wantEnv(t, environ(t, site+"/trac/environ/x?q=1"), map[string]string{
		"SCRIPT_NAME": "/trac", "PATH_INFO": "/environ/x", "QUERY_STRING": "q=1", "REQUEST_URI": "/trac/environ/x?q=1",
	})
	for _, path := range []string{"/tracker", "/", "/wiki/Start", "/Trac/"} {
		got := ts.Get(t, site+path)
		got.Want(t, 404)
		got.WantHeader(t, "X-Cleanurl", "miss")
	}
	ts.Get(t, site+"/trac-static/style.css").Want(t, 200)
}
