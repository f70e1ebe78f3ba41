package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The demo is driven as a process, the way somebody meets it who has just cloned the
// repository.
func TestDemo(t *testing.T) {
	tmp := t.TempDir()
	p := start(t, []string{"TMPDIR=" + tmp}, "demo", "--listen", "127.0.0.1:0")
	url := p.url

	for _, c := range []struct {
		path, host string
		status     int
		header     map[string]string // "" must be missing
		contains   []string
	}{
		{path: "/", status: 200, contains: []string{"<h1>luaserve</h1>", "/trac/wiki/Start"},
			header: map[string]string{"X-Cleanurl": "hit", "Content-Type": "text/html; charset=utf-8", "Expires": ""}},
		{path: "/", host: "trac.example.net", status: 200, contains: []string{"<h1>luaserve</h1>"}},
		{path: "/", host: "mounted.localhost", status: 200, contains: []string{"<h1>luaserve</h1>"}},
		{path: "/trac-static/demo.css", status: 200, contains: []string{"light-dark"},
			header: map[string]string{"X-Cleanurl": "hit", "Cache-Control": "max-age=604800", "Content-Type": "text/css; charset=utf-8"}},
		{path: "/chrome/common/logo.png", status: 200, contains: []string{"\x89PNG"},
			header: map[string]string{"X-Cleanurl": "hit", "Cache-Control": "max-age=604800", "Content-Type": "image/png"}},
		{path: "/wiki/Start?a=1", status: 200, contains: []string{"\nSCRIPT_NAME=\n", "\nPATH_INFO=/wiki/Start\n", "\nQUERY_STRING=a=1\n"},
			header: map[string]string{"X-Cleanurl": "miss"}},
		{path: "/trac/wiki/Start?a=1", status: 200, contains: []string{"\nSCRIPT_NAME=/trac\n", "\nPATH_INFO=/wiki/Start\n"}},
		{path: "/trac", status: 200, contains: []string{"\nSCRIPT_NAME=/trac\n", "\nPATH_INFO=\n"}},
		{path: "/tracker", status: 200, contains: []string{"\nSCRIPT_NAME=\n", "\nPATH_INFO=/tracker\n"}},
		{path: "/trac/wiki/a%2Fb%20c", status: 200, contains: []string{"\nPATH_INFO=/wiki/a/b c\n", "\nREQUEST_URI=/trac/wiki/a%2Fb%20c\n"}},
		{path: "/nowhere", status: 404, contains: []string{"the application has no such page"}},
		{path: "/.git/config", status: 404, contains: []string{"404"}, header: map[string]string{"X-Cleanurl": ""}},
		{path: "/trac-static/%2e%2e/%2e%2e/status.html", status: 404, contains: []string{"the application has no such page"}},
		{path: "/site.lua", status: 200, contains: []string{"core.wsgi"}},
		{path: "/wiki/Start", host: "mounted.localhost", status: 404, header: map[string]string{"X-Cleanurl": "miss"}},
		{path: "/trac/wiki/Start", host: "mounted.localhost", status: 200, contains: []string{"\nSCRIPT_NAME=/trac\n"}},
	} {
		var header []string
		if c.host != "" {
			header = []string{"Host", c.host}
		}
		got := do(t, "GET", url+c.path, "", header...)
		if got.StatusCode != c.status {
			t.Errorf("%s on %q: got %s, want %d", c.path, c.host, got.Status, c.status)
		}
		for name, want := range c.header {
			if v := got.Header.Get(name); v != want {
				t.Errorf("%s: %s is %q, want %q", c.path, name, v, want)
			}
		}
		for _, want := range c.contains {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s: no %q in:\n%.600s", c.path, want, got.body)
			}
		}
	}

	t.Run("form", func(t *testing.T) {
		got := do(t, "POST", url+"/trac/echo", "text=Gr%C3%BC%C3%9Fe", "Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html")
		if got.StatusCode != 200 || !strings.Contains(got.body, "<td>Grüße") || got.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("got %s %v\n%s", got.Status, got.Header, got.body)
		}
	})
	t.Run("stream", func(t *testing.T) { testStream(t, url+"/stream") })
	t.Run("status", func(t *testing.T) {
		before := do(t, "GET", url+"/status", "").body
		after := do(t, "GET", url+"/status", "").body
		if !strings.Contains(before, "<dt>requests</dt><dd>") || before == after {
			t.Errorf("the counters do not count: %s", after)
		}
	})
	t.Run("reload", func(t *testing.T) { testDemoReload(t, p, tmp) })

	code, stdout := p.end(syscall.SIGTERM)
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"Open " + url + "/ in a browser", "curl -i '" + url + "/trac/wiki/Start?a=1'"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in what it printed:\n%s", want, stdout)
		}
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// testStream wants the first line long before the last one.
func testStream(t *testing.T, url string) {
	begin := time.Now()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	first := time.Since(begin)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	if all := time.Since(begin); first > all/2 {
		t.Errorf("the first byte came after %v, the last after %v", first, all)
	}
}

func testDemoReload(t *testing.T, p *process, tmp string) {
	found, err := filepath.Glob(filepath.Join(tmp, "*", "site.lua"))
	if err != nil || len(found) != 1 {
		t.Fatalf("no script: %v, %v", found, err)
	}
	script, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(script), "actions = {", "actions = {\n  header.add('X-Changed', 'yes'),", 1)
	if err := os.WriteFile(found[0], []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	p.signal(syscall.SIGHUP)
	p.waitForLog("the script was reloaded")
	if got := do(t, "GET", p.url+"/", ""); got.Header.Get("X-Changed") != "yes" {
		t.Errorf("the reload had no effect: %v", got.Header)
	}
}
