package http1

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"luaserve/runtime"
)

// BenchmarkConn serves requests of one connection, without a network.
func BenchmarkConn(b *testing.B) {
	const requests = 1000
	in := []byte(strings.Repeat("GET /path?query HTTP/1.1\r\nHost: example.org\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", requests))
	s := New(Config{Log: slog.New(slog.DiscardHandler), Handle: func(runtime.Exchange) *runtime.Reply {
		return runtime.NewReply(http.StatusOK, 5, io.NopCloser(strings.NewReader("hello")))
	}})
	c := &memConn{}
	b.ReportAllocs()
	for n := 0; n < b.N; n += requests {
		c.in = bytes.NewReader(in)
		c.out.Reset()
		s.ServeConn(c, runtime.Connection{}, nil)
	}
}
