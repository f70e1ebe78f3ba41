package backend

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Missing ends a test whose application is not installed: it is skipped, or fails when
// LUASERVE_REQUIRE_BACKENDS=1.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("LUASERVE_REQUIRE_BACKENDS") == "1" {
		t.Fatalf("%s, and LUASERVE_REQUIRE_BACKENDS is 1", what)
	}
	t.Skip(what)
}

// Memcached is a real memcached.
type Memcached struct {
	Address string // as a script writes it
	stop    func()
}

// StartMemcached starts a memcached that ends with the test, on the unix socket at path or,
// with an empty path, on a free port of 127.0.0.1. See [Missing].
func StartMemcached(t testing.TB, path string) *Memcached {
	t.Helper()
	program, err := exec.LookPath("memcached")
	if err != nil {
		Missing(t, "memcached is not installed (Debian: memcached)")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	portFile := filepath.Join(t.TempDir(), "port")
	args := []string{"-u", me.Username, "-m", "16", "-s", path}
	if path == "" {
		args = []string{"-u", me.Username, "-m", "16", "-l", "127.0.0.1", "-U", "0", "-p", "-1"}
	}
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+portFile)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	m := &Memcached{Address: "unix:" + path, stop: func() {
		cmd.Process.Kill()
		<-ended
	}}
	t.Cleanup(m.stop)
	for range 2400 {
		if m.listens(path, portFile) {
			return m
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", cmd, &out)
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen", cmd)
	return nil
}

// Stop ends it.
func (m *Memcached) Stop() { m.stop() }

// listens reports whether it can be reached. Of a port it learns the number.
func (m *Memcached) listens(path, portFile string) bool {
	network, address := "unix", path
	if path == "" {
		text, err := os.ReadFile(portFile)
		if err != nil {
			return false
		}
		var port int
		if _, err := fmt.Sscanf(strings.TrimSpace(string(text)), "TCP INET: %d", &port); err != nil {
			return false
		}
		network, address = "tcp", fmt.Sprintf("127.0.0.1:%d", port)
		m.Address = address
	}
	c, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
