package tests

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"luaserve/tests/pki"
)

// limitedSite serves plain HTTP on $A and TLS on $B, with limits: it echoes bodies, and /large is
// more than any socket's buffer.
func limitedSite(t *testing.T, dir, limits string) string {
	t.Helper()
	return fmt.Sprintf(`
	setup.listen "$A"
	setup.openssl { listen = "$B", pemfile = %q }
	setup.limits { %s }
	actions = { when(request.path:eq "/large", { docroot %q, static() }, function(vr)
		local body = vr["in"]:read() or ""
		if vr:handle_direct() then vr.resp.status = 200; vr.out:add("[" .. body .. "]") end
	end) }`, dir+"/site.pem", limits, dir)
}

func startLimited(t *testing.T, limits string) (r *running, ca *pki.Certificate, dir string) {
	t.Helper()
	dir = t.TempDir()
	ca = pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	if err := os.WriteFile(dir+"/large", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(dir+"/large", 64<<20); err != nil {
		t.Fatal(err)
	}
	return run(t, limitedSite(t, dir, limits)), ca, dir
}

// eachTransport runs a test over plain HTTP/1 and over TLS.
func eachTransport(t *testing.T, r *running, ca *pki.Certificate, test func(t *testing.T, c net.Conn)) {
	for i, name := range []string{"plain", "TLS"} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", r.addr(i))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.(*net.TCPConn).SetReadBuffer(64 << 10)
			c.SetDeadline(time.Now().Add(30 * time.Second))
			if name == "TLS" {
				cfg := trusting(ca.Pool())
				cfg.ServerName = "site.example"
				c = tls.Client(c, cfg)
			}
			test(t, c)
		})
	}
}

// trickle sends a byte at a time until the connection ends, and returns all that came.
func trickle(c net.Conn, begin, piece string) string {
	io.WriteString(c, begin)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
				io.WriteString(c, piece)
			}
		}
	}()
	got, _ := io.ReadAll(c)
	return string(got)
}

func TestSlowHeader(t *testing.T) {
	r, ca, _ := startLimited(t, "header_timeout = 1") // a client that has said nothing at all gets no answer
	eachTransport(t, r, ca, func(t *testing.T, c net.Conn) {
		if got := trickle(c, "GET / HTTP/1.1\r\nHost: a\r\nX: ", "x"); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
			t.Errorf("got %q", got)
		}
	})
}

func TestSlowBody(t *testing.T) {
	for _, limit := range []string{"body_timeout = 0.3", "} setup.io.timeout(0.3) setup.limits {"} {
		r, ca, _ := startLimited(t, limit)
		eachTransport(t, r, ca, func(t *testing.T, c net.Conn) {
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
			if got, _ := io.ReadAll(c); !strings.HasPrefix(string(got), "HTTP/1.1 408 ") {
				t.Errorf("%s: got %q", limit, got)
			}
		})
		silent, w := io.Pipe()
		resp, err := tlsClient(t, r.addr(1), trusting(ca.Pool()), true).Post("https://site.example/", "", silent)
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusRequestTimeout || resp.ProtoMajor != 2 {
			t.Errorf("%s: got %s %s", limit, resp.Proto, resp.Status)
		}
	}
}

// A body that comes a byte at a time does not last for ever, however long the connection lives.
func TestTricklingBody(t *testing.T) {
	r, ca, _ := startLimited(t, "body_timeout = 0.3, body_rate = 1000")
	for _, framing := range []string{"Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n10000\r\n"} {
		eachTransport(t, r, ca, func(t *testing.T, c net.Conn) {
			if got := trickle(c, "POST / HTTP/1.1\r\nHost: a\r\n"+framing, "x"); !strings.HasPrefix(got, "HTTP/1.1 408 ") {
				t.Errorf("%q: got %q", framing, got)
			}
		})
	}
	wantUpload(t, tlsClient(t, r.addr(1), trusting(ca.Pool()), true), "https://site.example/", "x", http.StatusRequestTimeout)
}

// A body that keeps to the rate may take longer than the limit. The limit is longer than a busy
// machine keeps a client from sending.
func TestSteadyBody(t *testing.T) {
	r, ca, _ := startLimited(t, "body_timeout = 1.8, body_rate = 1000")
	piece := strings.Repeat("x", 500)
	wantUpload(t, tlsClient(t, r.addr(1), trusting(ca.Pool()), true), "https://site.example/", piece, http.StatusOK)
	wantUpload(t, http.DefaultClient, "http://"+r.addr(0), piece, http.StatusOK)
}

// wantUpload sends a hundred pieces in two seconds and wants a status.
func wantUpload(t *testing.T, client *http.Client, url, piece string, want int) {
	t.Helper()
	body, w := io.Pipe()
	go func() {
		for range 100 {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		w.Close()
	}()
	resp, err := client.Post(url, "", body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != want {
		t.Errorf("%s, pieces of %d bytes: got %s, want %d", url, len(piece), resp.Status, want)
	}
}

// A client that takes nothing of an answer is cut off before it has all.
func TestSlowReader(t *testing.T) {
	r, ca, _ := startLimited(t, "write_timeout = 0.3")
	eachTransport(t, r, ca, func(t *testing.T, c net.Conn) {
		io.WriteString(c, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
		time.Sleep(2 * time.Second) // what is tested is that nobody reads for longer than the limit
		if n, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) || n >= 64<<20 {
			t.Errorf("%d bytes came, %v", n, err)
		}
	})
}

func TestIdleConnection(t *testing.T) {
	r, ca, _ := startLimited(t, "idle_timeout = 0.3")
	eachTransport(t, r, ca, func(t *testing.T, c net.Conn) {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if got, err := io.ReadAll(c); !strings.HasSuffix(string(got), "[]") || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
	c := dialHTTP2(t, r.addr(1), ca)
	c.send(get(1, "/"))
	c.await(frameGoAway)
}

// The limits of requests are the same over HTTP/2.
func TestLimitsOverHTTP2(t *testing.T) {
	r, ca, _ := startLimited(t, "header_count = 8, target_bytes = 40, body_bytes = 8")
	client := tlsClient(t, r.addr(1), trusting(ca.Pool()), true)
	fields := http.Header{}
	for i := range 9 {
		fields.Set(fmt.Sprint("X-", i), "y")
	}
	for _, c := range []struct {
		path string
		head http.Header
		body io.Reader
		want int
	}{
		{path: "/", body: strings.NewReader("12345678"), want: 200},
		{path: "/", body: struct{ io.Reader }{strings.NewReader("12345678")}, want: 200},
		{path: "/", body: strings.NewReader("123456789"), want: 413},
		{path: "/", body: struct{ io.Reader }{strings.NewReader("123456789")}, want: 413},
		{path: "/" + strings.Repeat("x", 40), want: 414},
		{path: "/", head: fields, want: 431},
	} {
		req, err := http.NewRequest("PUT", "https://site.example"+c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = c.head.Clone()
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != c.want || resp.ProtoMajor != 2 {
			t.Errorf("%+v: got %s %s", c, resp.Proto, resp.Status)
		}
	}
}

// A TLS client beyond the limit of its address is cut off; the places of HTTP/2 connections are
// free when they end.
func TestConnectionsOfOneAddress(t *testing.T) {
	r, ca, dir := startLimited(t, "connections_per_ip = 2")
	first, second := dialHTTP2(t, r.addr(1), ca), dialHTTP2(t, r.addr(1), ca)
	for _, c := range []*rawHTTP2{first, second} {
		c.send(get(1, "/"))
		c.await(frameData)
	}
	cfg := trusting(ca.Pool())
	cfg.ServerName = "site.example"
	connect := func() error {
		c, err := tls.Dial("tcp", r.addr(1), cfg)
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := connect(); err == nil {
		t.Error("a third connection is served")
	}
	first.Close()
	waitFor(t, "the place of an ended connection", func() bool { return connect() == nil })
	if !strings.Contains(r.log.String(), "127.0.0.1 has 2 connections") {
		t.Error("the log says nothing")
	}
	r.reload(limitedSite(t, dir, "connections_per_ip = 100"))
	if err := errors.Join(connect(), connect(), connect()); err != nil {
		t.Errorf("behind the reload: %v", err)
	}
}

// A reload changes what the next request of an open connection may have.
func TestReloadChangesTheLimits(t *testing.T) {
	r, _, dir := startLimited(t, "body_bytes = 3, target_bytes = 20")
	c, err := net.Dial("tcp", r.addr(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	const post = "POST /0123456789 HTTP/1.1\r\nHost: a\r\nContent-Length: "
	expect := func(request, want string) {
		t.Helper()
		io.WriteString(c, request)
		var got strings.Builder
		for buf := make([]byte, 1); !strings.Contains(got.String(), want); {
			if _, err := io.ReadFull(c, buf); err != nil {
				t.Fatalf("got %q, %v; want %q", got.String(), err, want)
			}
			got.Write(buf)
		}
	}
	expect(post+"3\r\n\r\nabc", "[abc]")
	r.reload(limitedSite(t, dir, "body_bytes = 6, target_bytes = 20"))
	expect(post+"6\r\n\r\nabcdef", "[abcdef]")
	r.reload(limitedSite(t, dir, "body_bytes = 6, target_bytes = 5"))
	expect(post+"3\r\n\r\nabc", " 414 ")
}
