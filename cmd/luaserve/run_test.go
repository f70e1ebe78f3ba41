package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	script := writeFile(t, dir, "site.lua", `
		setup.listen "127.0.0.1:0"
		setup.listen("unix:`+dir+`/s")
		actions = respond "one"
	`)
	p := start(t, nil, "run", script)
	if got := do(t, "GET", p.url, ""); got.body != "one" {
		t.Errorf("got %q", got.body)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", dir+"/s")
	}}}
	resp, err := client.Get("http://x/")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	client.CloseIdleConnections()
	if string(body) != "one" {
		t.Errorf("over the unix socket: got %q", body)
	}

	writeFile(t, dir, "site.lua", "setup.listen '127.0.0.1:0'\nactions = respnd 'two'")
	p.signal(syscall.SIGHUP)
	p.waitForLog("site.lua:2: unknown action")
	if got := do(t, "GET", p.url, ""); got.body != "one" {
		t.Errorf("behind a failed reload: got %q", got.body)
	}
	writeFile(t, dir, "site.lua", "setup.listen '127.0.0.1:0'\nactions = respond 'two'")
	p.signal(syscall.SIGHUP)
	p.waitForLog("the script was reloaded")
	if got := do(t, "GET", p.url, ""); got.body != "two" {
		t.Errorf("behind a reload: got %q", got.body)
	}

	code, stdout := p.end(syscall.SIGTERM)
	if code != 0 || stdout != "listening on unix:"+dir+"/s\n" {
		t.Errorf("exit %d, stdout %q", code, stdout)
	}
}

func TestRunListenFlagsReplaceTheScripts(t *testing.T) {
	script := writeFile(t, t.TempDir(), "site.lua", "setup.listen '127.0.0.1:1'\nactions = respond 'here'")
	p := start(t, nil, "run", "--listen", "127.0.0.1:0", script)
	if got := do(t, "GET", p.url, ""); got.body != "here" {
		t.Errorf("got %q", got.body)
	}
	if code, _ := p.end(syscall.SIGINT); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// A request that is on its way when SIGTERM comes gets its whole answer.
func TestRunDrains(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	script := writeFile(t, t.TempDir(), "site.lua", "actions = fastcgi '"+l.Addr().String()+"'")
	p := start(t, nil, "run", script, "--listen", "127.0.0.1:0")
	answer := make(chan response)
	go func() { answer <- do(t, "GET", p.url, "") }()
	backend, err := l.Accept() // the request waits for an application now
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan int)
	go func() {
		code, _ := p.end(syscall.SIGTERM)
		ended <- code
	}()
	waitClosed(p.url)
	const head = "Content-Type: text/plain\r\n\r\n"
	stdout := head + "whole"
	record := append([]byte{1, 6, 0, 1, 0, byte(len(stdout)), 0, 0}, stdout...)
	end := []byte{1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if _, err := backend.Write(append(record, end...)); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; got.StatusCode != 200 || got.body != "whole" {
		t.Errorf("the request on its way got %d %q", got.StatusCode, got.body)
	}
	backend.Close()
	if code := <-ended; code != 0 {
		t.Errorf("exit %d", code)
	}
}

// Whoever presses Ctrl-C twice does not want to wait for requests.
func TestRunSecondSignal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	script := writeFile(t, t.TempDir(), "site.lua", "actions = fastcgi '"+l.Addr().String()+"'")
	p := start(t, nil, "run", script, "--listen", "127.0.0.1:0")
	client, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	io.WriteString(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	backend, err := l.Accept() // the request waits for an application that says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	p.signal(syscall.SIGINT)
	waitClosed(p.url)
	if code, _ := p.end(syscall.SIGINT); code != -1 {
		t.Errorf("exit %d, want the end by a signal", code)
	}
}

// waitClosed waits until nobody listens on a URL.
func waitClosed(url string) {
	for {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
}

func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	dir := t.TempDir()
	writeFile(t, dir, "busy.lua", "setup.listen '"+busy+"'\nactions = respond 'x'")
	writeFile(t, dir, "silent.lua", "actions = respond 'x'")
	writeFile(t, dir, "wrong.lua", "setup.listen '127.0.0.1:0'\nactions = respnd 'x'")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "busy.lua"}, "listen " + busy + ": address already in use\n"},
		{[]string{"demo", "--listen", busy}, "listen " + busy + ": address already in use\n"},
		{[]string{"run", "silent.lua", "--listen", "127.0.0.1:0", "--listen", "nonsense:x"}, "listen nonsense:x: the port must be a number up to 65535\n"},
		{[]string{"run", "silent.lua"}, "no address to listen on: the script has no setup.listen \"127.0.0.1:8080\", and none was given with --listen\n"},
		{[]string{"run", "wrong.lua"}, "wrong.lua:2: unknown action \"respnd\"; did you mean \"respond\"?\n"},
		{[]string{"run", "none.lua"}, "cannot read the script \"none.lua\": no such file or directory\n"},
	} {
		got := luaserve(t, dir, c.args...)
		if got != (result{exitRefused, "", c.want}) {
			t.Errorf("%q: got %+v, want exit 1 and %q", c.args, got, c.want)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run"}, "expected one script, got 0 arguments: luaserve run SITE.lua [flags]\nsee luaserve run --help\n"},
		{[]string{"run", "a", "b"}, "expected one script, got 2 arguments: luaserve run SITE.lua [flags]\nsee luaserve run --help\n"},
		{[]string{"run", "--port", "80", "a.lua"}, "unknown flag: --port\nsee luaserve run --help\n"},
		{[]string{"start"}, "unknown command \"start\" for \"luaserve\"\nsee luaserve --help\n"},
	} {
		if got := luaserve(t, "", c.args...); got != (result{exitUsage, "", c.want}) {
			t.Errorf("%q: got %+v, want exit 2 and %q", c.args, got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	got := luaserve(t, "", "version")
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "luaserve ") || got.stderr != "" {
		t.Errorf("got %+v", got)
	}
}

// Only with --dev does a client see what went wrong, and so behind a reload.
func TestRunDev(t *testing.T) {
	script := writeFile(t, t.TempDir(), "site.lua", "setup.listen '127.0.0.1:0'\nactions = function(vr)\n  error('on purpose')\nend")
	for _, c := range []struct {
		dev  bool
		args []string
	}{{true, []string{"run", "--dev", script}}, {false, []string{"run", script}}} {
		p := start(t, nil, c.args...)
		for range 2 {
			got := do(t, "GET", p.url, "", "Accept", "text/html")
			shown := strings.Contains(got.body, "on purpose") && strings.Contains(got.body, "site.lua:3")
			if got.StatusCode != 500 || shown != c.dev || strings.Contains(got.body, "site.lua") != c.dev {
				t.Errorf("%v: %d\n%s", c.args, got.StatusCode, got.body)
			}
			p.signal(syscall.SIGHUP)
			p.waitForLog("the script was reloaded")
		}
		if warned := strings.Contains(p.log.String(), "--dev"); warned != c.dev {
			t.Errorf("%v: warned: %t", c.args, warned)
		}
		p.end(syscall.SIGTERM)
	}
}

// With --dev nobody looks at the answers of a script that is not the one in the editor.
func TestRunDevShowsFailedReload(t *testing.T) {
	for _, dev := range []bool{true, false} {
		dir := t.TempDir()
		script := writeFile(t, dir, "site.lua", "setup.listen '127.0.0.1:0'\nactions = respond 'one'")
		args := []string{"run", script}
		if dev {
			args = append(args, "--dev")
		}
		p := start(t, nil, args...)
		writeFile(t, dir, "site.lua", "setup.listen '127.0.0.1:0'\nactions = respnd 'two'")
		p.signal(syscall.SIGHUP)
		p.waitForLog("the script was not reloaded")
		got := do(t, "GET", p.url, "")
		if want := "The script does not load: unknown action \"respnd\"; did you mean \"respond\"?\n\n" + script + ":2\n"; dev && (got.StatusCode != 500 || !strings.HasPrefix(got.body, want)) {
			t.Errorf("--dev: %d %s", got.StatusCode, got.body)
		}
		if !dev && got.body != "one" {
			t.Errorf("got %d %s", got.StatusCode, got.body)
		}
		writeFile(t, dir, "site.lua", "setup.listen '127.0.0.1:0'\nactions = respond 'three'")
		p.signal(syscall.SIGHUP)
		p.waitForLog("the script was reloaded")
		if got := do(t, "GET", p.url, ""); got.body != "three" {
			t.Errorf("dev %t: got %d %s", dev, got.StatusCode, got.body)
		}
		p.end(syscall.SIGTERM)
	}
}
