package bindings_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawUpstream is a TCP server that gives each connection to serve and closes it behind that.
func rawUpstream(t *testing.T, serve func(c net.Conn, r *bufio.Reader)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			}()
		}
	}()
	return l.Addr().String()
}

// readHead reads up to the first empty line.
func readHead(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String()
		}
	}
}

// listen serves a site over a real socket.
func (s *luaSite) listen(t *testing.T) (addr string) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// speak sends bytes and returns the connection to read the answer from.
func speak(t *testing.T, addr, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func TestIdleConnectionsAreMeasured(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	t.Cleanup(up.Close)
	address := up.Listener.Addr().String()
	site := luaScript(t, fmt.Sprintf(`actions = { when(request.path:eq "/metrics", { status.metrics() }), when(request.path:eq "/other", { proxy %q }), proxy %q }`, address, address))
	metric := func() string {
		_, after, _ := strings.Cut(text(site.get("/metrics")), "\nluaserve_backend_idle_connections{backend=\""+address+"\"} ")
		n, _, _ := strings.Cut(after, "\n")
		return n
	}
	for i, target := range []string{"", "/", "/other"} {
		if target != "" {
			text(site.get(target))
		}
		if got := metric(); got != fmt.Sprint(i) {
			t.Errorf("behind %q: %q idle connections, want %d", target, got, i)
		}
	}
}

// What a client sends, what the upstream gets.
func TestProxyRequests(t *testing.T) {
	heads := make(chan string, 1)
	up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		heads <- readHead(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	})
	tests := []struct{ name, script, request, want string }{
		{"plain", `proxy "@UP@"`, "GET /a?b HTTP/1.1\r\nHost: Example.net:81\r\nX-A: 1\r\n\r\n",
			"GET /a?b HTTP/1.1\nHost: Example.net:81\nX-A: 1\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n"},
		{"the path is not touched", `proxy "@UP@"`, "GET //a|b/%7E/../%2f;x?q=%zz&[]\" HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET //a|b/%7E/../%2f;x?q=%zz&[]\" HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n"},
		{"a rewritten path", `{ rewrite("/old(.*)", "/new$1"), proxy "@UP@" }`, "GET /old/x?q HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET /new/x?q HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n"},
		{"without a host", `proxy "@UP@"`, "GET / HTTP/1.0\r\n\r\n",
			"GET / HTTP/1.1\nHost: @UP@\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n"},
		{"a host of the script", `{ req_header.overwrite("Host", "inner"), proxy "@UP@" }`, "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET / HTTP/1.1\nHost: inner\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n"},
		{"what clients say of themselves", `proxy "@UP@"`, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nProxy: evil\r\n\r\n",
			"GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n"},
		{"connection fields", `proxy "@UP@"`, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Kept: 1\r\n\r\n",
			"GET / HTTP/1.1\nHost: x\nX-Kept: 1\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nTE: trailers\nConnection: TE\n\n"},
		{"trailers for HTTP/1.0", `proxy "@UP@"`, "GET / HTTP/1.0\r\nHost: x\r\nTE: trailers\r\n\r\n",
			"GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\n\n"},
		{"length", `proxy "@UP@"`, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
			"POST / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nContent-Length: 3\n\n"},
		{"no body", `proxy "@UP@"`, "DELETE / HTTP/1.1\r\nHost: x\r\n\r\n",
			"DELETE / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nContent-Length: 0\n\n"},
		{"chunks", `proxy "@UP@"`, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			"POST / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nTransfer-Encoding: chunked\n\n"},
		{"a length that is not true any more", passFilter + `actions = { function(vr) vr:add_filter_in(Pass:new(vr)) end, proxy "@UP@" }`, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
			"POST / HTTP/1.1\nHost: x\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nTransfer-Encoding: chunked\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			script := strings.ReplaceAll(tt.script, "@UP@", up)
			if !strings.Contains(script, "actions =") {
				script = "actions = " + script
			}
			site := luaScript(t, script)
			_, r := speak(t, site.listen(t), tt.request)
			want := strings.ReplaceAll(strings.ReplaceAll(tt.want, "@UP@", up), "\n", "\r\n")
			select {
			case got := <-heads:
				if got != want {
					t.Errorf("got  %q\nwant %q", got, want)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("nothing arrived\n%s", site.log)
			}
			readHead(r)
		})
	}
}

// What an upstream answers, what the client gets.
func TestProxyAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, method, answer string
		status               int
		header               string // name: value, or -name where there must be none
		body                 string
		cut                  bool
	}{
		{"length", "GET", ok + "Content-Length: 3\r\n\r\nabc", 200, "Content-Length: 3", "abc", false},
		{"chunks", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "-Trailer", "abc", false},
		{"interim answers", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok + "Content-Length: 3\r\n\r\nabc", 200, "-Link", "abc", false},
		{"HEAD", "HEAD", ok + "Content-Length: 300\r\n\r\n", 200, "Content-Length: 300", "", false},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "-Content-Length", "", false},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", 304, "Etag: \"x\"", "", false},
		{"its own 503", "GET", "HTTP/1.1 503 X\r\nContent-Length: 3\r\n\r\nabc", 503, "Content-Length: 3", "abc", false},
		{"empty error", "GET", "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", 404, "Content-Length: 0", "", false},
		{"connection fields", "GET", ok + "Connection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n", 200, "-X-Hop", "", false},
		{"nothing", "GET", "", 502, "Content-Type: text/html; charset=utf-8", "", false},
		{"nonsense", "GET", "nonsense\r\n\r\n", 502, "Content-Type: text/html; charset=utf-8", "", false},
		{"bad length", "GET", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 502, "Content-Type: text/html; charset=utf-8", "", false},
		{"body too short", "GET", ok + "Content-Length: 8\r\n\r\nabc", 200, "Content-Length: 8", "abc", true},
		{"last chunk missing", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 200, "-Content-Length", "abc", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				io.WriteString(c, tt.answer)
			})
			site := luaScript(t, fmt.Sprintf(`actions = { proxy %q, header.overwrite("X-After", "1") }`, up))
			r, err := http.NewRequest(tt.method, "http://"+site.listen(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || (err != nil) != tt.cut || tt.status != 502 && string(body) != tt.body {
				t.Errorf("got %d, %q, %v\n%s", resp.StatusCode, body, err, site.log)
			}
			name, value, has := strings.Cut(tt.header, ": ")
			if got := resp.Header[strings.TrimPrefix(name, "-")]; has != (len(got) > 0) || has && got[0] != value {
				t.Errorf("%s: %q", name, got)
			}
			if after := resp.Header.Get("X-After"); (after == "1") != (tt.status != 502) {
				t.Errorf("X-After: %q", after)
			}
		})
	}
}

func TestProxyUnreachable(t *testing.T) {
	site := luaScript(t, `actions = proxy "unix:@DIR@/none"`)
	if r := site.get("/"); r.StatusCode != 503 {
		t.Errorf("status %d", r.StatusCode)
	}
	if !strings.Contains(site.log.String(), "site.lua:1: proxy: backend unix:"+site.dir+"/none: http ") {
		t.Errorf("log:\n%s", site.log)
	}
}

// Pieces go through as they come, in both directions.
func TestProxyStreams(t *testing.T) {
	next := make(chan bool)
	up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for _, s := range []string{"one", "two"} {
			fmt.Fprintf(c, "%x\r\n%s\r\n", len(s), s)
			<-next
		}
		io.WriteString(c, "0\r\n\r\n")
	})
	site := luaScript(t, fmt.Sprintf(`actions = proxy %q`, up))
	_, r := speak(t, site.listen(t), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	piece := make([]byte, 3)
	for _, want := range []string{"one", "two"} {
		if _, err := io.ReadFull(resp.Body, piece); err != nil || string(piece) != want {
			t.Fatalf("got %q, %v", piece, err)
		}
		next <- true
	}
	if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}

	got := make(chan string)
	up = rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		readHead(r)
		for range 2 {
			line, _ := r.ReadString('\n')
			data, _ := r.ReadString('\n')
			got <- line + data
		}
		io.Copy(io.Discard, r)
	})
	c, _ := speak(t, luaScript(t, fmt.Sprintf(`actions = proxy %q`, up)).listen(t), "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	for range 2 {
		io.WriteString(c, "3\r\nabc\r\n")
		if s := <-got; s != "3\r\nabc\r\n" {
			t.Errorf("got %q", s)
		}
	}
}

// A client that goes away takes the connection to the upstream with it, whatever it waits for.
func TestProxyClientGoesAway(t *testing.T) {
	for name, tt := range map[string]struct{ request, answer string }{
		"in the head":   {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		"in the body":   {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"},
		"in the upload": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nabc", ""},
	} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan bool), make(chan bool)
			up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
				readHead(r)
				io.WriteString(c, tt.answer)
				close(begun)
				io.Copy(io.Discard, r)
				close(ended)
			})
			c, _ := speak(t, luaScript(t, fmt.Sprintf(`actions = proxy %q`, up)).listen(t), tt.request)
			<-begun
			c.Close()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Error("the upstream's connection is still open")
			}
		})
	}
}

// Many clients over kept connections, each gets its own answer.
func TestProxyConcurrent(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, b)
	}))
	t.Cleanup(up.Close)
	site := luaScript(t, fmt.Sprintf(`actions = proxy %q`, up.Listener.Addr()))
	addr := site.listen(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(client.CloseIdleConnections)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 30 {
				body := strings.Repeat("x", i*3_000)
				want := fmt.Sprintf("/%d/%d %s", w, i, body)
				resp, err := client.Post(fmt.Sprintf("http://%s/%d/%d", addr, w, i), "text/plain", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(got) != want || err != nil {
					t.Errorf("got %.50q, want %.50q, %v", got, want, err)
				}
			}
		})
	}
	wg.Wait()
}

// A request body that breaks off is not passed on as a complete one.
func TestProxyUploadBreaksOff(t *testing.T) {
	whole := make(chan bool, 1)
	up := rawUpstream(t, func(_ net.Conn, r *bufio.Reader) {
		req, err := http.ReadRequest(r)
		if err == nil {
			_, err = io.ReadAll(req.Body)
		}
		whole <- err == nil
	})
	site := luaScript(t, fmt.Sprintf(`actions = proxy %q`, up))
	r := httptest.NewRequestWithContext(context.Background(), "POST", "/", io.MultiReader(strings.NewReader(strings.Repeat("x", 100_000)), brokenReader{}))
	r.ContentLength = -1
	r.TransferEncoding = []string{"chunked"}
	if resp := site.do(r); resp.StatusCode != 400 {
		t.Errorf("status %d\n%s", resp.StatusCode, site.log)
	}
	if <-whole {
		t.Error("the upstream got a complete request")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
