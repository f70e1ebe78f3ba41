//go:build linux

package tests

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/server"
)

// processVariable makes the test binary another program: the chaos needs a server whose limits it
// can lower and a backend that it can kill.
const processVariable = "LUASERVE_TEST_PROCESS"

func TestMain(m *testing.M) {
	programs := map[string]func(dir string) error{"server": serverProcess, "backend": backendProcess}
	if program := programs[os.Getenv(processVariable)]; program != nil {
		if err := program(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// startProcess starts one of the programs; what it says goes to log.
func startProcess(t *testing.T, program, dir string, log io.Writer) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), processVariable+"="+program)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// descriptors is how many the server may have: fewer than the clients that come at once.
const descriptors = 160

// serverProcess serves dir/site.lua: SIGHUP loads it again, SIGTERM ends it.
func serverProcess(dir string) error {
	few := &syscall.Rlimit{Cur: descriptors, Max: descriptors}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, few); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := server.New(server.Config{Site: dir + "/site.lua", Log: log, DrainTimeout: 5 * time.Second,
		Load: func(path string) (*runtime.Program, error) {
			return runtime.Load(path, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: log})
		}})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	go func() {
		for range again {
			if err := s.Reload(); err != nil {
				log.Warn("not loaded", "error", err)
			}
		}
	}()
	return s.Serve(ctx)
}

// backendProcess speaks FastCGI on dir/fcgi and HTTP on dir/http. It answers with the content that
// the query names, or with the digest of what is sent to it.
func backendProcess(dir string) error {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			sum := sha256.New()
			if _, err := io.Copy(sum, r.Body); err != nil {
				w.WriteHeader(http.StatusInternalServerError) // a client that has left; others must not see it
				return
			}
			io.WriteString(w, hex.EncodeToString(sum.Sum(nil)))
			return
		}
		seed, _ := strconv.Atoi(r.FormValue("seed"))
		n, _ := strconv.Atoi(r.FormValue("n"))
		w.Header().Set("Content-Type", "application/octet-stream")
		b := content(seed, n)
		w.Write(b[:n/2])
		if r.FormValue("slow") != "" { // so that it may die in the middle
			w.(http.Flusher).Flush()
			time.Sleep(500 * time.Millisecond)
		}
		w.Write(b[n/2:])
	})
	ended := make(chan error, 2)
	for name, serve := range map[string]func(net.Listener) error{
		"fcgi": func(l net.Listener) error { return fcgi.Serve(l, handler) },
		"http": func(l net.Listener) error { return http.Serve(l, handler) },
	} {
		if err := os.Remove(dir + "/" + name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		l, err := net.Listen("unix", dir+"/"+name)
		if err != nil {
			return err
		}
		go func() { ended <- serve(l) }()
	}
	return <-ended
}

// content is n bytes that belong to a seed and to their place: a part of another content, or of
// another place, is not the same.
func content(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// contentOf returns the seed below limit whose content begins like b.
func contentOf(b []byte, limit int) (seed int, ok bool) {
	for seed := range limit {
		if bytes.HasPrefix(b, content(seed, min(len(b), 16))) {
			return seed, bytes.Equal(b, content(seed, len(b)))
		}
	}
	return 0, false
}
