package server

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"luaserve/runtime"
	"luaserve/tests/pki"
)

// startFront serves handle over HTTP/2, with short patience, and returns the URL and a client.
func startFront(t *testing.T, patience time.Duration, handle func(runtime.Exchange) *runtime.Reply) (string, *http.Client) {
	t.Helper()
	limits := runtime.DefaultLimits()
	limits.BodyTimeout, limits.WriteTimeout = patience, patience
	front := newHTTP2Front(handle, nil, slog.New(slog.DiscardHandler), func() *runtime.Limits { return &limits })
	ca := pki.Authority(t, "CA")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.Server(t, "127.0.0.1").TLS()}, NextProtos: []string{"h2"}}
	all := newPlaces(front.limits, front.log)
	go func() {
		for {
			rwc, err := l.Accept()
			if err != nil {
				return
			}
			place, err := all.take(netip.Addr{})
			if err != nil {
				t.Error(err)
			}
			c := tls.Server(&transport{Conn: rwc, place: place}, cfg)
			if c.Handshake() == nil {
				front.serveConn(c)
			}
		}
	}()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		l.Close()
		front.cut()
		transport.CloseIdleConnections()
	})
	return "https://" + l.Addr().String(), &http.Client{Transport: transport}
}

// Connections that goroutines serve are counted as long as they are open, idle ones as well: the
// loops keep no processor from them.
func TestConnectionsOfGoroutinesAreCounted(t *testing.T) {
	ca := pki.Authority(t, "CA")
	certificates := []tls.Certificate{ca.Server(t, "127.0.0.1").TLS()}
	s, _, _ := start(t, &fakeSite{name: "one", listeners: []runtime.Listener{
		{Address: "127.0.0.1:0", TLS: &tls.Config{Certificates: certificates, NextProtos: []string{"h2", "http/1.1"}}},
	}}, Config{})
	count := func(want int) {
		t.Helper()
		for began := time.Now(); s.http1.Elsewhere(0) != want; time.Sleep(time.Millisecond) {
			if time.Since(began) > 20*time.Second {
				t.Fatalf("%d are counted, want %d", s.http1.Elsewhere(0), want)
			}
		}
	}
	count(0)
	var open []*http.Transport
	for i, h2 := range []bool{true, false} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, ForceAttemptHTTP2: h2}
		open = append(open, transport)
		got, err := get(&http.Client{Transport: transport}, "https://"+s.Addrs()[0].String())
		if got != "one" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
		count(i + 1)
	}
	for i, transport := range open {
		transport.CloseIdleConnections()
		count(len(open) - 1 - i)
	}
	c, err := net.Dial("tcp", s.Addrs()[0].String()) // that never begins with TLS
	if err != nil {
		t.Fatal(err)
	}
	count(1)
	c.Close()
	count(0)
}

// waitOn waits for a channel to be closed.
func waitOn(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal(what)
	}
}

// endless is a body that tells when it was closed.
type endless struct{ closed chan struct{} }

func (endless) Read(p []byte) (int, error) { return len(p), nil }
func (e endless) Close() error {
	close(e.closed)
	return nil
}

func TestHTTP2ClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	body := endless{make(chan struct{})}
	url, client := startFront(t, 2*time.Second, func(runtime.Exchange) *runtime.Reply {
		return runtime.NewReply(http.StatusOK, -1, body)
	})
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	waitOn(t, "the answer still waits for its client", body.closed)
}

func TestHTTP2ClientThatDoesNotSend(t *testing.T) {
	t.Parallel()
	failed := make(chan struct{})
	url, client := startFront(t, 2*time.Second, func(ex runtime.Exchange) *runtime.Reply {
		if _, err := io.ReadAll(ex.Body()); err != nil {
			close(failed)
		}
		return runtime.NewReply(http.StatusOK, 0, nil)
	})
	silent, w := io.Pipe()
	defer w.Close()
	go func() {
		if resp, err := client.Post(url, "", silent); err == nil {
			resp.Body.Close()
		}
	}()
	waitOn(t, "the request still waits for its client", failed)
}

// slowly is what a backend sends after pauses.
type slowly struct {
	io.Reader
	pause time.Duration
}

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.Reader.Read(p)
}

// Only clients must make progress: a backend may take longer, and may read late.
func TestHTTP2BackendMayTakeLonger(t *testing.T) {
	t.Parallel()
	const patience, longer = 2500 * time.Millisecond, 3 * time.Second
	for name, pause := range map[string]struct{ before, within time.Duration }{
		"reads late": {before: longer}, "answers slowly": {within: longer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, client := startFront(t, patience, func(ex runtime.Exchange) *runtime.Reply {
				time.Sleep(pause.before)
				if b, err := io.ReadAll(ex.Body()); string(b) != "question" {
					t.Errorf("the body is %q, %v", b, err)
				}
				late := slowly{iotest.DataErrReader(strings.NewReader("b")), pause.within}
				return runtime.NewReply(http.StatusOK, -1, io.NopCloser(io.MultiReader(strings.NewReader("a"), late)))
			})
			resp, err := client.Post(url, "", strings.NewReader("question"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); string(b) != "ab" || err != nil {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}
}

// A panic is logged and cuts one answer, not the connection.
func TestHTTP2Panic(t *testing.T) {
	url, client := startFront(t, time.Minute, func(ex runtime.Exchange) *runtime.Reply {
		if ex.Target() == "/panic" {
			panic("broken")
		}
		return runtime.NewReply(http.StatusOK, 2, io.NopCloser(strings.NewReader("ok")))
	})
	if body, err := get(client, url+"/panic"); err == nil {
		t.Errorf("the client got a complete answer: %q", body)
	}
	if body, err := get(client, url+"/"); err != nil || body != "ok" {
		t.Errorf("the next request: %q, %v", body, err)
	}
}
