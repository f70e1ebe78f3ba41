package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const smallSite = "setup.listen '127.0.0.1:0'\nactions = respond 'here'"

// The process belongs to the user when it answers, in every thread, and can go on.
func TestRunUser(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("needs root on Linux")
	}
	nobody, err := user.Lookup("nobody")
	if unknown := user.UnknownUserError(""); errors.As(err, &unknown) && os.Getenv("LUASERVE_REQUIRE_BACKENDS") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := start(t, nil, "run", "--user", "nobody:0", writeFile(t, dir, "site.lua", smallSite))
	if got := do(t, "GET", p.url, ""); got.body != "here" {
		t.Errorf("got %q", got.body)
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid))
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", p.cmd.Process.Pid, task.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{strings.Repeat("\t"+nobody.Uid, 4) + "\n", "\nGid:" + strings.Repeat("\t0", 4) + "\n", "\nGroups:\t \n"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("thread %s: no %q in\n%s", task.Name(), want, status)
			}
		}
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestRunUserIsUnknown(t *testing.T) {
	dir := t.TempDir()
	site := writeFile(t, dir, "site.lua", smallSite)
	for text, want := range map[string]string{
		"nobody-here":      `--user: unknown user "nobody-here"; expected a name or number of this system`,
		"root:nobody-here": `--user: unknown group "nobody-here"; expected a name or number of this system`,
	} {
		if r := luaserve(t, dir, "run", "--user", text, site); r.code != 1 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit %d, %s", text, r.code, r.stderr)
		}
	}
}

func TestRunPprof(t *testing.T) {
	p := start(t, nil, "run", "--log-format", "json", "--pprof", "127.0.0.1:0", writeFile(t, t.TempDir(), "site.lua", smallSite))
	p.waitForLog(`"msg":"profiles"`)
	var line struct{ URL string }
	if err := json.Unmarshal([]byte(strings.SplitN(p.log.String(), "\n", 2)[0]), &line); err != nil {
		t.Fatal(err)
	}
	if got := do(t, "GET", line.URL+"goroutine?debug=1", ""); got.StatusCode != 200 || !strings.Contains(got.body, "main.main") {
		t.Errorf("got %d, %.200s", got.StatusCode, got.body)
	}
	if got := do(t, "GET", p.url+"/debug/pprof/", ""); got.body != "here" {
		t.Error("the site serves the profiles")
	}
	if r := luaserve(t, t.TempDir(), "run", "--log-format", "yaml", "site.lua"); r.code != 2 || !strings.Contains(r.stderr, "expected text or json") {
		t.Errorf("exit %d, %s", r.code, r.stderr)
	}
}
