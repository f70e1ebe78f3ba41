package scgi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

// application is an SCGI application made of raw bytes.
type application struct {
	network, addr string
	accepted      atomic.Int64
}

// startApplication listens on a unix socket and runs serve for each connection, which is
// closed when serve returns.
func startApplication(t testing.TB, serve func(p *peer)) *application {
	t.Helper()
	dir, err := os.MkdirTemp("", "scgi")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return startOn(t, "unix", filepath.Join(dir, "s"), serve)
}

func startOn(t testing.TB, network, addr string, serve func(p *peer)) *application {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a := &application{network: network, addr: l.Addr().String()}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			a.accepted.Add(1)
			go func() {
				defer c.Close()
				serve(&peer{Conn: c, r: bufio.NewReader(c)})
			}()
		}
	}()
	return a
}

func (a *application) client(change ...func(*Config)) *Client {
	config := Config{Network: a.network, Address: a.addr}
	for _, f := range change {
		f(&config)
	}
	return NewClient(config)
}

// peer is the application's end of a connection.
type peer struct {
	net.Conn
	r *bufio.Reader
}

// head reads the netstring; it returns what is in it.
func (p *peer) head() string {
	size, err := p.r.ReadString(':')
	if err != nil {
		return ""
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, ":"))
	if err != nil {
		return ""
	}
	text := make([]byte, n+1)
	if _, err := io.ReadFull(p.r, text); err != nil || text[n] != ',' {
		return ""
	}
	return string(text[:n])
}

func (p *peer) send(s string) { io.WriteString(p, s) }

// once is an application that reads the head and answers.
func once(answer string) func(*peer) {
	return func(p *peer) {
		if p.head() != "" {
			p.send(answer)
		}
	}
}

func guard(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func get() *Request { return &Request{Params: []fcgi.Param{{Name: "REQUEST_METHOD", Value: "GET"}}} }

func post(body string) *Request {
	return &Request{Body: strings.NewReader(body), Length: int64(len(body))}
}

// fetch does a request and reads the body.
func fetch(ctx context.Context, c *Client, r *Request) (*fcgi.Response, string, error) {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func wantError(t *testing.T, err error, op string, kind upstream.Kind) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an Error", err)
	}
	if e.Op != op || e.Kind != kind || upstream.KindOf(err) != kind {
		t.Fatalf("got %v (%s, %v), want %s, %v", err, e.Op, e.Kind, op, kind)
	}
	return e
}

// What goes over the wire, byte for byte.
func TestRequestOnTheWire(t *testing.T) {
	long := strings.Repeat("v", 100_000)
	tests := []struct {
		name   string
		params []fcgi.Param
		body   string
		want   string // "|" stands for NUL
	}{
		{"no variables", nil, "", "24:CONTENT_LENGTH|0|SCGI|1|,"},
		{"own ones come once", []fcgi.Param{{Name: "A", Value: "1"}, {Name: "SCGI", Value: "9"}, {Name: "CONTENT_LENGTH", Value: "7"}, {Name: "B", Value: ""}}, "",
			"31:CONTENT_LENGTH|0|A|1|B||SCGI|1|,"},
		{"body", []fcgi.Param{{Name: "A", Value: "1"}}, "hello", "28:CONTENT_LENGTH|5|A|1|SCGI|1|,hello"},
		{"long", []fcgi.Param{{Name: "A", Value: long}}, long, "100032:CONTENT_LENGTH|100000|A|" + long + "|SCGI|1|," + long},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := strings.ReplaceAll(tt.want, "|", "\x00")
			got := make([]byte, len(want))
			a := startApplication(t, func(p *peer) {
				io.ReadFull(p, got)
				p.send("A: b\n\n")
			})
			r := post(tt.body + "more")
			r.Params, r.Length = tt.params, int64(len(tt.body))
			if _, _, err := fetch(guard(t), a.client(), r); err != nil || string(got) != want {
				t.Errorf("got %.200q, %v\nwant %.200q", got, err, want)
			}
		})
	}
	for _, p := range []fcgi.Param{{Name: "A\x00B", Value: "1"}, {Name: "A", Value: "1\x00B"}} {
		_, err := NewClient(Config{}).Do(guard(t), &Request{Params: []fcgi.Param{p}})
		if e := wantError(t, err, "request", upstream.BadRequest); e.Sent {
			t.Error("sent")
		}
	}
}

func TestAnswers(t *testing.T) {
	const type1 = "Content-Type: a/b\r\n"
	tests := []struct {
		name, method, answer string
		status               int
		header, body         string
	}{
		{"to the end of the connection", "GET", type1 + "\r\nbody", 200, "Content-Type: a/b\n", "body"},
		{"bare LF", "GET", "Status: 404 Nope\nX: y\n\nbody", 404, "X: y\n", "body"},
		{"length", "GET", type1 + "Content-Length: 4\r\n\r\nbody", 200, "Content-Type: a/b\nContent-Length: 4\n", "body"},
		{"longer than its length", "GET", type1 + "Content-Length: 4\r\n\r\nbody and more", 200, "Content-Type: a/b\nContent-Length: 4\n", "body"},
		{"empty", "GET", type1 + "\r\n", 200, "Content-Type: a/b\n", ""},
		{"length 0", "GET", "Content-Length: 0\r\n\r\nbody", 200, "Content-Length: 0\n", ""},
		{"order, case and duplicates", "GET", "x-B: 1\r\nA: 2\r\nX-b: 3\r\n\r\n", 200, "x-B: 1\nA: 2\nX-b: 3\n", ""},
		{"redirect", "GET", "Location: http://x/\r\n\r\n", 302, "Location: http://x/\n", ""},
		{"HEAD", "HEAD", "Content-Length: 4\r\n\r\n", 200, "Content-Length: 4\n", ""},
		{"HEAD with a body", "HEAD", "Content-Length: 4\r\n\r\nbody", 200, "Content-Length: 4\n", ""},
		{"204 with a body", "GET", "Status: 204\r\n\r\nbody", 204, "", ""},
		{"304", "GET", "Status: 304\r\nContent-Length: 9\r\n\r\n", 304, "Content-Length: 9\n", ""},
		{"connection fields", "GET", "Connection: close\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\nbody", 200, "X: y\n", "body"},
		{"line of 60 KB", "GET", "X: " + strings.Repeat("y", 60_000) + "\r\n\r\nbody", 200, "X: " + strings.Repeat("y", 60_000) + "\n", "body"},
		{"large body", "GET", "X: y\r\n\r\n" + strings.Repeat("b", 1<<20), 200, "X: y\n", strings.Repeat("b", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startApplication(t, once(tt.answer))
			r := &Request{Params: []fcgi.Param{{Name: "REQUEST_METHOD", Value: tt.method}}}
			resp, body, err := fetch(guard(t), a.client(), r)
			if err != nil {
				t.Fatal(err)
			}
			var header strings.Builder
			for _, f := range resp.Header {
				header.WriteString(f.Name + ": " + f.Value + "\n")
			}
			if resp.Status != tt.status || header.String() != tt.header || body != tt.body {
				t.Errorf("got %d, %q, %.100q", resp.Status, header.String(), body)
			}
			if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("behind the end: %d, %v", n, err)
			}
		})
	}
}

func TestBadAnswers(t *testing.T) {
	tests := []struct {
		name, answer string
		op           string
		lost         bool // the error matches io.ErrUnexpectedEOF
		text         string
	}{
		{"nothing", "", "head", true, "closed the connection"},
		{"half a line", "Content-Ty", "head", true, "closed the connection"},
		{"half a head", "X: y\r\n", "head", true, "closed the connection"},
		{"bogus line", "bogus\r\n\r\n", "head", false, "without a colon"},
		{"no parsed header", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", "head", false, "without a colon"},
		{"status 099", "Status: 099\r\n\r\n", "head", false, "bad Status"},
		{"status 100", "Status: 100\r\n\r\n", "head", false, "bad Status"},
		{"bad length", "Content-Length: x\r\n\r\n", "head", false, "bad Content-Length"},
		{"head of 70 KB", "X: " + strings.Repeat("y", 70_000) + "\r\n\r\n", "head", false, "larger than 65536"},
		{"body too short", "Content-Length: 8\r\n\r\nbody", "body", true, "closed the connection"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startApplication(t, once(tt.answer))
			_, _, err := fetch(guard(t), a.client(), get())
			e := wantError(t, err, tt.op, upstream.BadResponse)
			if !e.Sent || errors.Is(err, io.ErrUnexpectedEOF) != tt.lost || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %q, sent %v", err, e.Sent)
			}
			if n := a.accepted.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func TestNoApplication(t *testing.T) {
	body := strings.NewReader("abc")
	r := post("abc")
	r.Body = body
	_, err := NewClient(Config{Network: "unix", Address: filepath.Join(t.TempDir(), "none")}).Do(guard(t), r)
	if e := wantError(t, err, "dial", upstream.Unavailable); e.Sent || !errors.Is(err, syscall.ENOENT) || !strings.HasPrefix(err.Error(), "scgi ") {
		t.Errorf("got %v, sent %v", err, e.Sent)
	}
	if body.Len() != 3 {
		t.Error("the body was read")
	}
}
