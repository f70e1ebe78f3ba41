package http1_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"luaserve/runtime"
	"luaserve/server/http1"
)

// serveWatched serves a function on a new listener with loops.
func serveWatched(t *testing.T, cfg http1.Config, handle func(runtime.Exchange) *runtime.Reply) (addr string, srv *http1.Server) {
	t.Helper()
	return serveOn(t, listen(t), cfg, handle)
}

// serveOn is serveWatched with a listener of one's own.
func serveOn(t *testing.T, on net.Listener, cfg http1.Config, handle func(runtime.Exchange) *runtime.Reply) (addr string, srv *http1.Server) {
	t.Helper()
	cfg.Handle = handle
	srv = http1.New(cfg)
	l := srv.Listener(on)
	t.Cleanup(func() { l.Close(); srv.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if !srv.Watch(c, runtime.Connection{}, func() {}) {
				t.Error("a connection that cannot be watched")
			}
		}
	}()
	return l.Addr().String(), srv
}

// ask sends a request on an open connection and reads the answer.
func ask(t *testing.T, c net.Conn, path string) string {
	t.Helper()
	body, err := tryAsk(c, path)
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return body
}

// tryAsk is ask on a connection that may have ended.
func tryAsk(c net.Conn, path string) (string, error) {
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// However a request waits or computes, the other connections of its loop are served: those
// here are only let go when they were.
func TestNothingHoldsALoopUp(t *testing.T) {
	reads := strings.Repeat("x", 32<<20) // more than sockets take by themselves
	for name, hold := range map[string]struct {
		handle func(ex runtime.Exchange, release chan struct{}) *runtime.Reply
		body   string // what the client sends of a body of 10 bytes
	}{
		"waits and says so": {handle: func(ex runtime.Exchange, release chan struct{}) *runtime.Reply {
			ctx := ex.Context()
			select {
			case <-release:
			case <-ctx.Done():
			}
			return stream(strings.NewReader("late"), 4)
		}},
		"says that it waits": {handle: func(ex runtime.Exchange, release chan struct{}) *runtime.Reply {
			ex.(runtime.Waiter).Waits()
			ex.(runtime.Waiter).Waits()
			<-release
			return stream(strings.NewReader("late"), 4)
		}},
		"waits and does not say so": {handle: func(_ runtime.Exchange, release chan struct{}) *runtime.Reply {
			<-release
			return stream(strings.NewReader("late"), 4)
		}},
		"computes": {handle: func(_ runtime.Exchange, release chan struct{}) *runtime.Reply {
			for {
				select {
				case <-release:
					return stream(strings.NewReader("late"), 4)
				//lint:ignore SA5004 it is to compute
				default:
				}
			}
		}},
		"waits for a body": {body: "12345", handle: func(ex runtime.Exchange, _ chan struct{}) *runtime.Reply {
			n, _ := io.Copy(io.Discard, ex.Body())
			return stream(strings.NewReader("late"), n-6)
		}},
		"has a client that does not read": {handle: func(runtime.Exchange, chan struct{}) *runtime.Reply {
			return stream(strings.NewReader(reads), int64(len(reads)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			addr, _ := serveWatched(t, http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
				if ex.Target() == "/hold" {
					return hold.handle(ex, release)
				}
				return stream(strings.NewReader("quick"), 5)
			})
			loops := goruntime.GOMAXPROCS(0)
			var held []net.Conn
			for range 2 * loops { // each loop is held up twice
				c := dial(t, addr)
				if hold.body == "" {
					io.WriteString(c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
				} else {
					io.WriteString(c, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"+hold.body)
				}
				held = append(held, c)
			}
			for range 2 * loops {
				c := dial(t, addr)
				for range 3 {
					if got := ask(t, c, "/quick"); got != "quick" {
						t.Fatalf("got %q", got)
					}
				}
			}
			close(release)
			for _, c := range held {
				if hold.body != "" {
					io.WriteString(c, hold.body)
				}
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				if err != nil || n != resp.ContentLength {
					t.Errorf("%d bytes of %d, %v", n, resp.ContentLength, err)
				}
			}
			// what waited is served by the loops again
			for _, c := range held {
				if got := ask(t, c, "/quick"); got != "quick" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
}

// A request together with the end of the sending is answered; so is one whose bytes come one
// by one, and one that begins in the packet of another.
func TestWatchedConnectionsByPieces(t *testing.T) {
	addr, _ := serveWatched(t, http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		body := ex.Target()
		return stream(strings.NewReader(body), int64(len(body)))
	})
	const request = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, pieces := range map[string][]string{
		"with the end":  {request},
		"byte by byte":  strings.Split(request, ""),
		"overlapping":   {request + request[:10], request[10:] + "\r\n\r\n"},
		"many at once":  {strings.Repeat(request, 1000)},
		"empty lines":   {"\r\n", "\r\n\r\n", request, "\r\n"},
		"longer buffer": {"GET /a HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 9000), "\r\n\r\n" + request},
	} {
		c := dial(t, addr)
		c.(*net.TCPConn).SetNoDelay(true)
		var sent strings.Builder
		go func() {
			for _, p := range pieces {
				io.WriteString(c, p)
				if len(pieces) > 1 {
					time.Sleep(time.Millisecond)
				}
			}
			c.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		for _, p := range pieces {
			sent.WriteString(p)
		}
		if want := strings.Count(sent.String(), "GET /a"); err != nil || strings.Count(string(got), " 200 OK") != want {
			t.Errorf("%s: %d answers, want %d; %v", name, strings.Count(string(got), " 200 OK"), want, err)
		}
	}
}

// What a loop watches is ended by its deadline, by Shutdown and by Close.
func TestWatchedConnectionsEnd(t *testing.T) {
	quick := func(runtime.Exchange) *runtime.Reply { return stream(strings.NewReader("quick"), 5) }
	t.Run("idle", func(t *testing.T) {
		addr, _ := serveWatched(t, http1.Config{Limits: limits(func(l *runtime.Limits) { l.IdleTimeout = 50 * time.Millisecond })}, quick)
		whileLate(t, func() (late bool) {
			c := dial(t, addr)
			for range 3 {
				if _, err := tryAsk(c, "/"); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
					return true // it was idle for too long before
				} else if err != nil {
					t.Error(err)
				}
			}
			if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			return false
		})
	})
	t.Run("shutdown", func(t *testing.T) {
		addr, srv := serveWatched(t, http1.Config{}, quick)
		idle, fresh := dial(t, addr), dial(t, addr)
		ask(t, idle, "/")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		for _, c := range []net.Conn{idle, fresh} {
			if got, _ := io.ReadAll(c); len(got) > 0 {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("close", func(t *testing.T) {
		inside, release := make(chan struct{}), make(chan struct{})
		addr, srv := serveWatched(t, http1.Config{}, func(runtime.Exchange) *runtime.Reply {
			close(inside)
			<-release
			return stream(strings.NewReader("late"), 4)
		})
		c := dial(t, addr)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-inside
		srv.Close() // does not wait for the request
		if got, _ := io.ReadAll(c); len(got) > 0 {
			t.Errorf("got %q", got)
		}
		close(release)
	})
}

// The goroutines of a crowd of requests that wait go when the crowd has gone, though somebody still
// asks now and then.
func TestGoroutinesOfACrowdGo(t *testing.T) {
	release := make(chan struct{})
	addr, _ := serveWatched(t, http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		if ex.Target() == "/hold" {
			ex.(runtime.Waiter).Waits()
			<-release
		}
		return stream(strings.NewReader("x"), 1)
	})
	alone := dial(t, addr)
	ask(t, alone, "/")
	before := goruntime.NumGoroutine()
	var held []net.Conn
	for range 40 {
		c := dial(t, addr)
		io.WriteString(c, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
		held = append(held, c)
	}
	for goruntime.NumGoroutine() < before+len(held)/2 && !t.Failed() {
		ask(t, alone, "/")
	}
	close(release)
	for _, c := range held {
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.ContentLength != 1 {
			t.Errorf("%v, %v", resp, err)
		}
	}
	for goruntime.NumGoroutine() > before+4 {
		time.Sleep(10 * time.Millisecond)
		if ask(t, alone, "/"); t.Failed() { // the connection has a time limit
			t.Fatalf("%d goroutines before, %d now", before, goruntime.NumGoroutine())
		}
	}
}

// Many connections come, ask, pause in the middle and go at once, while requests wait.
func TestLoopsUnderLoad(t *testing.T) {
	addr, srv := serveWatched(t, http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		switch {
		case strings.HasPrefix(ex.Target(), "/wait"):
			ctx := ex.Context()
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		case strings.HasPrefix(ex.Target(), "/hold"):
			time.Sleep(time.Millisecond)
		}
		body := ex.Target()
		return stream(strings.NewReader(body), int64(len(body)))
	})
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			for j := range 20 {
				c := dial(t, addr)
				for k := range 5 {
					path := []string{"/", "/wait", "/hold"}[(i+j+k)%3] + strings.Repeat("x", k)
					if got := ask(t, c, path); got != path {
						t.Errorf("%s: got %q", path, got)
					}
				}
				if j%2 == 0 {
					io.WriteString(c, "GET /half")
				}
				c.Close()
			}
		})
	}
	clients.Wait()
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// How long a connection may be idle counts from the end of its request, also when its loop has had
// nothing to do meanwhile.
func TestIdleBehindALongRequest(t *testing.T) {
	limits := runtime.DefaultLimits()
	limits.IdleTimeout = 300 * time.Millisecond
	addr, _ := serveWatched(t, http1.Config{Limits: func() *runtime.Limits { return &limits }}, func(ex runtime.Exchange) *runtime.Reply {
		ex.(runtime.Waiter).Waits()
		time.Sleep(600 * time.Millisecond)
		return runtime.NewReply(200, 2, io.NopCloser(strings.NewReader("ok")))
	})
	whileLate(t, func() (late bool) {
		c, answered := dial(t, addr), time.Now()
		for range 3 {
			if got, err := tryAsk(c, "/"); err != nil && time.Since(answered) > 200*time.Millisecond {
				return true // it may have been idle for too long
			} else if got != "ok" {
				t.Errorf("got %q, %v", got, err)
				return false
			}
			answered = time.Now()
			time.Sleep(50 * time.Millisecond)
		}
		return false
	})
}

// A client that says that it sends no more gets all of the answer, however slowly it reads, and
// the end of the connection at once. If it has sent more nevertheless, it is not reset.
func TestClientsThatSayThatTheyEnd(t *testing.T) {
	const long = 1 << 20 // which the kernel takes, so that the server is done before the client reads
	addr, _ := serveWatched(t, http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		if body := ex.Body(); body != nil && ex.Target() == "/read" {
			io.Copy(io.Discard, body)
		}
		if ex.Target() == "/wait" {
			ex.(runtime.Waiter).Waits()
			time.Sleep(50 * time.Millisecond) // what comes meanwhile is more than was read with the head
		}
		return stream(strings.NewReader(strings.Repeat("x", long)), long)
	})
	more := strings.Repeat("y", 100<<10)
	for name, sent := range map[string][2]string{ // at first, and before the answer is read
		"close":               {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
		"HTTP/1.0":            {"GET / HTTP/1.0\r\n\r\n"},
		"body":                {"POST /read HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"},
		"body nobody reads":   {"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 102400\r\n\r\n" + more},
		"line behind a body":  {"POST /read HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "\r\n"},
		"body without length": {"POST / HTTP/1.0\r\n\r\n", "a=b"},
		"more than it said":   {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + more},
		"more while it waits": {"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", more},
		"more behind a body":  {"POST /read HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc" + more},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whileLate(t, func() (late bool) {
				c, began := dial(t, addr), time.Now()
				io.WriteString(c, sent[0])
				time.Sleep(20 * time.Millisecond)
				io.WriteString(c, sent[1])
				got, err := io.ReadAll(c)
				_, body, _ := strings.Cut(string(got), "\r\n\r\n")
				if len(body) == long && err == nil {
					return false
				}
				if time.Since(began) > 400*time.Millisecond {
					return true // the server waits for 500 ms for more, and then may reset the connection
				}
				t.Errorf("%d bytes, %v", len(body), err)
				return false
			})
		})
	}
}

// Who shares a listening socket may set it to wait. The server does not.
func TestListenerThatIsSetToWait(t *testing.T) {
	l := listen(t)
	shared, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	addr, _ := serveOn(t, l, http1.Config{}, func(runtime.Exchange) *runtime.Reply { return stream(strings.NewReader("x"), 1) })
	for range 3 {
		if err := syscall.SetNonblock(int(shared.Fd()), false); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, dial(t, addr), "/"); got != "x" {
			t.Errorf("got %q", got)
		}
	}
	goruntime.GC() // which would wait for an accept that the scheduler does not know of
}
