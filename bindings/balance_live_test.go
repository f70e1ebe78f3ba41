package bindings_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/server"
)

// liveBackend is a server that can be killed and started again at the same address. What it
// has begun to answer it answers: nobody can repair that.
type liveBackend struct {
	t       *testing.T
	serve   func(net.Listener, http.Handler) error
	handler http.Handler
	addr    string
	conns   atomic.Int64 // taken so far

	mu   sync.Mutex
	l    net.Listener
	open map[*liveConn]bool
}

// newLive starts a backend that is served by serve.
func newLive(t *testing.T, serve func(net.Listener, http.Handler) error, handler http.HandlerFunc) *liveBackend {
	t.Helper()
	b := &liveBackend{t: t, serve: serve, handler: handler, addr: "127.0.0.1:0"}
	b.start()
	t.Cleanup(b.kill)
	return b
}

func (b *liveBackend) start() {
	l, err := net.Listen("tcp", b.addr)
	if err != nil {
		b.t.Errorf("start again: %v", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.l, b.open, b.addr = l, map[*liveConn]bool{}, l.Addr().String()
	go b.serve(&liveListener{l, b}, b.handler)
}

// kill closes the listener and cuts the connections.
func (b *liveBackend) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.l.Close()
	for c := range b.open {
		c.kill()
	}
	b.open = nil
}

// liveListener counts the connections of a backend and remembers them.
type liveListener struct {
	net.Listener
	b *liveBackend
}

func (l *liveListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &liveConn{TCPConn: nc.(*net.TCPConn)}
	l.b.conns.Add(1)
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if l.b.open == nil || l.b.l != l.Listener { // killed meanwhile
		c.kill()
	} else {
		l.b.open[c] = true
	}
	return c, nil
}

// liveConn is a connection of a backend that writes its answers at once, or in the records of
// FastCGI.
type liveConn struct {
	*net.TCPConn
	mu             sync.Mutex
	answers, dying bool
}

func (c *liveConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.TCPConn.Write(p)
	const version, endRequest = 1, 3
	if c.answers = p[0] == version && p[1] != endRequest; c.dying && !c.answers {
		c.Close()
	}
	return n, err
}

func (c *liveConn) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.SetLinger(0)
	if c.dying = true; !c.answers {
		c.Close()
	}
}

func serveHTTP(l net.Listener, h http.Handler) error { return http.Serve(l, h) }

// echo answers with the method and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(r.Method)+1+len(body)))
	fmt.Fprintf(w, "%s %s", r.Method, body)
}

// While backends are killed and started again, no idempotent request fails as long as one is up.
func TestBalanceFlapping(t *testing.T) {
	const clients, requests, kills = 64, 25, 16
	for _, policy := range []string{`rr(`, `sqf(`, `least_time(`, `hash("%{req.path}", `} {
		t.Run(strings.Trim(policy, `(", `), func(t *testing.T) {
			t.Parallel()
			list := []*liveBackend{newLive(t, serveHTTP, echo), newLive(t, fcgi.Serve, echo), newLive(t, serveHTTP, echo)}
			site := luaScript(t, fmt.Sprintf(`actions = balance.%s{ backends = { proxy %q, fastcgi %q, proxy %q },
				tries = 100, wait = 60, pause = 0.005, max_pause = 0.02, fails = 2, max_in_flight = 25, check = { interval = 0.01, fall = 1, rise = 1 } })`,
				policy, list[0].addr, list[1].addr, list[2].addr))
			addr := site.listen(t)
			var answered atomic.Int64
			progress := func() { // that of others, or the end of all
				for from := answered.Load(); answered.Load() < min(from+20, clients*requests); {
					time.Sleep(time.Millisecond)
				}
			}
			var all sync.WaitGroup
			all.Go(func() {
				for i := range kills {
					a, b := list[i%3], list[(i+1)%3]
					a.kill()
					if i%2 == 0 { // one is left
						b.kill()
						progress()
						b.start()
					}
					progress()
					a.start()
					progress()
				}
			})
			for i := range clients {
				all.Go(func() {
					client := &http.Client{Transport: &http.Transport{}}
					defer client.CloseIdleConnections()
					for j := range requests {
						askEcho(t, client, addr, i*requests+j)
						answered.Add(1)
					}
				})
			}
			all.Wait()
			if t.Failed() {
				t.Logf("%.5000s", site.log)
			}
		})
	}
}

// askEcho sends the n-th request, which a backend answers with what it got.
func askEcho(t *testing.T, client *http.Client, addr string, n int) {
	method, body := []string{"GET", "PUT", "DELETE", "PUT"}[n%4], ""
	if method == "PUT" {
		body = strings.Repeat("x", n%3000)
	}
	r, err := http.NewRequest(method, fmt.Sprintf("http://%s/%d", addr, n%50), strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	if n%8 == 3 {
		r.ContentLength = -1 // chunked
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if got := text(resp); resp.StatusCode != 200 || got != method+" "+body {
		t.Errorf("%s with %d bytes: got %d, %.100q", method, len(body), resp.StatusCode, got)
	}
}

// Health checks take a backend out and bring it back, whatever it speaks.
func TestBalanceHealth(t *testing.T) {
	healthy := func(b *liveBackend, sick *atomic.Bool, is bool) { sick.Store(!is) }
	alive := func(b *liveBackend, _ *atomic.Bool, is bool) {
		if is {
			b.start()
		} else {
			b.kill()
		}
	}
	for _, tt := range []struct {
		name, action string
		serve        func(net.Listener, http.Handler) error
		check        string
		set          func(*liveBackend, *atomic.Bool, bool)
	}{
		{"http", "proxy", serveHTTP, `path = "/health", host = "check.example"`, healthy},
		{"fastcgi", "fastcgi", fcgi.Serve, `path = "/health", host = "check.example"`, healthy},
		{"dead", "proxy", serveHTTP, `path = "/health", host = "check.example"`, alive},
		{"dead, connecting is enough", "fastcgi", fcgi.Serve, "", alive},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sick atomic.Bool
			one := newLive(t, tt.serve, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/health" && (sick.Load() || r.Host != "check.example" || r.Method != "GET") {
					w.WriteHeader(500)
				}
				io.WriteString(w, "one")
			})
			two := newLive(t, serveHTTP, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "two") })
			site := luaScript(t, fmt.Sprintf(`actions = balance.sqf { backends = { %s %q, proxy %q }, check = { interval = 0.01, timeout = 30, %s } }`,
				tt.action, one.addr, two.addr, tt.check))
			want := func(when, want string) {
				t.Helper()
				for range 5 {
					if got := text(site.get("/")); got != want {
						t.Errorf("%s: got %q\n%s", when, got, site.log)
					}
				}
			}
			want("in the beginning", "one")
			for range 2 {
				site.log.clear()
				tt.set(one, &sick, false)
				await(t, "it is down", func() bool { return strings.Contains(site.log.String(), "backend is down") })
				want("down", "two")
				tt.set(one, &sick, true)
				await(t, "it is up", func() bool { return strings.Contains(site.log.String(), "backend is up again") })
				want("up again", "one")
			}
		})
	}
}

// watchers returns how many goroutines check backends.
func watchers() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:goruntime.Stack(stacks, true)]), "(*healthCheck).watch(")
}

// Backends are checked while a site serves: not when it is only loaded, not by the
// one that a reload replaced, and not when it is closed.
func TestBalanceHealthEnds(t *testing.T) {
	one := newLive(t, serveHTTP, echo)
	dir := t.TempDir()
	file := filepath.Join(dir, "site.lua")
	script := fmt.Sprintf(`setup.listen "unix:%s/s"
actions = balance.rr { backends = { proxy %q, proxy %q }, check = { interval = 0.01 } }`, dir, one.addr, one.addr)
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(path string) (*runtime.Program, error) {
		return runtime.Load(path, runtime.Config{Modules: bindings.Modules(), Log: slog.New(slog.DiscardHandler)})
	}
	p, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if n, conns := watchers(), one.conns.Load(); n != 0 || conns != 0 {
		t.Errorf("%d watch and %d connections came while it was only loaded", n, conns)
	}
	s, err := server.New(server.Config{Site: file, Load: load, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		await(t, "both are watched, each by one", func() bool { return watchers() == 2 })
		from := one.conns.Load()
		await(t, "it is checked", func() bool { return one.conns.Load() > from })
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if n := watchers(); n != 0 {
		t.Errorf("%d watch a site that is closed", n)
	}
}

// A check that hangs ends with the site.
func TestBalanceHealthHangs(t *testing.T) {
	asked, over := make(chan bool, 1), make(chan bool)
	hangs := newLive(t, serveHTTP, func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
		close(over)
	})
	site := luaScript(t, fmt.Sprintf(`actions = balance.rr { backends = proxy %q, check = { path = "/", timeout = 3600 } }`, hangs.addr))
	site.Start()
	<-asked
	site.Close()
	<-over
	if n := watchers(); n != 0 {
		t.Errorf("%d watch", n)
	}
}

// Only the script of the site can have its backends checked: what a handler makes is made
// again and again.
func TestBalanceHealthInHandler(t *testing.T) {
	site := luaScript(t, inHandler(`local _, e = pcall(action.balance.rr, { backends = action.respond "a", check = { path = "/" } }); out(e.message)`))
	if got := text(site.get("/")); !strings.Contains(got, "check: only what the script of the site itself makes can be checked") {
		t.Errorf("got %q", got)
	}
}

// A client that goes away while it waits for a backend leaves the queue; when too many wait,
// the next one is told so at once.
func TestBalanceQueue(t *testing.T) {
	arrived, answer := make(chan string), make(chan bool)
	slow := newLive(t, serveHTTP, func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Path
		<-answer
	})
	site := luaScript(t, fmt.Sprintf(`actions = { when(request.path:eq "/metrics", { status.metrics() }),
		balance.rr { backends = proxy %q, max_in_flight = 1, backlog = 2, wait = 600 } }`, slow.addr))
	addr := site.listen(t)
	waiting := func(n int) {
		t.Helper()
		await(t, fmt.Sprint(n, " wait"), func() bool {
			return strings.Contains(text(site.get("/metrics")), fmt.Sprintf("site.lua:2\"} %d\n", n))
		})
	}
	var all sync.WaitGroup
	ask := func(ctx context.Context, path string) {
		all.Go(func() {
			r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+path, nil)
			if err != nil {
				t.Error(err)
				return
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err == nil {
				resp.Body.Close()
			}
			if (err != nil) != (path == "/gone") || err == nil && resp.StatusCode != 200 {
				t.Errorf("%s: %v, %v", path, resp, err)
			}
		})
	}
	ask(t.Context(), "/first")
	if got := <-arrived; got != "/first" {
		t.Errorf("%s came first", got)
	}
	ctx, leave := context.WithCancel(t.Context())
	ask(ctx, "/gone")
	waiting(1)
	ask(t.Context(), "/second")
	waiting(2)
	if r := site.get("/too-many"); r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" {
		t.Errorf("status %d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
	}
	leave()
	waiting(1)
	answer <- true
	if got := <-arrived; got != "/second" {
		t.Errorf("%s came second", got)
	}
	answer <- true
	all.Wait()
	waiting(0)
}
