package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/server/http1"
)

// start serves a script and returns its address.
func start(t *testing.T, script string, cfg http1.Config) (addr string, srv *http1.Server) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	p, err := runtime.Load(file, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Handle, cfg.Log = p.Handle, log
	srv = http1.New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go acceptAll(l, srv)
	t.Cleanup(func() { l.Close(); srv.Close(); p.Close() })
	return l.Addr().String(), srv
}

// limits returns the limits of a script that changes some.
func limits(change func(*runtime.Limits)) func() *runtime.Limits {
	l := runtime.DefaultLimits()
	change(&l)
	return func() *runtime.Limits { return &l }
}

// TestMain runs all tests twice: with a goroutine for each connection, and with the loops
// where the system has them.
func TestMain(m *testing.M) {
	code := m.Run()
	if useLoops = true; code == 0 {
		code = m.Run()
	}
	os.Exit(code)
}

var useLoops bool

// acceptAll has srv serve the connections of l until one of them is closed.
func acceptAll(l net.Listener, srv *http1.Server) {
	if useLoops {
		l = srv.Listener(l)
		defer l.Close()
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		peer := runtime.Connection{Local: runtime.AddrPort(c.LocalAddr()), Remote: runtime.AddrPort(c.RemoteAddr())}
		if !srv.Watch(c, peer, func() {}) {
			go srv.ServeConn(c, peer, nil)
		}
	}
}

// talk sends bytes and returns everything that comes until the server closes.
func talk(t *testing.T, addr, send string) string {
	t.Helper()
	got, err := tryTalk(t, addr, send)
	if err != nil {
		t.Errorf("reading: %v", err)
	}
	return got
}

// tryTalk is talk for a connection that may be reset.
func tryTalk(t *testing.T, addr, send string) (string, error) {
	t.Helper()
	c := dial(t, addr)
	defer c.Close()
	io.WriteString(c, send)
	got, err := io.ReadAll(c)
	return string(got), err
}

// whileLate tries something again, five times at most, as long as it says that the machine was
// late: one that has much to do, or that is not let run, may stand still for a second.
func whileLate(t *testing.T, try func() (late bool)) {
	t.Helper()
	for range 5 {
		if !try() {
			return
		}
	}
	t.Error("the machine was late each time")
}

const echo = `actions = function(vr)
  local body = vr["in"]:read() or ""
  if vr:handle_direct() then vr.resp.status = 200; vr.out:add(vr.req.uri.path .. "[" .. body .. "]") end
end`

func TestPipelining(t *testing.T) {
	addr, _ := start(t, echo, http1.Config{})
	got := talk(t, addr, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"+
		"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"+
		"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"+
		"GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	for _, want := range []string{"/1[]", "/2[abc]", "/3[abcde]", "/4[]", "Connection: close"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "HTTP/1.1 200 OK\r\n"); n != 4 {
		t.Errorf("%d answers, want 4", n)
	}
}

func TestVersionsAndFraming(t *testing.T) {
	addr, _ := start(t, `actions = {
	  when(request.path:eq "/lua", function(vr)
	    vr:handle_direct(); vr.resp.status = 200
	    vr.resp.headers:insert("X-a", "1"); vr.resp.headers:insert("x-A", "2"); vr.resp.headers:insert("Set-Cookie", "n=1; Path=/"); vr.resp.headers:insert("Set-Cookie", "n=2; Path=/x")
	  end), respond "hello" }`, http1.Config{})
	tests := map[string][]string{
		"GET / HTTP/1.0\r\n\r\n": {"HTTP/1.0 200 OK\r\n", "Content-Length: 5\r\n", "\r\n\r\nhello"},
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n": {"Connection: keep-alive\r\n", "\r\n\r\nhelloHTTP/1.0 200"},
		"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                {"Content-Length: 5\r\n", "Connection: close\r\n\r\n"},
		"GET /lua HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":              {"X-a: 1\r\nx-A: 2\r\nSet-Cookie: n=1; Path=/\r\nSet-Cookie: n=2; Path=/x\r\n"},
		"GET / HTTP/1.1\r\n\r\n": {"HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n"},
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n": {"HTTP/1.1 400"},
	}
	for send, wants := range tests {
		got := talk(t, addr, send)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in the answer to %q:\n%s", want, send, got)
			}
		}
		if strings.Count(send, "HTTP/1.1\r\n") == 2 && strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("a smuggled request was answered:\n%s", got)
		}
	}
	if got := talk(t, addr, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); strings.Contains(got, "hello") {
		t.Errorf("HEAD has a body: %q", got)
	}
}

func TestExpectContinue(t *testing.T) {
	addr, _ := start(t, echo, http1.Config{})
	c := dial(t, addr)
	io.WriteString(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	r := bufio.NewReader(c)
	if line, _ := r.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q", line)
	}
	r.ReadString('\n')
	io.WriteString(c, "ok")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "/x[ok]" {
		t.Errorf("body %q", b)
	}
}

// A large file goes out whole, also in the middle of a kept connection.
func TestLargeFile(t *testing.T) {
	dir := t.TempDir()
	content := strings.Repeat("0123456789abcdef", 1<<16)
	if err := os.WriteFile(filepath.Join(dir, "big"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, fmt.Sprintf("actions = { docroot %q, static(), respond(200, 'small') }", dir), http1.Config{})
	client := &http.Client{}
	for range 3 {
		for path, want := range map[string]string{"/big": content} {
			resp, err := client.Get("http://" + addr + path)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(resp.Body); err != nil || string(b) != want {
				t.Errorf("%s: %d bytes, %v", path, len(b), err)
			}
			resp.Body.Close()
		}
	}
}

// A filter that fails when part of the answer is out cuts the connection.
func TestIncompleteAnswerIsCut(t *testing.T) {
	addr, _ := start(t, `
local F = {}; F.__index = F
function F:new() return setmetatable({ n = 0 }, self) end
function F:handle(vr, out, inq)
  self.n = self.n + 1
  if self.n > 1 then error("late") end
  out:add("part"); inq:skip_all()
end
actions = { lighty.filter_out(F), lighty.filter_out(F), respond "x" }`, http1.Config{})
	resp, err := http.Get("http://" + addr)
	if err != nil {
		return // the head was not out yet: just as clear
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == 200 {
		t.Errorf("a complete-looking answer: %q", b)
	}
}

// HTTP/1.0 has no chunks: there only a reset tells that the answer is not the whole.
func TestIncompleteHTTP10AnswerIsReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	body := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("the backend died")))
	srv := http1.New(http1.Config{
		Handle: func(runtime.Exchange) *runtime.Reply { return runtime.NewReply(http.StatusOK, -1, io.NopCloser(body)) },
		Log:    slog.New(slog.DiscardHandler),
	})
	go acceptAll(l, srv)
	defer srv.Close()
	defer l.Close()
	c := dial(t, l.Addr().String())
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if got, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v; want a reset", got, err)
	}
}

func TestSlowHeadIsEnded(t *testing.T) {
	addr, _ := start(t, `actions = respond "x"`, http1.Config{Limits: limits(func(l *runtime.Limits) { l.HeaderTimeout = 100 * time.Millisecond })})
	whileLate(t, func() (late bool) {
		got, err := tryTalk(t, addr, "GET / HTTP/1.1\r\nHost")
		if got == "" && !errors.Is(err, os.ErrDeadlineExceeded) { // nothing had come in time
			return true
		}
		if err != nil || !strings.Contains(got, " 408 ") {
			t.Errorf("got %q, %v", got, err)
		}
		return false
	})
}

func TestLimits(t *testing.T) {
	addr, _ := start(t, echo, http1.Config{Limits: limits(func(l *runtime.Limits) { l.HeaderBytes, l.BodyBytes = 1000, 10 })})
	for send, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n":                                   " 431 ",
		"GET /2 HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 2000) + "\r\n\r\n":                                  " 431 ", // in one read
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n":                                                    " 413 ",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n":               " 413 ",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 100) + "\r\na\r\n": " 400 ",
	} {
		if got := talk(t, addr, send); !strings.Contains(got, want) {
			t.Errorf("%q:\n%q, want %s", send[:50], got, want)
		}
	}
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	inside := make(chan struct{})
	srv := http1.New(http1.Config{Log: slog.New(slog.DiscardHandler), Handle: func(ex runtime.Exchange) *runtime.Reply {
		close(inside)
		body, _ := io.ReadAll(ex.Body())
		return stream(bytes.NewReader(body), int64(len(body)))
	}})
	l := listen(t)
	go acceptAll(l, srv)
	defer srv.Close()
	defer l.Close()
	addr := l.Addr().String()
	c := dial(t, addr)
	io.WriteString(c, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
	<-inside
	done := make(chan error, 1)
	go func() { done <- srv.Shutdown(context.Background()) }()
	for !srv.IsClosing() {
		time.Sleep(time.Millisecond)
	}
	io.WriteString(c, "cd")
	got, _ := io.ReadAll(c)
	if !strings.HasSuffix(string(got), "\r\n\r\nabcd") || !strings.Contains(string(got), "Connection: close") {
		t.Errorf("got %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := talk(t, addr, ""); got != "" {
		t.Errorf("a later connection got %q", got)
	}
}

// A waiting action hears of a client that leaves, and of none that stays.
func TestContextEndsWithTheClient(t *testing.T) {
	waiting, left := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	module := &runtime.Module{Name: "test", Actions: []runtime.ActionDef{{Name: "wait", New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			if _, err := vr.ContentLength(); err != nil {
				return err
			}
			ctx := vr.Context()
			once.Do(func() { close(waiting) })
			select {
			case <-ctx.Done():
				left <- ctx.Err()
			case <-time.After(20 * time.Second):
				left <- nil
			}
			return nil
		}), nil
	}}}}
	file := filepath.Join(t.TempDir(), "site.lua")
	os.WriteFile(file, []byte(`actions = { wait(), respond "x" }`), 0o600)
	p, err := runtime.Load(file, runtime.Config{Modules: append(bindings.Modules(), module)})
	if err != nil {
		t.Fatal(err)
	}
	srv := http1.New(http1.Config{Handle: p.Handle})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go acceptAll(l, srv)
	defer srv.Close()
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// the length of a chunked body is asked for first, which reads all of it
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	<-waiting
	c.Close()
	if err := <-left; err == nil {
		t.Error("the action did not hear that the client left")
	}
}
