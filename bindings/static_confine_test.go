package bindings

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// confinement prepares links, a FIFO and a socket in the document root.
func confinement(t *testing.T, s *staticSite) {
	t.Helper()
	for name, target := range map[string]string{
		"in":       "a.txt",
		"in-abs":   filepath.Join(s.root, "a.txt"),
		"dir-abs":  filepath.Join(s.root, "sub"),
		"out":      "../secret/s",
		"out-abs":  filepath.Join(s.dir, "secret/s"),
		"out-dir":  filepath.Join(s.dir, "secret"),
		"sub/back": "../../secret/s",
		"dangling": "nowhere",
		"loop":     "loop",
		"device":   "/dev/zero",
	} {
		if err := os.Symlink(target, filepath.Join(s.root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(s.root, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	// a short name: the path of a socket is limited
	t.Chdir(s.root)
	l, err := net.Listen("unix", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func TestStaticConfinement(t *testing.T) {
	s := newStaticSite(t, plainStatic)
	confinement(t, s)
	for target, want := range map[string]int{
		"/in":                         200,
		"/in-abs":                     200,
		"/dir-abs/x.html":             200,
		"/out":                        403,
		"/out-abs":                    403,
		"/out-dir/s":                  403,
		"/sub/back":                   403,
		"/dangling":                   404,
		"/loop":                       403,
		"/device":                     403,
		"/fifo":                       403,
		"/sock":                       403,
		"/../secret/s":                404,
		"/..%2fsecret/s":              404,
		"/%2e%2e/secret/s":            404,
		"/sub/../../secret/s":         404,
		"/sub/%2e%2e%2f..%2fsecret/s": 404,
		"/..\\secret\\s":              404,
		"/-secret/s":                  404,
	} {
		done := make(chan *httptest.ResponseRecorder, 1)
		go func() { done <- s.ask("GET", target) }()
		select {
		case r := <-done:
			if r.Code != want || strings.Contains(r.Body.String(), "secret") {
				t.Errorf("%s: %d %q, want %d", target, r.Code, r.Body, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no answer", target)
		}
	}
	if r := s.ask("GET", "/a.txt%00.html"); r.Code < 400 {
		t.Errorf("NUL: status %d", r.Code)
	}
}

// TestStaticPlaced is about what scripts make of docroot and path.
func TestStaticPlaced(t *testing.T) {
	for _, c := range []struct {
		docroot, path string
		want          int
	}{
		{"@ROOT@", "@ROOT@/a.txt", 200},
		{"@ROOT@/", "@ROOT@//a.txt", 200},
		{"@ROOT@", "@ROOT@/../secret/s", 403},
		{"@ROOT@", "@ROOT@/out", 403},
		{"@ROOT@", "@ROOT@/a.txt\x00", 403},
		{"@ROOT@", "@DIR@/secret/s", 200},     // elsewhere: the script says so
		{"@ROOT@", "@DIR@/www-secret/s", 200}, // not below, although it begins alike
		{"@ROOT@", "@DIR@/www/../secret/s", 403},
		{"@ROOT@/sub", "@DIR@/x/../secret/s", 403},
		{"", "@DIR@/secret/s", 200},
		{"", "@ROOT@/../secret/s", 403},
		{"", "@DIR@/secret/s\x00", 403},
		{"@ROOT@/a.txt", "@ROOT@/a.txt", 200}, // an alias to a file
		{"@ROOT@/a.txt", "@ROOT@/a.txt/x", 404},
		{"@ROOT@/none", "@ROOT@/none/a.txt", 404},
		{"@ROOT@", "", 404},
	} {
		script := fmt.Sprintf("actions = { place(%s, %s), static() }", luaString(c.docroot), luaString(c.path))
		s := newStaticSite(t, script)
		if err := os.Symlink("../secret/s", filepath.Join(s.root, "out")); err != nil {
			t.Fatal(err)
		}
		if r := s.ask("GET", "/"); r.Code != c.want {
			t.Errorf("docroot %q, path %q: status %d, want %d", c.docroot, c.path, r.Code, c.want)
		}
	}
}

func luaString(s string) string { return `"` + strings.ReplaceAll(s, "\x00", `\0`) + `"` }

// TestStaticSwapRace swaps a directory and a file for links that lead out, as fast as it
// can, while both are asked for: what lies outside must never be sent.
func TestStaticSwapRace(t *testing.T) {
	s := newStaticSite(t, plainStatic)
	for _, name := range []string{"www/d", "www/real"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, name, "s"), []byte("public\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		d := filepath.Join(s.root, "d")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			target := []string{"real", filepath.Join(s.root, "real"), "../secret", filepath.Join(s.dir, "secret")}[i%4]
			os.RemoveAll(d + ".new")
			os.Symlink(target, d+".new")
			os.RemoveAll(d)
			os.Rename(d+".new", d)
		}
	}()
	seen := map[int]int{}
	both := func() bool { return seen[200] > 0 && seen[403] > 0 }
	for begun := time.Now(); time.Since(begun) < time.Second || !both() && time.Since(begun) < 20*time.Second; {
		r := s.ask("GET", "/d/s")
		seen[r.Code]++
		if body := r.Body.String(); strings.Contains(body, "secret") {
			t.Fatalf("sent what lies outside: %d %q", r.Code, body)
		}
	}
	close(stop)
	<-stopped
	if !both() {
		t.Errorf("the race was not run: statuses %v", seen)
	}
}
