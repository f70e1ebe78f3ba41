package httpproxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"luaserve/bindings/upstream"
)

// Whatever an upstream answers, Do and the body come to an end, what is passed on is a clean
// response, and a connection is kept only where nothing is left over.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n0\r\nHost: y\r\nA b: c\r\n\r\n",
		"HTTP/1.0 200 OK\r\nX: y\r\n z\r\n\r\nabc",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\nConnection: x, close\r\nX: 1\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length : 3\n\nabcdef",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0a; x=y\r\n0123456789\r\nA \r\n0123456789\r\n000\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcd",
		"HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\n",
	} {
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		c := NewClient(Config{Config: upstream.Config{Network: "unix", Address: "x", MaxHeadBytes: 4 << 10}})
		defer c.Close()
		answer := strings.NewReader(string(raw))
		cn := newConn(&scripted{answer: answer}, c)
		r := get()
		r.Trailers = true
		if head {
			r.Method = "HEAD"
		}
		w, err := newWire(r, false)
		if err != nil {
			t.Fatal(err)
		}
		defer w.free()
		resp, err := c.attempt(context.Background(), cn, r, w)
		if err != nil {
			return
		}
		if resp.Status < 200 || resp.Status > 999 {
			t.Errorf("status %d", resp.Status)
		}
		for _, f := range resp.Header {
			announces := resp.Trailer != nil && f.Name == "Trailer"
			if !upstream.IsToken(f.Name) || strings.ContainsAny(f.Value, "\r\n\x00") || perConnection(f.Name) && !announces {
				t.Errorf("header %q: %q", f.Name, f.Value)
			}
		}
		body, err := io.ReadAll(resp.Body)
		body = append([]byte(resp.Data), body...)
		if err != nil {
			if c.pool.Len() != 0 {
				t.Error("kept after an error")
			}
			return
		}
		if resp.Trailer != nil {
			for _, f := range resp.Trailer() {
				if !upstream.IsToken(f.Name) || strings.ContainsAny(f.Value, "\r\n\x00") || perConnection(f.Name) || onlyInHead[strings.ToLower(f.Name)] {
					t.Errorf("trailer %q: %q", f.Name, f.Value)
				}
			}
		}
		if head && len(body) > 0 {
			t.Errorf("body of HEAD: %q", body)
		}
		if status, theirs, err := asNetHTTP(raw, r.Method); err == nil && (status != resp.Status || string(theirs) != string(body)) {
			t.Errorf("got %d, %q; net/http reads %d, %q", resp.Status, body, status, theirs)
		}
		if rest, _ := io.ReadAll(answer); c.pool.Len() == 1 && len(rest) > 0 {
			t.Errorf("kept with %q left over", rest)
		}
	})
}

// asNetHTTP reads an answer as net/http does. Where that repairs what is refused here, nobody
// asks it.
func asNetHTTP(raw []byte, method string) (status int, body []byte, err error) {
	br := bufio.NewReader(bytes.NewReader(raw))
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil || resp.StatusCode >= 200 {
			if err == nil {
				status = resp.StatusCode
				body, err = io.ReadAll(resp.Body)
			}
			return status, body, err
		}
	}
}

// A request that is let through reads as one request with the same parts.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b", "h", "X-A", "1", int64(0))
	f.Add("POST", "//a|b", "h:1", "Connection", "x", int64(3))
	f.Add("PUT", "*", "", "Transfer-Encoding", "chunked", int64(-1))
	f.Fuzz(func(t *testing.T, method, target, host, name, value string, length int64) {
		r := &Request{Method: method, Target: target, Host: host, Header: header(name, value), Length: min(length, 1<<20)}
		head, err := r.appendHead(nil, false)
		if err != nil {
			return
		}
		text := string(head)
		if r.Length < 0 {
			text += "0\r\n\r\n"
		}
		br := bufio.NewReader(strings.NewReader(text))
		got, err := http.ReadRequest(br)
		if err != nil {
			return // net/http is stricter about targets and hosts; it must not see two requests
		}
		if got.Method != method || got.RequestURI != target {
			t.Errorf("%q reads as %s %s", text, got.Method, got.RequestURI)
		}
		if rest, _ := io.ReadAll(br); r.Length <= 0 && len(rest) > 5 {
			t.Errorf("%q leaves %q", text, rest)
		}
		if n := strings.Count(text, "\r\n"); n > 7 {
			t.Errorf("%d lines: %q", n, text)
		}
	})
}
