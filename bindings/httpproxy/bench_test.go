package httpproxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// The same requests over Client and over net/http's Transport.
func BenchmarkClient(b *testing.B) {
	c := benchUpstream(b).client(b)
	ctx := guard(b)
	r := &Request{Method: "GET", Target: "/a/b?c", Host: "localhost", Header: header("User-Agent", "x", "Accept", "*/*")}
	buf := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Do(ctx, r)
		if err != nil {
			b.Fatal(err)
		}
		drain(b, resp.Body, buf)
	}
}

func BenchmarkTransport(b *testing.B) {
	u := benchUpstream(b)
	tr := &http.Transport{DisableCompression: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial(u.network, u.addr) }}
	b.Cleanup(tr.CloseIdleConnections)
	r, _ := http.NewRequestWithContext(guard(b), "GET", "http://localhost/a/b?c", nil)
	r.Header = http.Header{"User-Agent": {"x"}, "Accept": {"*/*"}}
	buf := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tr.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		drain(b, resp.Body, buf)
	}
}

func benchUpstream(b *testing.B) *testServer {
	return startUpstream(b, answering("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: x\r\nContent-Length: 1000\r\n\r\n"+strings.Repeat("x", 1000)))
}

func drain(b *testing.B, body io.ReadCloser, buf []byte) {
	for {
		if _, err := body.Read(buf); err == io.EOF {
			break
		} else if err != nil {
			b.Fatal(err)
		}
	}
	body.Close()
}
