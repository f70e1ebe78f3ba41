package http1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
)

// warmed is a row whose requests go to a backend, over connections that its loop watches.
type warmed struct {
	*row
	clients int
	meet    chan *sync.WaitGroup // for requests that are answered when all clients have asked
	hold    chan bool            // ends the turn in which a request to /hold keeps the loop
	held    chan bool
	served  chan bool    // is closed when the last of the clients is served
	owed    atomic.Int32 // requests that were owed when the last of the clients was served
	backend *deafening
	last    func(w *warmed) // is called then
}

// backendsOf are the protocols, by the name of their action.
var backendsOf = map[string]func(net.Listener, http.Handler) error{"proxy": http.Serve, "fastcgi": fcgi.Serve}

func newWarmed(t *testing.T, protocol string, clients int) *warmed {
	t.Helper()
	w := &warmed{row: newRow(t, 0, true), clients: clients, meet: make(chan *sync.WaitGroup, 1), hold: make(chan bool), held: make(chan bool), served: make(chan bool)}
	at := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w.backend = &deafening{Listener: l, ended: t.Context().Done()}
	go backendsOf[protocol](w.backend, http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/warm" {
			all := <-w.meet
			w.meet <- all
			all.Done()
			all.Wait()
		}
		io.WriteString(out, r.URL.Path)
	}))
	script := filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(script, fmt.Appendf(nil, "actions = %s %q", protocol, "unix:"+at), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(script, runtime.Config{Modules: bindings.Modules(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	var count atomic.Int32
	w.srv.handle = func(ex runtime.Exchange) *runtime.Reply {
		switch path := ex.Target(); {
		case path == "/hold":
			w.held <- true
			<-w.hold
			return runtime.NewErrorReply(http.StatusTeapot)
		case strings.HasPrefix(path, "/go"):
			if count.Add(1) == int32(clients) {
				w.owed.Store(int32(len(w.loop.owing)))
				w.last(w)
				close(w.served)
			}
		}
		return p.Handle(ex)
	}
	for range clients + 1 {
		w.connect()
	}
	w.loop.payAfter = moment(time.Hour)
	go w.loop.loops.work(job{w.loop, 0}) // without a guard, which would not let it be held
	w.warm()
	return w
}

// warm has as many connections kept as there are clients, and watched.
func (w *warmed) warm() {
	w.t.Helper()
	for range 3 {
		var all sync.WaitGroup
		all.Add(w.clients)
		w.meet <- &all
		for i := range w.clients {
			w.ask(i, "/warm")
		}
		for i := range w.clients {
			w.expectPath(i, "/warm")
		}
		<-w.meet
	}
	w.await("all are kept", func() bool {
		w.loop.mu.Lock()
		defer w.loop.mu.Unlock()
		return len(w.loop.backends) >= w.clients
	})
	for _, s := range w.near {
		w.await("the loop has the client", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.attached != nil
		})
	}
}

// deafening is a listener that can have the connections it has accepted read nothing more.
type deafening struct {
	net.Listener
	ended <-chan struct{}
	deaf  atomic.Int32 // so many of them
	count atomic.Int32
	stuck atomic.Int32 // that do not come back from a Read
}

func (d *deafening) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	return &deafConn{c, d, d.count.Add(1)}, err
}

type deafConn struct {
	net.Conn
	of     *deafening
	number int32
}

func (c *deafConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.number <= c.of.deaf.Load() {
		c.of.stuck.Add(1)
		<-c.of.ended
		return 0, io.EOF
	}
	return n, err
}

func (w *warmed) ask(client int, path string) {
	fmt.Fprintf(w.far[client], "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
}

// expectPath reads an answer that has the path of its request as its body.
func (w *warmed) expectPath(client int, path string) {
	w.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(w.far[client]), nil)
	if err != nil {
		w.t.Errorf("client %d: %v", client, err)
		return
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || string(body) != path {
		w.t.Errorf("client %d: %s, %q, %v; want %q", client, resp.Status, body, err, path)
	}
}

// goTogether has all clients ask while the loop serves another one, so that they are served in a
// row.
func (w *warmed) goTogether() {
	w.ask(w.clients, "/hold")
	<-w.held
	for i := range w.clients {
		w.ask(i, fmt.Sprint("/go", i))
	}
	w.hold <- true
	<-w.served
}

// eachBackend calls f for the sockets of the connections to the backend.
func (w *warmed) eachBackend(f func(i int, s *socket)) {
	w.loop.mu.Lock()
	all := append([]*socket(nil), w.loop.backends...)
	w.loop.mu.Unlock()
	for i, s := range all {
		f(i, s)
	}
}

// Requests to backends that are sent together get the answers that they would have got one by one,
// whatever becomes of backends and clients before they are sent.
func TestRequestsThatAreSentTogether(t *testing.T) {
	const clients = 9
	for name, test := range map[string]struct {
		last func(w *warmed)
		not  func(client int) bool // who gets no answer
	}{
		"all is well": {last: func(*warmed) {}},
		"no backend has room": {last: func(w *warmed) {
			w.backend.deaf.Store(w.backend.count.Load())
			var all int32
			w.eachBackend(func(_ int, s *socket) { fillUp(s.fd); all++ })
			w.await("each backend has read once more", func() bool { return w.backend.stuck.Load() >= all })
			w.eachBackend(func(_ int, s *socket) { fillUp(s.fd) })
		}},
		"the connections to them are closed": {last: func(w *warmed) {
			w.eachBackend(func(_ int, s *socket) { s.Close() })
		}},
		"they have ended": {last: func(w *warmed) {
			w.eachBackend(func(i int, s *socket) {
				if i%2 == 0 {
					s.control(func() error { return syscall.Shutdown(s.fd, syscall.SHUT_RDWR) })
				}
			})
		}},
		"a client is gone": {
			last: func(w *warmed) { w.far[2].Close() },
			not:  func(client int) bool { return client == 2 },
		},
		"a client is cut": {
			last: func(w *warmed) { w.session(2).cut() },
			not:  func(client int) bool { return client == 2 },
		},
		"the server shuts down": {last: func(w *warmed) {
			go w.srv.Shutdown(context.Background())
			w.await("it shuts down", w.srv.closing.Load)
			time.Sleep(10 * time.Millisecond) // so that it has ended those that only wait
		}},
		"the server is closed": {
			last: func(w *warmed) {
				go w.srv.Close()
				time.Sleep(10 * time.Millisecond)
			},
			not: func(int) bool { return true },
		},
	} {
		for protocol := range backendsOf {
			t.Run(name+" ("+protocol+")", func(t *testing.T) {
				w := newWarmed(t, protocol, clients)
				w.last = test.last
				w.goTogether()
				for i := range clients {
					if test.not == nil || !test.not(i) {
						w.expectPath(i, fmt.Sprint("/go", i))
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if err := w.srv.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				if owed := w.owed.Load(); owed != clients-1 {
					t.Errorf("%d requests were owed", owed)
				}
			})
		}
	}
}
