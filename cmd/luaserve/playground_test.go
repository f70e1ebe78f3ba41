package main

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The command prints an address whose key opens the page, on this machine only, and ends at a
// signal.
func TestPlayground(t *testing.T) {
	tmp, dir := t.TempDir(), t.TempDir()
	writeFile(t, dir, "site.lua", "actions = { docroot 'htdocs', static() }")
	if err := os.Mkdir(filepath.Join(dir, "htdocs"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "htdocs"), "a.txt", "from the site")
	for _, c := range []struct {
		args              []string
		url, status, body string
		name              string
	}{
		{nil, "http://localhost/hello?name=Ann", `"status":200`, `{\"hello\":\"Ann\"}`, `"name":"site.lua"`},
		{[]string{filepath.Join(dir, "site.lua")}, "http://localhost/a.txt", `"status":200`, "from the site", `"save":true`},
	} {
		cmd := exec.Command(binary, append([]string{"playground"}, c.args...)...)
		cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		m := regexp.MustCompile(`^the playground is at (http://127\.0\.0\.1:\d+)/#([A-Z2-7]{26})\n$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("it says %q, %v", line, err)
		}
		token := []string{"X-Playground-Token", m[2], "Content-Type", "application/json"}
		if got := do(t, "GET", m[1]+"/", ""); got.StatusCode != http.StatusOK || !strings.Contains(got.body, "<title>luaserve playground</title>") {
			t.Errorf("the page: %d", got.StatusCode)
		}
		if got := do(t, "GET", m[1]+"/api/script", ""); got.StatusCode != http.StatusForbidden {
			t.Errorf("without the key: %d %s", got.StatusCode, got.body)
		}
		script := do(t, "GET", m[1]+"/api/script", "", token...)
		text := regexp.MustCompile(`"text":("(?:[^"\\]|\\.)*")`).FindStringSubmatch(script.body)
		if text == nil || !strings.Contains(script.body, c.name) {
			t.Fatalf("the script: %s", script.body)
		}
		got := do(t, "POST", m[1]+"/api/run", `{"script":`+text[1]+`,"request":{"method":"GET","url":"`+c.url+`"}}`, token...)
		if !strings.Contains(got.body, c.status) || !strings.Contains(got.body, c.body) {
			t.Errorf("%s: %s", c.url, got.body)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(time.Minute):
			t.Fatal("it does not end")
		}
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if got := luaserve(t, dir, "playground", "nothing.lua"); got.code != exitRefused || got.stderr != "cannot read the script \"nothing.lua\": no such file or directory\n" {
		t.Errorf("got %+v", got)
	}
}
