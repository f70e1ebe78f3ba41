package server

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"luaserve/runtime"
)

func TestPlaces(t *testing.T) {
	limits := runtime.DefaultLimits()
	limits.Connections, limits.ConnectionsPerIP = 5, 2
	all := newPlaces(func() *runtime.Limits { return &limits }, slog.New(slog.DiscardHandler))
	held := map[string]*place{}
	take := func(name, client, want string) {
		t.Helper()
		addr, _ := netip.ParseAddr(client) // "" is a unix socket
		p, err := all.take(addr)
		if err == nil {
			held[name] = p
		}
		if got := err; want == "" && got != nil || want != "" && (got == nil || got.Error() != want) {
			t.Errorf("%s from %q: got %v, want %q", name, client, got, want)
		}
	}
	take("a", "192.0.2.1", "")
	take("b", "192.0.2.1", "")
	take("c", "192.0.2.1", "192.0.2.1 has 2 connections (limits: connections_per_ip)")
	take("c", "2001:db8::1", "")
	take("d", "2001:db8::ffff:2", "")
	take("e", "2001:db8::3", "2001:db8::3 has 2 connections (limits: connections_per_ip)")
	take("e", "", "")
	take("f", "2001:db8:0:1::", "there are 5 connections (limits: connections)")
	held["a"].leave()
	held["a"].leave() // counts once
	take("f", "2001:db8:0:1::", "")
	take("g", "", "there are 5 connections (limits: connections)")
	if err := held["e"].nameClient(netip.MustParseAddr("2001:db8::9")); err == nil {
		t.Error("a third client of a network has a place behind a load balancer")
	}
	limits.Connections = 0
	take("g", "", "")
	for _, p := range held {
		p.leave()
	}
	if all.taken != 0 || len(all.byClient) != 0 {
		t.Errorf("behind the end %d places are taken, by %v", all.taken, all.byClient)
	}
}

// keptOpen is a client that was answered once and keeps its connection.
func keptOpen(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	askAgain(t, c)
	return c
}

func askAgain(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if io.Copy(io.Discard, resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("the answer is %s", resp.Status)
	}
}

// turnedAway is what a client gets that connects and asks. If that is nothing it does so again, five
// times at most: a server that is late does not take the time to say why it refuses.
func turnedAway(t *testing.T, network, addr string) (got string) {
	t.Helper()
	for range 5 {
		c, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		all, err := io.ReadAll(c)
		c.Close()
		if got = string(all); got != "" || err != nil {
			break
		}
	}
	return got
}

func TestConnectionsBeyondTheLimit(t *testing.T) {
	var log logBuffer
	socket := "unix:" + t.TempDir() + "/s"
	f := &fakeSite{name: "x", listen: []string{"127.0.0.1:0", socket}, limits: func(l *runtime.Limits) { l.Connections = 2 }}
	s, l, url := start(t, f, Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	tcp, unix := strings.TrimPrefix(url, "http://"), strings.TrimPrefix(socket, "unix:")
	first := keptOpen(t, "tcp", tcp)
	keptOpen(t, "unix", unix)
	for range 10 {
		for network, addr := range map[string]string{"tcp": tcp, "unix": unix} {
			if got := turnedAway(t, network, addr); got != refusal {
				t.Fatalf("%s: got %q", network, got)
			}
		}
	}
	if n := strings.Count(log.String(), "connection refused"); n != 1 {
		t.Errorf("the log has %d lines of the refusals:\n%s", n, &log)
	}
	first.Close()
	for deadline := time.Now().Add(20 * time.Second); turnedAway(t, "tcp", tcp) == refusal; {
		if time.Now().After(deadline) {
			t.Fatal("the place of a client that left is not free")
		}
	}
	l.set(always(&fakeSite{name: "y", listen: f.listen}))
	if err := s.Reload(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		keptOpen(t, "tcp", tcp)
	}
}

// Behind a load balancer the client's address counts, not that of the load balancer.
func TestConnectionsOfOneAddressBehindALoadBalancer(t *testing.T) {
	f := &fakeSite{name: "x", limits: func(l *runtime.Limits) { l.ConnectionsPerIP = 1 },
		proxying: runtime.Proxying{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, MaxTLV: -1}}
	_, _, url := start(t, f, Config{})
	from := func(client string) (line string) {
		t.Helper()
		for range 5 { // as turnedAway does
			c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(c, "PROXY TCP4 "+client+" 192.0.2.9 1 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if line, err = bufio.NewReader(c).ReadString('\n'); err != io.EOF || line != "" {
				break
			}
		}
		return strings.TrimSpace(line)
	}
	for _, c := range []struct{ client, want string }{
		{"192.0.2.1", "HTTP/1.1 200 OK"}, {"192.0.2.2", "HTTP/1.1 200 OK"}, {"192.0.2.1", "HTTP/1.1 503 Service Unavailable"},
	} {
		if got := from(c.client); got != c.want {
			t.Errorf("%s: got %s, want %s", c.client, got, c.want)
		}
	}
}

// exhausted is a listener that has no descriptors for its first connections.
type exhausted struct {
	net.Listener
	fails atomic.Int64
	tries atomic.Int64
}

func (e *exhausted) Accept() (net.Conn, error) {
	e.tries.Add(1)
	if e.fails.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return e.Listener.Accept()
}

// Without file descriptors the server pauses, says so, and goes on.
func TestNoFileDescriptors(t *testing.T) {
	var log logBuffer
	f := &fakeSite{name: "x", listen: []string{"127.0.0.1:0"}}
	s, err := newServer(Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, (&loader{next: always(f)}).load)
	if err != nil {
		t.Fatal(err)
	}
	l := &exhausted{Listener: s.listeners[0].Listener}
	l.fails.Store(4)
	s.listeners[0].Listener = l
	serve(t, s)
	mustGet(t, "http://"+s.Addrs()[0].String(), "x")
	for _, pause := range []string{"5ms", "10ms", "20ms", "40ms"} {
		if !strings.Contains(log.String(), "pause="+pause) {
			t.Errorf("there was no pause of %s:\n%s", pause, &log)
		}
	}
	if !strings.Contains(log.String(), "too many open files") || l.tries.Load() > 6 {
		t.Errorf("%d tries:\n%s", l.tries.Load(), &log)
	}
}

// Between two tries it waits, longer each time and a second at most, instead of using up the
// processor.
func TestPausesWithoutFileDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ends.Close()
		tried := &exhausted{Listener: ends}
		tried.fails.Store(10)
		l := &listener{Listener: tried}
		l.want.Store(&manner{})
		s := &Server{log: slog.New(slog.DiscardHandler), failed: make(chan error, 1)}
		began := time.Now()
		s.accept(l)
		const want = (5 + 10 + 20 + 40 + 80 + 160 + 320 + 640 + 1000 + 1000) * time.Millisecond
		if paused := time.Since(began); paused != want || tried.tries.Load() != 11 {
			t.Errorf("%d tries, %v of pauses, want %v", tried.tries.Load(), paused, want)
		}
	})
}
