package httpproxy

import (
	"io"
	"strings"
	"testing"

	"luaserve/bindings/upstream"
)

// What goes over the wire, byte for byte.
func TestRequestOnTheWire(t *testing.T) {
	body := func(s string) io.Reader { return strings.NewReader(s) }
	tests := []struct {
		name string
		req  *Request
		want string
	}{
		{"plain", &Request{Method: "GET", Target: "/a?b", Host: "x:1"},
			"GET /a?b HTTP/1.1\nHost: x:1\n\n"},
		{"target as it is", &Request{Method: "GET", Target: "//a|b/%zz/%2F/\xff?<>{}\"^`\\", Host: "x"},
			"GET //a|b/%zz/%2F/\xff?<>{}\"^`\\ HTTP/1.1\nHost: x\n\n"},
		{"asterisk", &Request{Method: "OPTIONS", Target: "*", Host: "x"},
			"OPTIONS * HTTP/1.1\nHost: x\nContent-Length: 0\n\n"},
		{"order, case and duplicates", &Request{Method: "GET", Target: "/", Host: "x", Header: header("x-B", "1", "Host", "y", "X-a", "2", "X-B", "3")},
			"GET / HTTP/1.1\nHost: x\nx-B: 1\nX-a: 2\nX-B: 3\n\n"},
		{"connection fields", &Request{Method: "GET", Target: "/", Host: "x", Header: header(
			"Connection", "close, X-Hop ,,keep-alive", "x-hop", "1", "Keep-Alive", "5", "Proxy-Connection", "x", "TE", "trailers", "Trailer", "X",
			"Transfer-Encoding", "chunked", "Upgrade", "websocket", "Content-Length", "5", "Expect", "100-continue", "Proxy", "evil", "X-Kept", "1")},
			"GET / HTTP/1.1\nHost: x\nX-Kept: 1\n\n"},
		{"trailers", &Request{Method: "GET", Target: "/", Host: "x", Header: header("TE", "gzip", "Connection", "TE"), Trailers: true},
			"GET / HTTP/1.1\nHost: x\nTE: trailers\nConnection: TE\n\n"},
		{"a Connection field after the one it names", &Request{Method: "GET", Target: "/", Host: "x", Header: header("A", "1", "Connection", "b", "B", "2", "Connection", "a")},
			"GET / HTTP/1.1\nHost: x\n\n"},
		{"own fields", &Request{Method: "GET", Target: "/", Host: "x",
			Header: header("x-forwarded-for", "6.6.6.6", "X_Forwarded-For", "7.7.7.7", "X-Forwarded", "kept", "Connection", "X-Forwarded-For"),
			Own:    []Field{{"X-Forwarded-For", "1.2.3.4"}}},
			"GET / HTTP/1.1\nHost: x\nX-Forwarded: kept\nX-Forwarded-For: 1.2.3.4\n\n"},
		{"post without a body", &Request{Method: "POST", Target: "/", Host: "x"},
			"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n"},
		{"short body", &Request{Method: "POST", Target: "/", Host: "x", Body: body("abc-more"), Length: 3},
			"POST / HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc"},
		{"get with a body", &Request{Method: "GET", Target: "/", Host: "x", Body: body("abc"), Length: 3},
			"GET / HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc"},
		{"chunks", &Request{Method: "PUT", Target: "/", Host: "x", Body: io.MultiReader(body("abc"), body(strings.Repeat("x", 20))), Length: -1},
			"PUT / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabc\n14\nxxxxxxxxxxxxxxxxxxxx\n0\n\n"},
		{"no chunks", &Request{Method: "PUT", Target: "/", Host: "x", Body: body(""), Length: -1},
			"PUT / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n0\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := strings.ReplaceAll(tt.want, "\n", "\r\n")
			got := make([]byte, len(want))
			u := startUpstream(t, func(p *peer) {
				io.ReadFull(p, got)
				p.send("HTTP/1.1 204 \r\n\r\n")
			})
			_, _, err := fetch(guard(t), u.client(t), tt.req)
			if string(got) != want || err != nil {
				t.Errorf("got %q, %v\nwant %q", got, err, want)
			}
		})
	}
}

// Large pieces, with the framing that net/http's server expects.
func TestUploads(t *testing.T) {
	u := startUpstream(t, func(p *peer) {
		for {
			r, body := p.request()
			if r == nil {
				return
			}
			text := "no length"
			if r.ContentLength >= 0 {
				text = "length"
			}
			ok := strings.Count(body, "x") == len(body)
			p.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Got: " + text + "\r\nX-Ok: " + map[bool]string{true: "yes", false: "no"}[ok] +
				"\r\nX-Len: " + strings.Repeat("i", len(body)/10_000) + "\r\n\r\n")
		}
	})
	c := u.client(t)
	for _, n := range []int{1, inlineBody, inlineBody + 1, uploadPiece * 3, 1_000_003} {
		for _, chunked := range []bool{false, true} {
			r := post(strings.Repeat("x", n))
			want := "length"
			if chunked {
				r.Length, want = -1, "no length"
			}
			resp, err := c.Do(guard(t), r)
			if err != nil {
				t.Fatalf("%d bytes, chunked %v: %v", n, chunked, err)
			}
			want = "Content-Length: 0\nX-Got: " + want + "\nX-Ok: yes\nX-Len: " + strings.Repeat("i", n/10_000) + "\n"
			if got := lines(resp.Header); got != want {
				t.Errorf("%d bytes, chunked %v: got %q, want %q", n, chunked, got, want)
			}
		}
	}
}

// What is refused before there is a connection.
func TestRefusedRequests(t *testing.T) {
	u := startUpstream(t, answering("HTTP/1.1 204 \r\n\r\n"))
	tests := []struct {
		name string
		req  *Request
		text string
	}{
		{"no method", &Request{Target: "/"}, "not a token"},
		{"method with a space", &Request{Method: "GET /x", Target: "/"}, "not a token"},
		{"CONNECT", &Request{Method: "CONNECT", Target: "h:1"}, "CONNECT"},
		{"no target", &Request{Method: "GET"}, "cannot be sent"},
		{"target with a space", &Request{Method: "GET", Target: "/a b"}, "cannot be sent"},
		{"target with a line break", &Request{Method: "GET", Target: "/\r\nX: y"}, "cannot be sent"},
		{"host with a line break", &Request{Method: "GET", Target: "/", Host: "a\r\nX: y"}, "cannot be sent"},
		{"name with a space", &Request{Method: "GET", Target: "/", Header: header("X : y", "1")}, "not a token"},
		{"empty name", &Request{Method: "GET", Target: "/", Header: header("", "1")}, "not a token"},
		{"value with a line break", &Request{Method: "GET", Target: "/", Header: header("X", "1\r\nY: 2")}, "line break"},
		{"value with a NUL", &Request{Method: "GET", Target: "/", Header: header("X", "1\x002")}, "NUL"},
		{"own value with a line break", &Request{Method: "GET", Target: "/", Own: []Field{{"X", "1\n2"}}}, "line break"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := u.client(t).Do(guard(t), tt.req)
			e := wantError(t, err, "request", upstream.BadRequest)
			if e.Sent || !strings.Contains(e.Error(), tt.text) {
				t.Errorf("got %v, sent %v", e, e.Sent)
			}
		})
	}
	if n := u.accepted.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}
