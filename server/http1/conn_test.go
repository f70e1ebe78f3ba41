package http1

import (
	"bufio"
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

// memConn is a client that has sent everything and left.
type memConn struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func (m *memConn) Read(p []byte) (int, error)       { return m.in.Read(p) }
func (m *memConn) Write(p []byte) (int, error)      { return m.out.Write(p) }
func (m *memConn) Close() error                     { return nil }
func (m *memConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (m *memConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (m *memConn) SetDeadline(time.Time) error      { return nil }
func (m *memConn) SetReadDeadline(time.Time) error  { return nil }
func (m *memConn) SetWriteDeadline(time.Time) error { return nil }

// FuzzConn gives a connection arbitrary bytes: it ends, does not panic, and all it answers
// is well-formed.
func FuzzConn(f *testing.F) {
	f.Add([]byte("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /205 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
	f.Add([]byte("POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /1 HTTP/1.1\nHost: a\n\n"))
	f.Add([]byte("POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"))
	f.Add([]byte("POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var methods []string
		s := New(Config{Log: slog.New(slog.DiscardHandler), Handle: func(ex runtime.Exchange) *runtime.Reply {
			methods = append(methods, ex.Method())
			status, text := http.StatusOK, "hello"
			switch body := ex.Body(); {
			case strings.HasPrefix(ex.Target(), "/205"):
				status = http.StatusResetContent
			case strings.HasPrefix(ex.Target(), "/read") && body != nil:
				io.Copy(io.Discard, body)
			case strings.HasPrefix(ex.Target(), "/s"):
				return runtime.NewReply(status, -1, io.NopCloser(strings.NewReader(text)))
			}
			return runtime.NewReply(status, int64(len(text)), io.NopCloser(strings.NewReader(text)))
		}})
		c := &memConn{in: bytes.NewReader(in)}
		s.ServeConn(c, runtime.Connection{}, nil)
		r := bufio.NewReader(&c.out)
		for answers := 0; ; answers++ {
			if _, err := r.Peek(1); err != nil {
				if answers < len(methods) {
					t.Fatalf("%d answers for %d requests", answers, len(methods))
				}
				return
			}
			method := "GET"
			if answers < len(methods) {
				method = methods[answers]
			}
			resp, err := http.ReadResponse(r, &http.Request{Method: method})
			if err == nil && resp.StatusCode == http.StatusContinue {
				answers--
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if answers >= len(methods) && resp.StatusCode < 400 {
				t.Fatalf("answer %d to no request: %s", answers, resp.Status)
			}
			if answers >= len(methods) {
				io.Copy(io.Discard, r) // a refusal, of a HEAD perhaps, is the last
				return
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Fatal(err)
			}
		}
	})
}
