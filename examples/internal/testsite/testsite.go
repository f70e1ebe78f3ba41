// Package testsite serves an example in the process of its test, with the real application
// behind it.
package testsite

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/server"
)

// SocketDir is a directory for unix sockets. The path of one may have some 100 bytes, which
// that of t.TempDir can exceed.
func SocketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "luaserve-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Application starts a process that listens on a unix socket, and waits until it does. The
// process ends with the test, or when stop is called.
func Application(t *testing.T, socket string, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	var out Log
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop = sync.OnceFunc(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its workers
		<-ended
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, &out)
		}
	})
	for range 1200 {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return stop
		}
		select {
		case <-ended:
			t.Fatalf("%s ended:\n%s", cmd, &out)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen:\n%s", cmd, &out)
	return nil
}

// Serve serves a script on a free port until the test ends; it returns the URL and the log.
func Serve(t *testing.T, script string) (url string, log *Log) {
	t.Helper()
	script, err := filepath.Abs(script)
	if err != nil {
		t.Fatal(err)
	}
	log = &Log{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	s, err := server.New(server.Config{
		Site:   script,
		Listen: []string{"127.0.0.1:0"},
		Load: func(path string) (*runtime.Program, error) {
			return runtime.Load(path, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: logger})
		},
		Log: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of luaserve:\n%s", log)
		}
	})
	return "http://" + s.Addrs()[0].String(), log
}

// Log keeps what a server writes.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String returns what came so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
