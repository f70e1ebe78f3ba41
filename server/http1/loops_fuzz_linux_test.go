package http1

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"luaserve/runtime"
)

// Whatever clients send, and in whatever pieces it comes: loops that serve several of them at once,
// with a ring and without, answer as a goroutine does that serves one.
func FuzzLoopsAsGoroutines(f *testing.F) {
	const get = "GET /5 HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, seed := range []string{
		get, get + get + get, get + "HEAD /2 HTTP/1.0\r\n\r\n" + get,
		"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get,
		"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get,
		"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" + get,
		"GET /close HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get,
		"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n" + get + "nonsense\r\n\r\n",
		"GET /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\nHost: a\r\n\r\n" + get,
	} {
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, pieces byte) {
		if len(in) > 16<<10 {
			return // must fit the buffers of a socket
		}
		alone := &memConn{in: bytes.NewReader(in)}
		New(Config{Log: slog.New(slog.DiscardHandler), Handle: byTarget, Refuse: refuseToday}).ServeConn(alone, runtime.Connection{}, nil)
		for _, ring := range []bool{true, false} {
			r := newRow(t, 0, ring)
			r.srv.handle, r.srv.refuse = byTarget, refuseToday
			const clients = 4
			for range clients {
				r.connect()
			}
			first := len(in) / (1 + int(pieces%4))
			for _, far := range r.far {
				far.Write(in[:first])
			}
			r.run()
			for _, far := range r.far {
				far.Write(in[first:])
				far.(*net.UnixConn).CloseWrite()
			}
			for i, far := range r.far {
				if got, _ := io.ReadAll(far); !bytes.Equal(got, alone.out.Bytes()) {
					t.Fatalf("client %d, ring %v: %q\nwant %q", i, ring, got, alone.out.Bytes())
				}
			}
			r.srv.Close()
		}
	})
}

// byTarget answers as the target of a request says.
func byTarget(ex runtime.Exchange) *runtime.Reply {
	if ex.Body() != nil && strings.HasPrefix(ex.Target(), "/read") {
		io.Copy(io.Discard, ex.Body())
	}
	if w, ok := ex.(runtime.Waiter); ok && strings.HasPrefix(ex.Target(), "/waits") {
		w.Waits()
		time.Sleep(time.Millisecond)
	}
	reply := runtime.NewErrorReply(http.StatusTeapot)
	if strings.HasPrefix(ex.Target(), "/stream") {
		reply = runtime.NewReply(http.StatusOK, -1, io.NopCloser(strings.NewReader("streamed")))
	}
	reply.Header.Set("Date", today)
	reply.Header.Set("X-Target", ex.Method()+" "+ex.Target())
	return reply
}

const today = "some day" // the same for all

func refuseToday(_ runtime.Exchange, status int) *runtime.Reply {
	reply := runtime.NewErrorReply(status)
	reply.Header.Set("Date", today)
	return reply
}
