package fcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings/upstream"
	"luaserve/bindings/upstream/upstreamtest"
)

func TestNoBackend(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	l.Close()
	left := socketPath(t)
	u, err := net.ListenUnix("unix", &net.UnixAddr{Name: left, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	u.SetUnlinkOnClose(false)
	u.Close()
	tests := []struct {
		name, network, addr string
		want                error
	}{
		{"refused", "tcp", refused, syscall.ECONNREFUSED},
		{"socket left behind", "unix", left, syscall.ECONNREFUSED},
		{"missing socket", "unix", socketPath(t), syscall.ENOENT},
		{"unknown host", "tcp", "nowhere.invalid:9000", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewClient(Config{Config: upstream.Config{Network: tt.network, Address: tt.addr}}).Do(guard(t), get(), nil)
			e := wantError(t, err, "dial", upstream.Unavailable)
			if e.Sent || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, sent %v", err, e.Sent)
			}
			if !strings.HasPrefix(err.Error(), "fcgi "+tt.addr+": dial: ") {
				t.Errorf("got %q", err)
			}
		})
	}
}

// What an application sends, what becomes of it.
func TestBadAnswers(t *testing.T) {
	otherID := rec(typeStdout, "A: 1\n\nbody")
	otherID[3] = 2
	oldVersion := rec(typeStdout, "A: 1\n\nbody")
	oldVersion[0] = 0
	full := slices.Concat(stdout("A: 1\n\n"+strings.Repeat("x", 500)), end(0))
	tests := []struct {
		name   string
		answer [][]byte
		op     string // "" when Do gives an answer without a fault
		kind   upstream.Kind
		sent   bool
		eof    bool // the error matches io.ErrUnexpectedEOF
		text   string
	}{
		{"head of 70 KB", [][]byte{stdout("A: " + strings.Repeat("x", 70_000) + "\n\n"), end(0)}, "head", upstream.BadResponse, true, false, "larger than 65536"},
		{"head of many lines", [][]byte{stdout(strings.Repeat("A: 1\n", 15_000) + "\n"), end(0)}, "head", upstream.BadResponse, true, false, "larger than 65536"},
		{"bogus header line", [][]byte{stdout("A: 1\nbogus\n\n"), end(0)}, "head", upstream.BadResponse, true, false, `without a colon: "bogus"`},
		{"php warning before the head", [][]byte{stdout("<b>Warning</b>: x\n\n"), end(0)}, "head", upstream.BadResponse, true, false, "header name with byte"},
		{"status 099", [][]byte{stdout("Status: 099\n\n"), end(0)}, "head", upstream.BadResponse, true, false, "bad Status"},
		{"status abc", [][]byte{stdout("Status: abc\n\n"), end(0)}, "head", upstream.BadResponse, true, false, "bad Status"},
		{"interim status", [][]byte{stdout("Status: 199\n\n"), end(0)}, "head", upstream.BadResponse, true, false, "bad Status"},
		{"two lengths", [][]byte{stdout("Content-Length: 4\nContent-Length: 5\n\nbody"), end(0)}, "head", upstream.BadResponse, true, false, "Content-Length fields that differ"},
		{"no length", [][]byte{stdout("Content-Length: +4\n\nbody"), end(0)}, "head", upstream.BadResponse, true, false, "bad Content-Length"},
		{"nph", [][]byte{stdout("HTTP/1.1 404 Not Found\r\nA: 1\r\n\r\n"), end(0)}, "head", upstream.BadResponse, true, false, "without a colon"},
		{"another request's id", [][]byte{otherID, end(0)}, "head", upstream.BadResponse, true, false, "request id 2"},
		{"another request's id in the body", [][]byte{stdout("A: 1\n\nbody"), otherID, end(0)}, "body", upstream.BadResponse, true, false, "request id 2"},
		{"wrong version", [][]byte{oldVersion, end(0)}, "head", upstream.BadResponse, true, false, "version 0"},
		{"not FastCGI", [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n\r\n")}, "head", upstream.BadResponse, true, false, "version 72"},
		{"unknown type", [][]byte{rec(99, ""), end(0)}, "head", upstream.BadResponse, true, false, "type 99"},
		{"nothing", nil, "head", upstream.BadResponse, true, true, "closed the connection"},
		{"no head", [][]byte{end(0)}, "head", upstream.BadResponse, true, false, "without a response head"},
		{"half a head", [][]byte{stdout("A: 1\n"), end(0)}, "head", upstream.BadResponse, true, false, "without a response head"},
		{"overloaded", [][]byte{end(statusOverloaded)}, "head", upstream.Unavailable, false, false, "overloaded"},
		{"cannot multiplex", [][]byte{end(statusCantMultiplex)}, "head", upstream.BadResponse, false, false, "multiplex"},
		{"unknown role", [][]byte{end(statusUnknownRole)}, "head", upstream.BadResponse, false, false, "role"},
		{"unknown protocol status", [][]byte{end(9)}, "head", upstream.BadResponse, false, false, "status 9"},
		{"overloaded in the body", [][]byte{stdout("A: 1\n\nbody"), end(statusOverloaded)}, "body", upstream.BadResponse, true, false, "overloaded"},
		{"truncated record", [][]byte{full[:100]}, "body", upstream.BadResponse, true, true, "closed the connection"},
		{"truncated header", [][]byte{full[:len(full)-12]}, "body", upstream.BadResponse, true, true, "closed the connection"},
		{"cut in head", [][]byte{stdout("A: 1\nB")}, "head", upstream.BadResponse, true, true, "closed the connection"},
		{"cut in body", [][]byte{stdout("A: 1\n\nbo")}, "body", upstream.BadResponse, true, true, "closed the connection"},
		{"cut in body, length known", [][]byte{stdout("Content-Length: 4\n\nbo")}, "body", upstream.BadResponse, true, true, "closed the connection"},
		{"cut before END_REQUEST", [][]byte{stdout("Content-Length: 4\n\nbody"), stdout("")}, "body", upstream.BadResponse, true, true, "closed the connection"},
		{"cut in END_REQUEST", [][]byte{stdout("A: 1\n\nbody"), end(0)[:15]}, "body", upstream.BadResponse, true, true, "closed the connection"},
		{"bytes after END_REQUEST", [][]byte{stdout("A: 1\n\nbody"), end(0), stdout("more")}, "", 0, false, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := startBackend(t, once(tt.answer...))
			c := b.client(t)
			resp, body, err := fetch(guard(t), c, get())
			if c.pool.Len() != 0 {
				t.Error("the connection was kept")
			}
			if tt.op == "" {
				if err != nil || body != "body" {
					t.Errorf("got %q, %v", body, err)
				}
				return
			}
			e := wantError(t, err, tt.op, tt.kind)
			// a fault that came together with the head is told before anything was passed on
			known := []string{"another request's id in the body", "overloaded in the body"}
			if tt.op == "body" && tt.name != "cut in body, length known" && (resp == nil) != slices.Contains(known, tt.name) {
				t.Errorf("got a head: %v", resp != nil)
			}
			if e.Sent != tt.sent || errors.Is(err, io.ErrUnexpectedEOF) != tt.eof || !strings.Contains(e.Error(), tt.text) {
				t.Errorf("got %v, sent %v", e, e.Sent)
			}
		})
	}
}

// Proof 3 of 3: a backend that dies halfway is an error, never a clean end, wherever it dies.
func TestDiesHalfway(t *testing.T) {
	full := slices.Concat(stdout("A: 1\n\nfirst"), rec(typeStderr, "oops\n"), stdout("second"), stdout(""), end(0))
	b := startBackend(t, func(p *peer) {
		r, err := p.request()
		if err == nil {
			p.send(full[:len(r.get("CUT"))])
		}
	})
	c := b.client(t)
	for cut := range len(full) + 1 {
		_, body, err := fetch(guard(t), c, get(Param{"CUT", strings.Repeat("x", cut)}))
		if cut == len(full) {
			if err != nil || body != "firstsecond" {
				t.Errorf("not cut: got %q, %v", body, err)
			}
		} else if upstream.KindOf(err) != upstream.BadResponse || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: got %q, %v", cut, body, err)
		}
	}
}

func TestReset(t *testing.T) {
	b := startOn(t, "tcp", "127.0.0.1:0", 10, func(p *peer) {
		if _, err := p.request(); err == nil {
			p.send(stdout("A: 1\n\nbody"))
			p.Conn.(*net.TCPConn).SetLinger(0)
		}
	})
	_, _, err := fetch(guard(t), b.client(t), get())
	if upstream.KindOf(err) != upstream.BadResponse || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestReadTimeouts(t *testing.T) {
	tests := []struct {
		name   string
		answer []byte
		op     string
	}{
		{"no answer", nil, "head"},
		{"half a head", stdout("A: 1\n"), "head"},
		{"half a body", stdout("A: 1\n\nbody"), "body"},
		{"no END_REQUEST", slices.Concat(stdout("Content-Length: 4\n\nbody"), stdout("")), "body"},
		{"no END_REQUEST after 204", stdout("Status: 204\n\n"), "body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := startBackend(t, func(p *peer) {
				p.request()
				p.send(tt.answer)
				io.Copy(io.Discard, p)
			})
			c := b.client(t, func(c *Config) { c.ReadTimeout = 100 * time.Millisecond })
			err := upstreamtest.Again(tt.op, func() error {
				_, _, err := fetch(guard(t), c, get())
				return err
			})
			if e := wantError(t, err, tt.op, upstream.Timeout); !e.Sent {
				t.Error("not sent")
			}
		})
	}
}

// Each bit of progress starts the read timeout anew.
func TestSlowButAlive(t *testing.T) {
	t.Parallel()
	b := startBackend(t, func(p *peer) {
		p.request()
		p.send(stdout("A: 1\n\n"))
		for range 10 {
			time.Sleep(160 * time.Millisecond)
			p.send(stdout("x"))
		}
		p.send(end(0))
	})
	c := b.client(t, func(c *Config) { c.ReadTimeout = 1500 * time.Millisecond })
	if _, body := mustFetch(t, c, get()); len(body) != 10 {
		t.Errorf("got %q", body)
	}
}

func TestSendTimeout(t *testing.T) {
	b := startBackend(t, func(p *peer) { time.Sleep(time.Minute) })
	c := b.client(t, func(c *Config) { c.SendTimeout = 50 * time.Millisecond })
	big := strings.Repeat("x", 8<<20)

	_, err := c.Do(guard(t), get(Param{"BIG", big}), nil)
	if e := wantError(t, err, "send", upstream.Timeout); !e.Sent {
		t.Error("params: not sent")
	}
	_, err = c.Do(guard(t), post(big), nil)
	if e := wantError(t, err, "send", upstream.Timeout); !e.Sent {
		t.Error("body: not sent")
	}
}

// An application may refuse before it read anything, and leave.
func TestAnswerBeforeRequest(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		p.send(end(statusOverloaded))
		p.Conn.(*net.UnixConn).CloseRead()
		io.Copy(io.Discard, p.r)
	})
	_, err := b.client(t).Do(guard(t), get(Param{"BIG", strings.Repeat("x", 4<<20)}), nil)
	if e := wantError(t, err, "head", upstream.Unavailable); e.Sent {
		t.Error("reported as sent")
	}
}

// A head that never ends does not fill the memory.
func TestEndlessHead(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		p.request()
		for p.send(stdout(strings.Repeat("A: 1\n", 1000))) == nil {
		}
	})
	_, err := b.client(t).Do(guard(t), get(), nil)
	wantError(t, err, "head", upstream.BadResponse)
}

func TestContextDeadline(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		p.request()
		p.send(stdout("A: 1\n\nbody"))
		io.Copy(io.Discard, p)
	})
	c := b.client(t)
	err := upstreamtest.Again("wait", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _, err := fetch(ctx, c, get())
		return err
	})
	wantError(t, err, "wait", upstream.Timeout)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
