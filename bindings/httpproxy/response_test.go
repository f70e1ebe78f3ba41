package httpproxy

import (
	"errors"
	"io"
	"strings"
	"testing"

	"luaserve/bindings/upstream"
)

// What an upstream sends, what becomes of it, and whether the connection is used again.
func TestAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, method, answer string
		status               int
		header, body         string
		kept                 bool
	}{
		{"length", "GET", ok + "Content-Length: 3\r\nX-B: 1\r\nA: 2\r\nx-b: 3\r\n\r\nabc", 200, "Content-Length: 3\nX-B: 1\nA: 2\nx-b: 3\n", "abc", true},
		{"no body", "GET", ok + "Content-Length: 0\r\n\r\n", 200, "Content-Length: 0\n", "", true},
		{"chunks", "GET", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n", 200, "", "abcde", true},
		{"trailers", "GET", ok + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n", 200, "", "abc", true},
		{"chunks and a length", "GET", ok + "Transfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "", "abc", true},
		{"to the end of the connection", "GET", ok + "X: y\r\n\r\nabc", 200, "X: y\n", "abc", false},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nabc", 200, "", "abc", false},
		{"HTTP/1.0 with a length", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "Content-Length: 3\n", "abc", false},
		{"HTTP/1.0 kept", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", 200, "Content-Length: 3\n", "abc", true},
		{"Connection: close", "GET", ok + "Connection: Close\r\nContent-Length: 3\r\n\r\nabc", 200, "Content-Length: 3\n", "abc", false},
		{"more than promised", "GET", ok + "Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", 200, "Content-Length: 3\n", "abc", false},
		{"connection fields", "GET", ok + "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nTE: x\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n", 200, "X-Kept: 1\nContent-Length: 0\n", "", true},
		{"HEAD", "HEAD", ok + "Content-Length: 300\r\n\r\n", 200, "Content-Length: 300\n", "", true},
		{"HEAD with chunks", "HEAD", ok + "Transfer-Encoding: chunked\r\n\r\n", 200, "", "", true},
		{"HEAD with a body all the same", "HEAD", ok + "Content-Length: 3\r\n\r\nabc", 200, "Content-Length: 3\n", "", false},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", "", true},
		{"204 with a body", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", 204, "Content-Length: 3\n", "", false},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, "ETag: x\n", "", true},
		{"interim answers", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok + "Content-Length: 3\r\n\r\nabc", 200, "Content-Length: 3\n", "abc", true},
		{"no reason, bare LF", "GET", "HTTP/1.1 404\nContent-Length: 1\n\nx", 404, "Content-Length: 1\n", "x", true},
		{"unusual status", "GET", "HTTP/1.1 799 Odd\r\nContent-Length: 1\r\n\r\nx", 799, "Content-Length: 1\n", "x", true},
		{"the same length twice", "GET", ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 200, "Content-Length: 3\n", "abc", true},
		{"a header line of 60 KB", "GET", ok + "Content-Length: 0\r\nX: " + strings.Repeat("y", 60_000) + "\r\n\r\n", 200, "Content-Length: 0\nX: " + strings.Repeat("y", 60_000) + "\n", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			again := make(chan bool, 1)
			u := startUpstream(t, func(p *peer) {
				if p.head() == "" {
					return
				}
				p.send(tt.answer)
				if tt.kept {
					again <- p.head() != ""
				}
			})
			c := u.client(t)
			r := get()
			r.Method = tt.method
			resp, err := c.Do(guard(t), r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			body = append([]byte(resp.Data), body...)
			if resp.Status != tt.status || lines(resp.Header) != tt.header || string(body) != tt.body || err != nil {
				t.Errorf("got %d, %q, %q, %v", resp.Status, lines(resp.Header), body, err)
			}
			if _, err := resp.Body.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("behind the end: %v", err)
			}
			if kept := c.pool.Len() == 1; kept != tt.kept {
				t.Errorf("connection kept: %v", kept)
			}
			resp.Body.Close()
			if tt.kept {
				go c.Do(guard(t), get())
				if !<-again {
					t.Error("the connection was not used again")
				}
			}
		})
	}
}

// What comes behind the body, what becomes of it.
func TestTrailers(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	tests := []struct {
		name, answer    string
		unwanted        bool
		header, trailer string // what is passed on
	}{
		{"announced", chunked + "Trailer: x-sum, B\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nB: 2\r\n\r\n", false, "Trailer: x-sum, B\n", "X-Sum: 1\nB: 2\n"},
		{"not announced", chunked + "\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n", false, "", "X-Sum: 1\nx-sum: 2\n"},
		{"announced only", chunked + "Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false, "Trailer: X-Sum\n", ""},
		{"not wanted", chunked + "Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", true, "", ""},
		{"of the head", chunked + "Trailer: Set-Cookie, A\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: x\r\nset-cookie: a\r\nContent-Type: x\r\nWWW-Authenticate: x\r\nTrailer: x\r\nA: 1\r\n\r\n", false, "Trailer: A\n", "A: 1\n"},
		{"of the connection", chunked + "Connection: X-Hop\r\nTrailer: X-Hop, Keep-Alive\r\n\r\n3\r\nabc\r\n0\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nConnection: close\r\n\r\n", false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := startUpstream(t, once(tt.answer))
			r := get()
			r.Trailers = !tt.unwanted
			resp, err := u.client(t).Do(guard(t), r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := lines(resp.Header); got != tt.header {
				t.Errorf("header: got %q, want %q", got, tt.header)
			}
			if (resp.Trailer == nil) != tt.unwanted {
				t.Fatalf("Trailer is nil: %v", resp.Trailer == nil)
			}
			if !tt.unwanted && lines(resp.Trailer()) != "" {
				t.Errorf("before the body: got %q", lines(resp.Trailer()))
			}
			if body, err := io.ReadAll(resp.Body); string(body) != "abc" || err != nil {
				t.Errorf("got %q, %v", body, err)
			}
			if !tt.unwanted && lines(resp.Trailer()) != tt.trailer {
				t.Errorf("got %q, want %q", lines(resp.Trailer()), tt.trailer)
			}
		})
	}
	resp, err := startUpstream(t, once("HTTP/1.1 200 OK\r\nTrailer: X\r\nConnection: close\r\n\r\nabc")).client(t).Do(guard(t), &Request{Method: "GET", Target: "/", Trailers: true})
	if err != nil || resp.Trailer != nil || lines(resp.Header) != "" {
		t.Errorf("without chunks: got %v, %v", resp, err)
	}
}

// Answers that are none.
func TestBadAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	tests := []struct {
		name, answer string
		op           string
		lost         bool // the error matches io.ErrUnexpectedEOF
		text         string
	}{
		{"nothing", "", "head", true, "closed the connection"},
		{"half a status line", "HTTP/1.", "head", true, "closed the connection"},
		{"half a line", ok + "Content-Ty", "head", true, "closed the connection"},
		{"half a head", ok + "X: y\r\n", "head", true, "closed the connection"},
		{"only interim answers", "HTTP/1.1 100 Continue\r\n\r\n", "head", true, "closed the connection"},
		{"nonsense", "nonsense\r\n\r\n", "head", false, "malformed"},
		{"FastCGI", "\x01\x06\x00\x01\x00\x00\x00\x00\r\n", "head", false, "malformed"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "head", false, "HTTP/2.0"},
		{"status 099", "HTTP/1.1 099 X\r\n\r\n", "head", false, "099"},
		{"status abc", "HTTP/1.1 abc X\r\n\r\n", "head", false, "malformed"},
		{"status 1000", "HTTP/1.1 1000 X\r\n\r\n", "head", false, "malformed"},
		{"switching protocols", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "head", false, "101"},
		{"line without a colon", ok + "bogus\r\n\r\n", "head", false, "malformed"},
		{"space before the colon", ok + "X : y\r\n\r\n", "head", false, "malformed"},
		{"length behind a space", ok + "Content-Length : 3\r\n\r\nabc", "head", false, "malformed"},
		{"chunked behind a space", ok + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "head", false, "malformed"},
		{"NUL in a value", ok + "X: y\x00z\r\n\r\n", "head", false, "malformed"},
		{"lengths that differ", ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "head", false, "Content-Length"},
		{"negative length", ok + "Content-Length: -1\r\n\r\n", "head", false, "Content-Length"},
		{"length abc", ok + "Content-Length: abc\r\n\r\n", "head", false, "Content-Length"},
		{"unknown coding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", "head", false, "transfer encoding"},
		{"head of 70 KB", ok + "X: " + strings.Repeat("y", 70_000) + "\r\n\r\n", "head", false, "larger than 65536 bytes"},
		{"head of many lines", ok + strings.Repeat("X: y\r\n", 20_000) + "\r\n", "head", false, "larger than"},
		{"endless interim answers", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 5_000), "head", false, "larger than"},
		{"body too short", ok + "Content-Length: 8\r\n\r\nabc", "body", true, "closed the connection"},
		{"chunk cut", ok + "Transfer-Encoding: chunked\r\n\r\n8\r\nabc", "body", true, "closed the connection"},
		{"last chunk missing", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "body", true, "closed the connection"},
		{"bad chunk size", ok + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n", "body", false, "chunk"},
		{"bogus trailer", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nbogus\r\n\r\n", "body", false, "malformed"},
		{"trailer that is no token", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA B: 1\r\nC: 2\r\n\r\n", "body", false, "malformed"},
		{"chunks with bare LF", ok + "Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n", "body", false, "chunk"},
		{"more than the chunk", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", "body", false, "chunk"},
		{"endless chunk size", ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", "body", false, "chunk"},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "head", false, "transfer encoding"},
		{"chunks of HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "head", false, "transfer encoding"},
		{"a line that goes on", ok + "X: y\r\n z\r\n\r\n", "head", false, "malformed"},
		{"trailer of 70 KB", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: " + strings.Repeat("y", 70_000) + "\r\n\r\n", "body", false, "long trailer"},
		{"trailer of many lines", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" + strings.Repeat("X: y\r\n", 5_000) + "\r\n", "body", false, "long trailer"},
		{"cut in the trailer", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n", "body", true, "closed the connection"},
		{"flood of chunk extensions", ok + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("e", 2_000)+"\r\nx\r\n", 100), "body", false, "chunk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := startUpstream(t, once(tt.answer))
			c := u.client(t)
			_, _, err := fetch(guard(t), c, get())
			e := wantError(t, err, tt.op, upstream.BadResponse)
			if !e.Sent || errors.Is(err, io.ErrUnexpectedEOF) != tt.lost || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q, sent %v", err, e.Sent)
			}
			if n := u.accepted.Load(); n != 1 || c.pool.Len() != 0 {
				t.Errorf("%d connections, %d kept", n, c.pool.Len())
			}
		})
	}
}
