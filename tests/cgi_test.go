package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What becomes of a CGI program when its client leaves, and when the server ends.
func TestCGIEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		program string
		leave   bool // before the program has ended
	}{
		"client leaves before the head": {`sleep 60`, true},
		"client leaves in the body":     {`printf 'X: y\n\nbody'; sleep 60`, true},
		"client leaves while it writes": {`printf 'X: y\n\n'; cat /dev/zero`, true},
		"server ends behind the answer": {`printf 'X: y\nContent-Length: 4\n\nbody'; sleep 60`, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, port, log := t.TempDir(), freePort(t), &logBuffer{}
			script := fmt.Sprintf("setup.listen \"127.0.0.1:%d\"\nactions = cgi { dir = %q, program = { \"/bin/sh\", \"-c\", [[sleep 60 & echo $! >child; echo $$ >pid; %s]] } }\n", port, dir, tt.program)
			if err := os.WriteFile(dir+"/site.lua", []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			stop, err := startSite(t, dir+"/site.lua", log)
			if err != nil {
				t.Fatal(err)
			}
			c, err := dial(port)
			if err != nil {
				t.Fatal(err)
			}
			c.send([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
			if tt.leave {
				awaitFile(t, dir+"/pid")
				c.conn.Close()
				awaitEnd(t, dir+"/pid")
			} else {
				if a := c.readAnswer("GET"); string(a.body) != "body" || a.truncated || a.timeout {
					t.Errorf("got %s", a.describe())
				}
				c.conn.Close()
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			awaitEnd(t, dir+"/pid")
			awaitEnd(t, dir+"/child")
			if t.Failed() {
				t.Logf("log of the server:\n%s", log)
			}
		})
	}
}

// awaitFile waits until a file has a text, and returns it.
func awaitFile(t *testing.T, name string) string {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if text, _ := os.ReadFile(name); len(text) > 0 {
			return strings.TrimSpace(string(text))
		}
	}
	t.Fatalf("there is no %s", name)
	return ""
}

// awaitEnd waits until the process whose number is in a file has ended; a zombie is left to its
// new parent.
func awaitEnd(t *testing.T, file string) {
	t.Helper()
	stat := filepath.Join("/proc", awaitFile(t, file), "stat")
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(stat); err != nil || strings.Contains(string(text), ") Z ") {
			return
		}
	}
	t.Errorf("the process of %s lives on", filepath.Base(file))
}
