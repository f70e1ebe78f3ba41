package httpproxy

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings/upstream"
	"luaserve/bindings/upstream/upstreamtest"
)

func TestNoUpstream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	l.Close()
	tests := []struct {
		name, network, addr string
		want                error
	}{
		{"refused", "tcp", refused, syscall.ECONNREFUSED},
		{"missing socket", "unix", socketPath(t), syscall.ENOENT},
		{"unknown host", "tcp", "nowhere.invalid:80", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.NewReader("abc")
			r := post("abc")
			r.Body = body
			_, err := NewClient(Config{Config: upstream.Config{Network: tt.network, Address: tt.addr}}).Do(guard(t), r)
			e := wantError(t, err, "dial", upstream.Unavailable)
			if e.Sent || tt.want != nil && !errors.Is(err, tt.want) || e.Kind.Status() != 503 {
				t.Errorf("got %v, sent %v", err, e.Sent)
			}
			if body.Len() != 3 {
				t.Error("the body was read")
			}
			if !strings.HasPrefix(err.Error(), "http "+tt.addr+": dial: ") {
				t.Errorf("got %q", err)
			}
		})
	}
}

// Each wait has its limit.
func TestTimeouts(t *testing.T) {
	const short = 100 * time.Millisecond
	stuck := func(p *peer) { time.Sleep(time.Minute) }
	tests := []struct {
		name   string
		serve  func(p *peer)
		change func(c *Config)
		req    *Request
		op     string
	}{
		{"head never comes", func(p *peer) { p.head(); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "head"},
		{"half a head", func(p *peer) { p.head(); p.send("HTTP/1.1 200"); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "head"},
		{"half a line", func(p *peer) { p.head(); p.send("HTTP/1.1 200 OK\r\nX"); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "head"},
		{"interim answer only", func(p *peer) { p.head(); p.send("HTTP/1.1 100 Continue\r\n\r\n"); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "head"},
		{"body stops", func(p *peer) { p.head(); p.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "body"},
		{"upload is not taken", stuck, func(c *Config) { c.SendTimeout = short }, post(strings.Repeat("x", 10<<20)), "send"},
		{"upload is taken, no answer", func(p *peer) { p.request(); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, post(strings.Repeat("x", 1<<20)), "head"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := startUpstream(t, tt.serve).client(t, tt.change)
			err := upstreamtest.Again(tt.op, func() error {
				_, _, err := fetch(guard(t), c, tt.req)
				return err
			})
			if e := wantError(t, err, tt.op, upstream.Timeout); e.Kind.Status() != 504 {
				t.Error(e.Kind.Status())
			}
		})
	}
}

// The time to read does not count while the client is slow in sending.
func TestSlowUpload(t *testing.T) {
	u := startUpstream(t, func(p *peer) {
		if r, body := p.request(); r != nil && body == "abc" {
			p.send(okEmpty)
		}
	})
	c := u.client(t, func(c *Config) { c.ReadTimeout = 50 * time.Millisecond })
	err := upstreamtest.Again("", func() error {
		pr, pw := io.Pipe()
		defer pr.Close()
		go func() {
			for _, s := range []string{"a", "b", "c"} {
				time.Sleep(80 * time.Millisecond)
				io.WriteString(pw, s)
			}
			pw.Close()
		}()
		_, _, err := fetch(guard(t), c, &Request{Method: "POST", Target: "/", Body: pr, Length: -1})
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// An upstream answers before it has read the body.
func TestEarlyAnswers(t *testing.T) {
	const size = 20 << 20
	large := strings.Repeat("y", 4<<20)
	tests := []struct {
		name   string
		serve  func(p *peer)
		status int
		body   string
		all    bool // the whole request body is sent
	}{
		{"refuses and closes", func(p *peer) { p.head(); p.send("HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno"); readSlowly(p, 1<<20) }, 413, "no", false},
		{"refuses and reads on", func(p *peer) {
			p.head()
			p.send("HTTP/1.1 401 X\r\nContent-Length: 2\r\n\r\nno")
			readSlowly(p, size)
		}, 401, "no", false},
		{"refuses and stops reading", func(p *peer) {
			p.head()
			p.send("HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno")
			time.Sleep(time.Minute)
		}, 500, "no", false},
		{"accepts and reads on", func(p *peer) {
			p.head()
			p.send("HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n")
			io.CopyN(io.Discard, p.r, size)
			p.send("ok")
		}, 200, "ok", true},
		{"answers at length without reading", func(p *peer) {
			p.head()
			p.send("HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + large)
		}, 200, large, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := startUpstream(t, tt.serve)
			c := u.client(t, func(c *Config) { c.RefusedTimeout = 2 * time.Second })
			body := strings.NewReader(strings.Repeat("x", size))
			resp, err := c.Do(guard(t), &Request{Method: "POST", Target: "/", Body: body, Length: size})
			if err != nil {
				t.Fatal(err)
			}
			left := body.Len()
			got, err := io.ReadAll(resp.Body)
			got = append([]byte(resp.Data), got...)
			if tt.body == large && err != nil {
				err = nil // closing a socket with unread data resets the connection
			}
			if resp.Status != tt.status || string(got) != tt.body || err != nil {
				t.Errorf("got %d, %d bytes, %v", resp.Status, len(got), err)
			}
			if all := left == 0; all != tt.all {
				t.Errorf("%d bytes of the request body were not read", left)
			}
			if kept := c.pool.Len() == 1; kept != tt.all {
				t.Errorf("connection kept: %v", kept)
			}
			if body.Len() != left {
				t.Error("the body was read after Do had returned")
			}
		})
	}
}

// readSlowly reads n bytes, or to the end, so slowly that the client has heard the answer long
// before all of its body was taken.
func readSlowly(p *peer, n int) {
	const piece = 64 << 10
	for range n / piece {
		if _, err := io.CopyN(io.Discard, p.r, piece); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// failing gives n bytes and then an error.
type failing struct {
	n   int
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.n == 0 {
		return 0, f.err
	}
	n := min(f.n, len(p))
	f.n -= n
	return n, nil
}

// A request body that fails is not the upstream's fault, and the upstream must not take it for
// complete.
func TestBodyFails(t *testing.T) {
	broken := errors.New("the client went away")
	tests := []struct {
		name   string
		n      int
		length int64
		err    error
		want   error
	}{
		{"short body fails", 2, 5, broken, broken},
		{"short body ends early", 2, 5, io.EOF, io.ErrUnexpectedEOF},
		{"long body fails", 100_000, 200_000, broken, broken},
		{"long body ends early", 100_000, 200_000, io.EOF, io.ErrUnexpectedEOF},
		{"body of unknown length fails", 100_000, -1, broken, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var complete atomic.Bool
			done := make(chan bool)
			u := startUpstream(t, func(p *peer) {
				defer close(done)
				if r, _ := p.request(); r != nil {
					complete.Store(true)
				}
			})
			_, err := u.client(t).Do(guard(t), &Request{Method: "POST", Target: "/", Body: &failing{tt.n, tt.err}, Length: tt.length})
			e := wantError(t, err, "upload", upstream.BadRequest)
			if !errors.Is(err, tt.want) || e.Kind.Status() != 400 {
				t.Errorf("got %v", err)
			}
			<-done
			if complete.Load() {
				t.Error("the upstream got a complete request")
			}
		})
	}
}

// A client that goes away closes the connection to the upstream.
func TestCancel(t *testing.T) {
	never, neverEnds := io.Pipe()
	defer neverEnds.Close()
	tests := []struct {
		name  string
		first string // what the upstream sends before it waits
		req   *Request
	}{
		{"in the head", "", get()},
		{"in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", get()},
		{"in a chunked body", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", get()},
		{"in a body without an end", "HTTP/1.1 200 OK\r\n\r\nab", get()},
		{"in the upload", "", post(strings.Repeat("x", 10<<20))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			closed, waits := make(chan bool), make(chan bool)
			u := startUpstream(t, func(p *peer) {
				p.head()
				p.send(tt.first)
				close(waits)
				if tt.req.Length > 0 {
					time.Sleep(50 * time.Millisecond)
				}
				io.Copy(io.Discard, p.r)
				close(closed)
			})
			ctx, cancel := context.WithCancel(guard(t))
			go func() {
				<-waits
				time.Sleep(10 * time.Millisecond)
				cancel()
			}()
			_, _, err := fetch(ctx, u.client(t), tt.req)
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != upstream.Canceled {
				t.Errorf("got %v", err)
			}
			<-closed
		})
	}
	t.Run("before dialing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := NewClient(Config{Config: upstream.Config{Network: "unix", Address: socketPath(t)}}).Do(ctx, &Request{Method: "POST", Target: "/", Body: never, Length: -1})
		wantError(t, err, "dial", upstream.Canceled)
	})
}

// Closing a body before its end closes the connection.
func TestCloseEarly(t *testing.T) {
	closed := make(chan bool)
	u := startUpstream(t, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
		io.Copy(io.Discard, p.r)
		close(closed)
	})
	c := u.client(t)
	resp, err := c.Do(guard(t), get())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body.Close()
	<-closed
	_, err = resp.Body.Read(make([]byte, 1))
	wantError(t, err, "body", upstream.Canceled)
	if c.pool.Len() != 0 {
		t.Error("the connection was kept")
	}
}

// A connection reset is an incomplete body, also where only the end of the connection ends it.
func TestReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &testServer{network: "tcp", addr: l.Addr().String()}
	read := make(chan bool) // what was not read is lost with the connection
	u.serve(t, l, func(p *peer) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\n\r\nabc")
		<-read
		p.Conn.(*net.TCPConn).SetLinger(0)
	})
	resp, err := u.client(t).Do(guard(t), get())
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 3)
	io.ReadFull(resp.Body, body)
	close(read)
	_, err = resp.Body.Read(make([]byte, 1))
	wantError(t, err, "body", upstream.BadResponse)
	if string(body) != "abc" || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v", body, err)
	}
}
