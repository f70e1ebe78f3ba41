package http1_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/server/http1"
)

// proxySite serves a site whose requests go to a backend that answers each but those for /hang.
func proxySite(t *testing.T, left func()) (addr string, srv *http1.Server, hung <-chan bool) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	hangs := make(chan bool, 10)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			hangs <- true
			<-r.Context().Done()
			return
		}
		io.WriteString(w, r.URL.Path)
	}))
	script := filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(script, fmt.Appendf(nil, "actions = proxy %q", "unix:"+socket), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(script, runtime.Config{Modules: bindings.Modules(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	srv = http1.New(http1.Config{Handle: p.Handle, Log: slog.New(slog.DiscardHandler)})
	front := srv.Listener(listen(t))
	t.Cleanup(func() { front.Close(); srv.Close() })
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			srv.Watch(c, runtime.Connection{}, left)
		}
	}()
	return front.Addr().String(), srv, hangs
}

// A server that is closed under a request that is paused ends it: nothing is left of the
// connection.
func TestCloseWhilePaused(t *testing.T) {
	var ended atomic.Int32
	addr, srv, hung := proxySite(t, func() { ended.Add(1) })
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 { // so that there is a kept connection, which a loop watches
		if got := ask(t, c, "/fine"); got != "/fine" {
			t.Fatalf("got %q", got)
		}
	}
	io.WriteString(c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
	<-hung
	srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil || ended.Load() != 1 {
		t.Errorf("%d connections ended, %v", ended.Load(), err)
	}
}

// While a request is paused its loop may keep its processor, unless anything is served elsewhere,
// such as a request whose backend is slow: both are counted, however they end.
func TestWaitingIsCounted(t *testing.T) {
	addr, srv, hung := proxySite(t, func() {})
	waiting := srv.Waiting()
	until := func(what string, reached func(paused, elsewhere int) bool) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			paused, elsewhere := waiting()
			if reached(paused, elsewhere) {
				return
			}
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%s: %d requests are paused, and %d are served elsewhere", what, paused, elsewhere)
			}
		}
	}
	nothing := func(paused, elsewhere int) bool { return paused == 0 && elsewhere == 0 }
	c := dial(t, addr)
	for range 3 { // the first one waits for a new connection
		if got := ask(t, c, "/fine"); got != "/fine" {
			t.Fatalf("got %q", got)
		}
	}
	until("answered", nothing)
	io.WriteString(c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
	<-hung
	until("late", func(paused, elsewhere int) bool { return paused == 0 && elsewhere == 1 })
	c.Close()
	until("the client left", nothing)

	c = dial(t, addr)
	ask(t, c, "/fine")
	if got := ask(t, c, "/fine"); got != "/fine" {
		t.Fatalf("got %q", got)
	}
	io.WriteString(c, "GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
	<-hung
	srv.Close()
	until("closed", nothing)
}

// What comes together with the end of a body is the next request, also when all of what had
// come before was read.
func TestRequestBehindLateBody(t *testing.T) {
	addr, _ := serveWatched(t, http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		n := 0
		if body := ex.Body(); body != nil {
			b, _ := io.ReadAll(body)
			n = len(b)
		}
		text := fmt.Sprint(ex.Target(), n)
		return runtime.NewReply(http.StatusOK, int64(len(text)), io.NopCloser(strings.NewReader(text)))
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	for range 3 {
		io.WriteString(c, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
		time.Sleep(5 * time.Millisecond)
		io.WriteString(c, "hello"+"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
		for _, want := range []string{"/a5", "/b0"} {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("%s: %v", want, err)
			}
			if got, _ := io.ReadAll(resp.Body); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	}
}

// Requests that pause use the buffers of others, and what has come behind a request stays where
// it is: each gets its own answer, however many there are at once.
func TestPausedRequestsLendBuffers(t *testing.T) {
	addr, _, _ := proxySite(t, func() {})
	var clients sync.WaitGroup
	for client := range 32 {
		clients.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			in := bufio.NewReader(c)
			for round := range 50 {
				var out strings.Builder
				n := 1 + round%3 // at once
				for i := range n {
					fmt.Fprintf(&out, "GET /%d/%d/%d HTTP/1.1\r\nHost: a\r\n\r\n", client, round, i)
				}
				cut := out.Len() * (round % 7) / 7
				io.WriteString(c, out.String()[:cut])
				io.WriteString(c, out.String()[cut:])
				for i := range n {
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Error(err)
						return
					}
					body, err := io.ReadAll(resp.Body)
					if want := fmt.Sprintf("/%d/%d/%d", client, round, i); err != nil || string(body) != want {
						t.Errorf("got %q and %v, want %q", body, err, want)
						return
					}
				}
			}
		})
	}
	clients.Wait()
}
