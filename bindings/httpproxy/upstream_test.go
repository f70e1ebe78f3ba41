package httpproxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings/upstream"
)

// testServer is a server made of raw bytes, for answers that no real one gives.
type testServer struct {
	network, addr string
	accepted      atomic.Int64
}

// startUpstream listens on a unix socket and runs serve for each connection, in a goroutine of
// its own; the connection is closed when serve returns.
func startUpstream(t testing.TB, serve func(p *peer)) *testServer {
	t.Helper()
	path := socketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	u := &testServer{network: "unix", addr: path}
	u.serve(t, l, serve)
	return u
}

func (u *testServer) serve(t testing.TB, l net.Listener, serve func(p *peer)) {
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			u.accepted.Add(1)
			mu.Lock()
			open[c] = true
			mu.Unlock()
			go func() {
				serve(&peer{Conn: c, r: bufio.NewReader(c)})
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			}()
		}
	}()
}

// socketPath returns a path that is short enough for a socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "up")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// client returns a client for the upstream.
func (u *testServer) client(t testing.TB, change ...func(*Config)) *Client {
	t.Helper()
	config := Config{Config: upstream.Config{Network: u.network, Address: u.addr}}
	for _, f := range change {
		f(&config)
	}
	c := NewClient(config)
	t.Cleanup(c.Close)
	return c
}

// peer is the upstream's end of a connection.
type peer struct {
	net.Conn
	r *bufio.Reader
}

// head reads a request head, with its empty line; "" when there is none.
func (p *peer) head() string {
	var b strings.Builder
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return ""
		}
		b.WriteString(line)
		if line == "\r\n" {
			return b.String()
		}
	}
}

// request reads a request as net/http sees it, with its body; nil when there is none.
func (p *peer) request() (*http.Request, string) {
	r, err := http.ReadRequest(p.r)
	if err != nil {
		return nil, ""
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, ""
	}
	return r, string(body)
}

func (p *peer) send(s string) { io.WriteString(p, s) }

// answering is a server that answers every request head with the same bytes.
func answering(raw string) func(*peer) {
	return func(p *peer) {
		for p.head() != "" {
			p.send(raw)
		}
	}
}

// once is a server that answers one request head and closes the connection.
func once(raw string) func(*peer) {
	return func(p *peer) {
		if p.head() != "" {
			p.send(raw)
		}
	}
}

// guard is a context for one test, so that nothing hangs.
func guard(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// get is a request without a body.
func get() *Request { return &Request{Method: "GET", Target: "/", Host: "h"} }

// post is a request with a body of known length.
func post(body string) *Request {
	return &Request{Method: "POST", Target: "/", Host: "h", Body: strings.NewReader(body), Length: int64(len(body))}
}

// header makes the header of a request from names and values in turn.
func header(pairs ...string) (fields []Field) {
	for pair := range slices.Chunk(pairs, 2) {
		fields = append(fields, Field{pair[0], pair[1]})
	}
	return fields
}

// fetch does a request and reads the body.
func fetch(ctx context.Context, c *Client, r *Request) (status int, body string, err error) {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.Status, resp.Data + string(b), err
}

// wantError checks the kind of an error and where it happened.
func wantError(t *testing.T, err error, op string, kind upstream.Kind) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an Error", err)
	}
	if e.Op != op || e.Kind != kind {
		t.Fatalf("got %v (%s, kind %d), want %s, kind %d", err, e.Op, e.Kind, op, kind)
	}
	return e
}

// lines prints a header for comparison.
func lines(h []Field) string {
	var b strings.Builder
	for _, f := range h {
		b.WriteString(f.Name + ": " + f.Value + "\n")
	}
	return b.String()
}

// eventually waits for what happens in another goroutine.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
