package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// systemd opens the sockets, and gives the number of the process, which nobody knows before.
func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	script := writeFile(t, t.TempDir(), "site.lua", "setup.listen 'systemd:web'\nactions = respond 'one'")
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, binary, "run", script)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=web")
	p := startCommand(t, cmd)
	if p.url != "http://"+l.Addr().String() {
		t.Errorf("it listens on %s, want %s", p.url, l.Addr())
	}
	if got := do(t, "GET", p.url, ""); got.body != "one" {
		t.Errorf("got %q", got.body)
	}
	writeFile(t, filepath.Dir(script), "site.lua", "setup.listen 'systemd:'\nactions = respond 'two'")
	p.signal(syscall.SIGHUP)
	p.waitForLog("the script was reloaded")
	if got := do(t, "GET", p.url, ""); got.body != "two" {
		t.Errorf("behind a reload: got %q", got.body)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// systemd hears when the server is ready, loads its script again, and ends.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	told.SetDeadline(time.Now().Add(20 * time.Second))
	expect := func(want string) {
		t.Helper()
		buf := make([]byte, 1000)
		n, err := told.Read(buf)
		if err != nil || !regexp.MustCompile("^"+want+"$").Match(buf[:n]) {
			t.Errorf("systemd was told %q, %v; want %s", buf[:n], err, want)
		}
	}
	script := writeFile(t, t.TempDir(), "site.lua", "actions = respond 'one'")
	p := start(t, []string{"NOTIFY_SOCKET=" + path}, "run", script, "--listen", "127.0.0.1:0")
	expect("READY=1")
	p.signal(syscall.SIGHUP)
	expect(`RELOADING=1\nMONOTONIC_USEC=\d+\n`)
	expect("READY=1")
	writeFile(t, filepath.Dir(script), "site.lua", "actions = respnd 'one'")
	p.signal(syscall.SIGHUP)
	expect(`RELOADING=1\nMONOTONIC_USEC=\d+\n`)
	expect("READY=1") // with the old script
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
	expect("STOPPING=1")
}

// Without systemd nothing is missing; with a broken socket it is said.
func TestNotifyFails(t *testing.T) {
	script := writeFile(t, t.TempDir(), "site.lua", "actions = respond 'one'")
	p := start(t, []string{"NOTIFY_SOCKET=" + t.TempDir() + "/none"}, "run", script, "--listen", "127.0.0.1:0")
	p.waitForLog("systemd could not be told")
	if got := do(t, "GET", p.url, ""); got.body != "one" {
		t.Errorf("got %q", got.body)
	}
	if code, _ := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit %d", code)
	}
}
