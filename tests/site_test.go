package tests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/server"
	"luaserve/tests/backend"
)

// stopLimit is how long a server may take to drain; the clients are gone by then.
const stopLimit = time.Minute

// errNotRefused is the way a server must not fail to start: a command that refuses its script ends
// with a status above 0, neither with 0 nor by a signal.
var errNotRefused = errors.New("not an orderly refusal")

// startSite loads the script config and serves it in this process, so that the race detector sees
// the server. The error is why the script was refused. stop waits until the server has drained; its
// error is a server that ended by itself or does not end.
func startSite(t *testing.T, config string, log io.Writer) (stop func() error, err error) {
	t.Helper()
	logger := slog.New(&lineHandler{w: log})
	srv, err := server.New(server.Config{
		Site: config,
		Load: func(path string) (*runtime.Program, error) {
			return runtime.Load(path, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: logger})
		},
		Log: logger,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx) }()
	return func() error {
		defer cancel()
		select {
		case err := <-ended:
			return fmt.Errorf("the server ended by itself: %v", err)
		default:
		}
		cancel()
		select {
		case err := <-ended:
			if err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("the server ended with: %w", err)
			}
			return nil
		case <-time.After(stopLimit):
			return fmt.Errorf("the server did not stop within %v", stopLimit)
		}
	}, nil
}

// launch starts s in process, or with the command in LUASERVE_CONFORMANCE_CMD. refuse says that
// the script should not start.
func launch(t *testing.T, s *site, refuse bool, log io.Writer) (stop func() error, err error) {
	t.Helper()
	command := os.Getenv("LUASERVE_CONFORMANCE_CMD")
	if command == "" {
		return startSite(t, s.config, log)
	}
	// a script that fails behind setup.listen has its port open already: look again
	patience := 30 * time.Millisecond
	if refuse {
		patience = 3 * time.Second
	}
	return startCommand(command, s, patience, log)
}

// startCommand is startSite with a process. It waits until the port is open and the process has
// then lived for the time of patience.
func startCommand(command string, s *site, patience time.Duration, log io.Writer) (stop func() error, err error) {
	var argv []string
	for _, arg := range strings.Fields(command) {
		argv = append(argv, strings.NewReplacer("{config}", s.config, "{port}", strconv.Itoa(s.port),
			"{dir}", s.root+"/dir", "{docroot}", s.docroot).Replace(arg))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = s.root + "/dir" // a neutral directory
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = time.Second // do not wait for a grandchild that keeps the pipe open
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state is in cmd.ProcessState
		close(exited)
	}()
	kill := func() {
		_ = cmd.Process.Kill()
		<-exited
	}
	status := func() error {
		if cmd.ProcessState.ExitCode() <= 0 {
			return fmt.Errorf("%w: %v", errNotRefused, cmd.ProcessState)
		}
		return errors.New(cmd.ProcessState.String())
	}

	deadline := time.Now().Add(limit)
	for {
		select {
		case <-exited:
			return nil, status()
		case <-time.After(5 * time.Millisecond):
		}
		if c, err := dial(s.port); err == nil {
			c.conn.Close()
			break
		}
		if time.Now().After(deadline) {
			kill()
			return nil, fmt.Errorf("%w: the port is not open after %v", errNotRefused, limit)
		}
	}
	select {
	case <-exited:
		return nil, status()
	case <-time.After(patience):
	}
	return func() error {
		select {
		case <-exited:
			return fmt.Errorf("the server ended by itself: %w", status())
		default:
			kill()
			return nil
		}
	}, nil
}

func startBackend(t *testing.T) *backend.Backend {
	t.Helper()
	b, err := backend.Start(shortDir(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// shortDir is t.TempDir with a short path: that of a unix socket must stay below about 100 bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	base := os.TempDir()
	if len(base) > 40 {
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "lsrv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// portBase starts the search of each test process elsewhere, in case several run at once.
var (
	portBase = rand.Uint32N(20000)
	portNext atomic.Uint32
)

// freePort hands out each port once. The ports have five digits, as in the recordings, and lie
// below the range from which the kernel takes those of clients.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20000 {
		port := 10000 + int((portBase+portNext.Add(1))%20000)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// logBuffer keeps the log of one server.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lineHandler writes records as "LEVEL message key=value", without time and without quoting, so
// that tests can look for the text as a script wrote it.
type lineHandler struct {
	w      io.Writer
	prefix string // of the keys, from groups
	attrs  string
}

func (h *lineHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message + h.attrs
	r.Attrs(func(a slog.Attr) bool {
		line += h.format(a)
		return true
	})
	_, err := io.WriteString(h.w, line+"\n")
	return err
}

func (h *lineHandler) format(a slog.Attr) string {
	return fmt.Sprintf(" %s%s=%v", h.prefix, a.Key, a.Value.Resolve())
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	out := *h
	for _, a := range attrs {
		out.attrs += h.format(a)
	}
	return &out
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	out := *h
	out.prefix += name + "."
	return &out
}
