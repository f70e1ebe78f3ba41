package tests

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/tests/backend"
)

// Fields behind the body go through proxy to clients that ask for them, over both front ends, as
// long as the body is the upstream's.
func TestTrailers(t *testing.T) {
	const (
		answer = ok + "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Note: 2\r\n\r\n"
		both   = "X-Note: 2\nX-Sum: 1\n"
		filter = `local F = {}; F.__index = F
			function F:handle(vr, outq, inq) outq:steal_all(inq); outq.is_closed = inq.is_closed end
			actions = { proxy "@UP@", function(vr) vr:add_filter_out(setmetatable({}, F)) end }`
	)
	for _, tt := range []struct {
		name    string
		request string // its fields besides Host
		old     bool   // HTTP/1.0
		script  string // "" is proxy alone
		answer  string
		asked   bool // the upstream is asked for trailers
		body    string
		trailer string // what follows it
		sum     bool   // X-Sum is announced
	}{
		{name: "asked for", request: "TE: trailers", answer: answer, asked: true, body: "abc", trailer: both, sum: true},
		{name: "asked for among codings", request: "Connection: TE\r\nTE: deflate;q=0.5, Trailers", answer: answer, asked: true, body: "abc", trailer: both, sum: true},
		{name: "not asked for", request: "TE: gzip", answer: answer, body: "abc"},
		{name: "HTTP/1.0", request: "TE: trailers", old: true, answer: answer, body: "abc"},
		{name: "refused by the script", request: "TE: trailers", script: `actions = { req_header.remove "TE", proxy "@UP@" }`, answer: answer, body: "abc"},
		{name: "nothing there", request: "TE: trailers", answer: ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", asked: true, body: "abc"},
		{name: "a length", request: "TE: trailers", answer: ok + "Content-Length: 3\r\nTrailer: X-Sum\r\n\r\nabc", asked: true, body: "abc"},
		{name: "fields of the head", request: "TE: trailers", answer: ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\nSet-Cookie: a\r\nX-Sum: 1\r\n\r\n", asked: true, body: "abc", trailer: "X-Sum: 1\n"},
		{name: "in the head as well", request: "TE: trailers", answer: strings.Replace(answer, "Trailer:", "X-Sum: 0\r\nTrailer:", 1), asked: true, body: "abc", trailer: both, sum: true},
		{name: "slowed down", request: "TE: trailers", script: `actions = { action.io.throttle(1000000), proxy "@UP@" }`, answer: answer, asked: true, body: "abc", trailer: both, sum: true},
		{name: "a filter", request: "TE: trailers", script: filter, answer: answer, asked: true, body: "abc"},
		{name: "compressed", request: "TE: trailers\r\nAccept-Encoding: gzip", script: `actions = { proxy "@UP@", deflate() }`, answer: strings.Replace(answer, "Trailer", "Content-Type: text/plain\r\nTrailer", 1), asked: true, body: "abc"},
		{name: "more behind the body", request: "TE: trailers", script: `actions = { proxy "@UP@", function(vr) vr.out:add("def") end }`, answer: answer, asked: true, body: "abcdef"},
		{name: "another body", request: "TE: trailers", script: `actions = { proxy "@UP@", function(vr) vr.out:reset(); vr.out:add("def") end }`, answer: answer, asked: true, body: "def"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			heads := make(chan *backend.Request, 1)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			b := backend.Serve(l, backend.HTTP, func(p *backend.Peer) {
				r, err := p.Receive(io.Discard)
				if err != nil {
					return
				}
				heads <- r
				p.Send(tt.answer)
			})
			t.Cleanup(b.Close)
			script := strings.ReplaceAll(tt.script, "@UP@", l.Addr().String())
			if script == "" {
				script = fmt.Sprintf("actions = proxy %q", l.Addr())
			}
			for name, addr := range frontEnds(t, script) {
				body, trailer, sum := askForTrailers(t, addr, tt.request, tt.old)
				if body != tt.body || trailer != tt.trailer {
					t.Errorf("%s: got %q and %q, want %q and %q", name, body, trailer, tt.body, tt.trailer)
				}
				if sum != (tt.sum && name == "http1") {
					t.Errorf("%s: X-Sum is announced: %v", name, sum)
				}
				r := <-heads
				if got := r.Get("TE") == "trailers" && strings.Contains(r.Get("Connection"), "TE"); got != tt.asked || !tt.asked && r.Get("TE") != "" {
					t.Errorf("%s: the upstream got TE: %q, Connection: %q", name, r.Get("TE"), r.Get("Connection"))
				}
			}
		})
	}
}

// frontEnds serves a script over both of them and returns their addresses.
func frontEnds(t *testing.T, script string) map[string]string {
	t.Helper()
	port := freePort(t)
	config := shortDir(t) + "/site.lua"
	if err := os.WriteFile(config, fmt.Appendf(nil, "setup.listen \"127.0.0.1:%d\"\n%s\n", port, script), 0o600); err != nil {
		t.Fatal(err)
	}
	stop, err := startSite(t, config, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	program, err := runtime.Load(config, runtime.Config{Modules: bindings.Modules(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	std := httptest.NewServer(program)
	t.Cleanup(std.Close)
	return map[string]string{"http1": fmt.Sprintf("127.0.0.1:%d", port), "net/http": std.Listener.Addr().String()}
}

// askForTrailers asks for / and returns the body and what followed it, and whether X-Sum was
// announced.
func askForTrailers(t *testing.T, addr, fields string, old bool) (body, trailer string, announced bool) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	version := "1.1"
	if old {
		version = "1.0"
	}
	fmt.Fprintf(c, "GET / HTTP/%s\r\nHost: a\r\n%s\r\n\r\n", version, fields)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, announced = resp.Trailer["X-Sum"]
	plain := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if plain, err = gzip.NewReader(resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	got, err := io.ReadAll(plain)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %s, %q, %v", resp.Status, got, err)
	}
	for _, name := range slices.Sorted(maps.Keys(resp.Trailer)) {
		for _, value := range resp.Trailer[name] {
			trailer += name + ": " + value + "\n"
		}
	}
	return string(got), trailer, announced
}
