package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"luaserve/runtime"
)

// fakeSite is a site without Lua. It knows whether it was closed under a request.
type fakeSite struct {
	name      string
	listen    []string
	handler   http.HandlerFunc // nil: answers with its name
	panics    bool
	listeners []runtime.Listener // in front of listen
	proxying  runtime.Proxying
	limits    func(*runtime.Limits) // changes the defaults; may be nil
	running   atomic.Int64
	started   atomic.Bool
	closed    atomic.Bool
	misused   atomic.Bool
}

// Handle runs the handler and lets the front end pull what it writes.
func (f *fakeSite) Handle(ex runtime.Exchange) *runtime.Reply {
	if !f.started.Load() {
		f.misused.Store(true)
	}
	if f.panics {
		panic("broken")
	}
	r := (&http.Request{}).WithContext(ex.Context())
	body, w := io.Pipe()
	f.running.Add(1)
	go func() {
		f.serve(fakeWriter{w}, r)
		w.Close()
	}()
	return runtime.NewReply(http.StatusOK, -1, body)
}

// fakeWriter is a ResponseWriter whose writes come out of the reply's body at once.
type fakeWriter struct{ io.Writer }

func (fakeWriter) Header() http.Header { return http.Header{} }
func (fakeWriter) WriteHeader(int)     {}

func (f *fakeSite) serve(w http.ResponseWriter, r *http.Request) {
	defer f.running.Add(-1)
	if f.handler != nil {
		f.handler(w, r)
	} else {
		io.WriteString(w, f.name)
	}
	if f.closed.Load() {
		f.misused.Store(true)
	}
}

func (f *fakeSite) Listeners() []runtime.Listener {
	all := f.listeners
	for _, text := range f.listen {
		all = append(all, runtime.Listener{Address: text})
	}
	return all
}

func (f *fakeSite) Proxying() runtime.Proxying { return f.proxying }

func (f *fakeSite) Limits() runtime.Limits {
	l := runtime.DefaultLimits()
	if f.limits != nil {
		f.limits(&l)
	}
	return l
}

func (f *fakeSite) Refuse(_ runtime.Exchange, status int) *runtime.Reply {
	return runtime.NewErrorReply(status)
}

func (f *fakeSite) Start()        { f.started.Store(true) }
func (f *fakeSite) Outdate(error) {}

func (f *fakeSite) Close() error {
	if f.closed.Swap(true) || f.running.Load() > 0 {
		f.misused.Store(true)
	}
	return nil
}

// isClosedInTime waits until the site is closed, which may be a little after its last answer.
func (f *fakeSite) isClosedInTime() bool {
	for end := time.Now().Add(20 * time.Second); !f.closed.Load() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return f.closed.Load()
}

// loader hands out what next returns; tests change it between reloads.
type loader struct {
	mu   sync.Mutex
	next func() (site, error)
}

func (l *loader) set(next func() (site, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = next
}

func (l *loader) load(string) (site, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next()
}

func always(s site) func() (site, error) { return func() (site, error) { return s, nil } }

// start serves first on a free port until the test ends, and returns the URL.
func start(t *testing.T, first *fakeSite, cfg Config) (*Server, *loader, string) {
	t.Helper()
	if first.listen == nil && first.listeners == nil {
		first.listen = []string{"127.0.0.1:0"}
	}
	l := &loader{next: always(first)}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := newServer(cfg, l.load)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	return s, l, "http://" + s.Addrs()[0].String()
}

func serve(t *testing.T, s *Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return stop
}

func get(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}

func mustGet(t *testing.T, url, want string) {
	t.Helper()
	got, err := get(http.DefaultClient, url)
	if err != nil || got != want {
		t.Errorf("GET %s: got %q, %v; want %q", url, got, err, want)
	}
}

func TestReloadUnderLoad(t *testing.T) {
	s, l, url := start(t, &fakeSite{name: "0"}, Config{})
	all := []*fakeSite{}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var answers atomic.Int64
	for i := range 8 {
		// half of the clients keep their connection, half open a new one each time
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
		clients.Go(func() {
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := get(client, url); err != nil {
					t.Errorf("a request was lost: %v", err)
					return
				}
				answers.Add(1)
			}
		})
	}
	began := time.Now()
	for i := 0; i < 100 || answers.Load() < 100 && time.Since(began) < 30*time.Second; i++ {
		next := &fakeSite{name: fmt.Sprint(i + 1), listen: []string{"127.0.0.1:0"}}
		all = append(all, next)
		l.set(always(next))
		if err := s.Reload(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	close(stop)
	clients.Wait()
	mustGet(t, url, fmt.Sprint(len(all)))
	if answers.Load() < 100 {
		t.Errorf("only %d answers: that was no load", answers.Load())
	}
	for _, f := range all {
		if last := f == all[len(all)-1]; last && f.closed.Load() || !last && !f.isClosedInTime() {
			t.Errorf("site %s: closed is %v", f.name, last)
		}
		if f.misused.Load() {
			t.Errorf("site %s was closed under a request, or twice", f.name)
		}
	}
}

func TestReloadLetsRequestsEndOnTheOldSite(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	old := &fakeSite{handler: func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		io.WriteString(w, "old")
	}}
	s, l, url := start(t, old, Config{})
	answer := make(chan string)
	go func() {
		body, err := get(http.DefaultClient, url)
		answer <- fmt.Sprint(body, err)
	}()
	<-entered
	l.set(always(&fakeSite{name: "new", listen: old.listen}))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	mustGet(t, url, "new")
	if old.closed.Load() {
		t.Error("the old site was closed while a request ran in it")
	}
	close(leave)
	if got := <-answer; got != "old<nil>" {
		t.Errorf("the request on its way got %q", got)
	}
	if !old.isClosedInTime() || old.misused.Load() {
		t.Error("the old site was not closed when its last request had ended")
	}
}

func TestReloadErrorKeepsTheOldSite(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s, l, url := start(t, &fakeSite{name: "old"}, Config{})

	broken := errors.New("site.lua:12: broken")
	l.set(func() (site, error) { return nil, broken })
	if err := s.Reload(); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the load", err)
	}
	mustGet(t, url, "old")

	refused := &fakeSite{name: "new", listen: []string{"127.0.0.1:0", taken.Addr().String()}}
	l.set(always(refused))
	want := "listen " + taken.Addr().String() + ": address already in use"
	if err := s.Reload(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	mustGet(t, url, "old")
	if !refused.closed.Load() || refused.started.Load() || len(s.Addrs()) != 1 {
		t.Errorf("half reloaded: site closed %v, addresses %v", refused.closed.Load(), s.Addrs())
	}
}

func TestReloadFollowsTheAddresses(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	s, l, url := start(t, &fakeSite{name: "old"}, Config{})
	l.set(always(&fakeSite{name: "both", listen: []string{"127.0.0.1:0", "unix:" + socket}}))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	mustGet(t, url, "both") // the same port as before
	viaSocket := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
	if got, err := get(viaSocket, "http://x/"); err != nil || got != "both" {
		t.Errorf("over the new socket: %q, %v", got, err)
	}
	l.set(always(&fakeSite{name: "tcp", listen: []string{"127.0.0.1:0"}}))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	mustGet(t, url, "tcp")
	if _, err := get(viaSocket, "http://x/"); err == nil {
		t.Error("the socket is still open")
	}
}

func TestReloadOfAClosedServer(t *testing.T) {
	s, l, _ := start(t, &fakeSite{name: "old"}, Config{})
	s.Close()
	late := &fakeSite{name: "late", listen: []string{"127.0.0.1:0"}}
	l.set(always(late))
	if err := s.Reload(); !errors.Is(err, http.ErrServerClosed) || !late.closed.Load() {
		t.Errorf("got %v, site closed %v", err, late.closed.Load())
	}
}

func TestDrain(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	f := &fakeSite{listen: []string{"127.0.0.1:0"}, handler: func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		io.WriteString(w, "first half, ")
		<-leave
		io.WriteString(w, "second half")
	}}
	s, err := newServer(Config{Log: slog.New(slog.DiscardHandler)}, (&loader{next: always(f)}).load)
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, s)
	addr := s.Addrs()[0].String()
	answer := make(chan string)
	go func() {
		body, err := get(http.DefaultClient, "http://"+addr)
		answer <- fmt.Sprint(body, err)
	}()
	<-entered
	ended := make(chan error)
	go func() { ended <- stop() }()
	for { // the listener closes first
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	close(leave)
	if got := <-answer; got != "first half, second half<nil>" {
		t.Errorf("the request on its way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if !f.closed.Load() || f.misused.Load() {
		t.Error("the site was not closed behind the last request")
	}
}

func TestDrainTimeout(t *testing.T) {
	entered, cut := make(chan struct{}), make(chan struct{})
	f := &fakeSite{listen: []string{"127.0.0.1:0"}, handler: func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(cut)
	}}
	var log logBuffer
	cfg := Config{Log: slog.New(slog.NewTextHandler(&log, nil)), DrainTimeout: 20 * time.Millisecond}
	s, err := newServer(cfg, (&loader{next: always(f)}).load)
	if err != nil {
		t.Fatal(err)
	}
	stop := serve(t, s)
	go get(http.DefaultClient, "http://"+s.Addrs()[0].String())
	<-entered
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	<-cut
	if !strings.Contains(log.String(), "took too long") {
		t.Errorf("nothing in the log: %s", &log)
	}
}

func TestListenerThatBreaksEndsTheServer(t *testing.T) {
	s, err := newServer(Config{}, (&loader{next: always(&fakeSite{listen: []string{"127.0.0.1:0"}})}).load)
	if err != nil {
		t.Fatal(err)
	}
	s.listeners[0].Listener = brokenListener{s.listeners[0].Listener}
	err = s.Serve(t.Context())
	if want := "listen 127.0.0.1:0: out of sockets"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of sockets") }

func TestPanicIsLoggedAndCutsTheConnection(t *testing.T) {
	var log logBuffer
	f := &fakeSite{panics: true}
	_, _, url := start(t, f, Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if body, err := get(http.DefaultClient, url); err == nil {
		t.Errorf("the client got a complete answer: %q", body)
	}
	deadline := time.Now().Add(20 * time.Second) // the client may know before it is logged
	for !strings.Contains(log.String(), "panic=broken") && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if s := log.String(); !strings.Contains(s, "panic=broken") || !strings.Contains(s, "server_test.go") {
		t.Errorf("the log does not say what and where: %s", s)
	}
}

// The users of a generation come and go in every order; only the last one closes it.
func TestGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSite{}
		g := newGeneration(f)
		for range 100 {
			go func() {
				if g.acquire() {
					if f.closed.Load() {
						t.Error("closed, but there was a user")
					}
					g.release()
				}
			}()
		}
		g.release()
		synctest.Wait()
		if !f.closed.Load() || f.misused.Load() || g.acquire() {
			t.Error("not closed exactly once")
		}
	})
}

// logBuffer takes the log of a server that still writes to it.
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
