package httpproxy

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"luaserve/bindings/upstream/upstreamtest"
)

// seen is all that a response says.
func seen(resp *Response, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	head := fmt.Sprintf("%d %q", resp.Status, resp.Header)
	body, err := io.ReadAll(resp.Body)
	trailer := ""
	if resp.Trailer != nil {
		trailer = fmt.Sprintf("%q", resp.Trailer())
	}
	resp.Body.Close()
	return fmt.Sprintf("%s %q %q %s %v", head, resp.Data, body, trailer, err)
}

// One Pending for many requests finds in each answer what Do finds.
func TestPendingIsUsedAgain(t *testing.T) {
	answers := []string{
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 404 Not Found\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nF: 6\r\nG: 7\r\nH: 8\r\nI: 9\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n3\r\nabc\r\n0\r\nT: end\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + strings.Repeat("m", 3000),
		"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("l", 40000),
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n",
	}
	u := startUpstream(t, func(p *peer) {
		for {
			var n int
			if _, err := fmt.Sscanf(p.head(), "GET /%d", &n); err != nil {
				return
			}
			p.Write([]byte(answers[n]))
		}
	})
	plain, paused := u.client(t), u.client(t)
	rapid.Check(t, func(t *rapid.T) {
		var pending Pending
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, len(answers)-1), 1, 20).Draw(t, "answers") {
			r := &Request{Method: "GET", Target: fmt.Sprintf("/%d", n), Host: "x", Trailers: n == 5, Loop: upstreamtest.Loop{}}
			want := seen(plain.Do(context.Background(), r))
			if !paused.Start(context.Background(), r, &pending) {
				paused.Do(context.Background(), &Request{Method: "GET", Target: "/1", Host: "x"}) // makes a connection
				if !paused.Start(context.Background(), r, &pending) {
					t.Fatal("a kept connection is not used")
				}
			}
			resp, again, err := pending.Resume(false)
			if got := seen(resp, err); again || got != want {
				t.Fatalf("answer %d: got %s, want %s", n, got, want)
			}
			if err == nil && resp.Data != "" {
				pending.Free()
			} else {
				pending = Pending{}
			}
		}
	})
}
