package scgi

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
	"luaserve/bindings/upstream/upstreamtest"
)

// Each wait has its limit.
func TestTimeouts(t *testing.T) {
	const short = 100 * time.Millisecond
	stuck := func(*peer) { time.Sleep(time.Minute) }
	tests := []struct {
		name   string
		serve  func(p *peer)
		change func(c *Config)
		req    *Request
		op     string
	}{
		{"head never comes", func(p *peer) { p.head(); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "head"},
		{"half a head", func(p *peer) { p.head(); p.send("X: y\n"); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "head"},
		{"body stops", func(p *peer) { p.head(); p.send("X: y\n\nbody"); stuck(p) }, func(c *Config) { c.ReadTimeout = short }, get(), "body"},
		{"upload is not taken", stuck, func(c *Config) { c.SendTimeout = short }, post(strings.Repeat("x", 10<<20)), "send"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := startApplication(t, tt.serve)
			err := upstreamtest.Again(tt.op, func() error {
				_, _, err := fetch(guard(t), a.client(tt.change), tt.req)
				return err
			})
			wantError(t, err, tt.op, upstream.Timeout)
		})
	}
}

// An application that answers without reading the request body is heard all the same.
func TestEarlyAnswers(t *testing.T) {
	const answer = "Status: 413\nContent-Length: 2\n\nno"
	for name, serve := range map[string]func(p *peer){
		"closes": once(answer),
		"stays":  func(p *peer) { p.head(); p.send(answer); time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startApplication(t, serve)
			c := a.client(func(c *Config) { c.SendTimeout = 100 * time.Millisecond })
			var resp *fcgi.Response
			var body string
			err := upstreamtest.Again("", func() (err error) {
				resp, body, err = fetch(guard(t), c, post(strings.Repeat("x", 10<<20)))
				return err
			})
			if err != nil || resp.Status != 413 || body != "no" {
				t.Errorf("got %v, %q, %v", resp, body, err)
			}
		})
	}
}

// A request body that fails is not the application's fault.
func TestBodyFails(t *testing.T) {
	broken := errors.New("the client went away")
	for _, tt := range []struct {
		name string
		n    int
		err  error
		want error
	}{
		{"short", 2, broken, broken},
		{"long", 100_000, broken, broken},
		{"ends early", 2, io.EOF, io.ErrUnexpectedEOF},
		{"long, ends early", 100_000, io.EOF, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := startApplication(t, func(p *peer) { io.Copy(io.Discard, p) })
			body := io.MultiReader(strings.NewReader(strings.Repeat("x", tt.n)), failing{tt.err})
			_, err := a.client().Do(guard(t), &Request{Body: body, Length: 200_000})
			wantError(t, err, "upload", upstream.BadRequest)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A client that goes away, or stops reading, closes the connection to the application.
func TestCancel(t *testing.T) {
	for _, tt := range []struct {
		name, first string
		req         *Request
	}{
		{"in the head", "", get()},
		{"in the body", "X: y\n\nbody", get()},
		{"in the upload", "", post(strings.Repeat("x", 10<<20))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			closed, waits := make(chan bool), make(chan bool)
			a := startApplication(t, func(p *peer) {
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
			_, _, err := fetch(ctx, a.client(), tt.req)
			if upstream.KindOf(err) != upstream.Canceled {
				t.Errorf("got %v", err)
			}
			<-closed
		})
	}
	t.Run("body closed", func(t *testing.T) {
		closed := make(chan bool)
		a := startApplication(t, func(p *peer) {
			p.head()
			p.send("X: y\n\nbody")
			io.Copy(io.Discard, p.r)
			close(closed)
		})
		resp, err := a.client().Do(guard(t), get())
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		resp.Body.Close()
		<-closed
		_, err = resp.Body.Read(make([]byte, 1))
		wantError(t, err, "body", upstream.Canceled)
	})
}

// A connection reset is an incomplete body.
func TestReset(t *testing.T) {
	read := make(chan bool) // what was not read is lost with the connection
	a := startOn(t, "tcp", "127.0.0.1:0", func(p *peer) {
		p.head()
		p.send("X: y\n\nbody")
		<-read
		p.Conn.(*net.TCPConn).SetLinger(0)
	})
	resp, err := a.client().Do(guard(t), get())
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 4)
	io.ReadFull(resp.Body, body)
	close(read)
	_, err = resp.Body.Read(make([]byte, 1))
	wantError(t, err, "body", upstream.BadResponse)
	if string(body) != "body" || !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %q, %v", body, err)
	}
}

// Whatever an application answers, Do and the body come to an end and what is passed on is a
// clean response.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("Content-Length: 4\n\nbody"), false)
	f.Add([]byte("Status: 304 X\r\nX: y\r\n\r\n"), true)
	f.Add([]byte("Location: /x\n\n"), false)
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		near, far := net.Pipe()
		defer near.Close()
		go func() {
			bufio.NewReader(far).ReadString(',')
			far.Write(raw)
			far.Close()
		}()
		x := newExchange(context.Background(), near, &Config{MaxHeadBytes: 4 << 10})
		r := get()
		if head {
			r.Params[0].Value = "HEAD"
		}
		wire, err := r.appendHead(nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := x.run(r, wire)
		if err != nil {
			return
		}
		for _, f := range resp.Header {
			if strings.ContainsAny(f.Name+f.Value, "\r\n\x00") {
				t.Errorf("%q: %q", f.Name, f.Value)
			}
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Status < 200 || head && len(body) > 0 || err == nil && resp.Length >= 0 && !head && resp.Status != 304 && int64(len(body)) != resp.Length {
			t.Errorf("status %d, %d bytes of %d, %v", resp.Status, len(body), resp.Length, err)
		}
	})
}
