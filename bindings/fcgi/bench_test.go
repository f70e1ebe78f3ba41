package fcgi

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
)

// respond answers requests that come in one piece, at the least possible cost.
func respond(records ...[]byte) func(*peer) {
	wire := slices.Concat(records...)
	return func(p *peer) {
		buf := make([]byte, 64<<10)
		for {
			if _, err := p.Read(buf); err != nil {
				return
			}
			if _, err := p.Write(wire); err != nil {
				return
			}
		}
	}
}

// usual is the environment of an ordinary request.
var usual = []Param{
	{"REQUEST_METHOD", "GET"}, {"SCRIPT_NAME", "/index.php"}, {"SCRIPT_FILENAME", "/var/www/htdocs/index.php"},
	{"DOCUMENT_ROOT", "/var/www/htdocs"}, {"REQUEST_URI", "/index.php?a=b"}, {"QUERY_STRING", "a=b"},
	{"SERVER_PROTOCOL", "HTTP/1.1"}, {"SERVER_SOFTWARE", "test"}, {"GATEWAY_INTERFACE", "CGI/1.1"},
	{"REMOTE_ADDR", "127.0.0.1"}, {"REMOTE_PORT", "40000"}, {"SERVER_ADDR", "127.0.0.1"}, {"SERVER_PORT", "80"},
	{"HTTP_HOST", "www.example.net"}, {"HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64)"}, {"HTTP_ACCEPT", "*/*"},
}

func benchmark(b *testing.B, ctx context.Context, answer string) {
	c := startBackend(b, respond(stdout(answer), end(0))).client(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(answer)))
	for b.Loop() {
		resp, err := c.Do(ctx, &Request{Params: usual}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}

func BenchmarkGet(b *testing.B) {
	benchmark(b, context.Background(), "Content-Type: text/html\r\nX-Powered-By: test\r\n\r\n<p>hello</p>")
}

func BenchmarkGetWithContext(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	benchmark(b, ctx, "Content-Type: text/html\r\nX-Powered-By: test\r\n\r\n<p>hello</p>")
}

func BenchmarkGet1MB(b *testing.B) {
	benchmark(b, context.Background(), "Content-Type: text/html\r\n\r\n"+strings.Repeat("x", 1<<20))
}
