package httpproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings/upstream"
)

const okEmpty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func TestKeepAlive(t *testing.T) {
	u := startUpstream(t, answering("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"))
	c := u.client(t)
	for range 5 {
		if _, body, err := fetch(guard(t), c, get()); body != "abc" || err != nil {
			t.Fatal(body, err)
		}
	}
	if n := u.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	// a request that must not be repeated takes the place of an idle connection
	if _, _, err := fetch(guard(t), c, post("")); err != nil {
		t.Fatal(err)
	}
	if n := u.accepted.Load(); n != 2 || c.pool.Len() != 1 {
		t.Errorf("%d connections, %d idle", n, c.pool.Len())
	}
	c.Close()
	for range 2 {
		if _, _, err := fetch(guard(t), c, get()); err != nil {
			t.Fatal(err)
		}
	}
	if n := u.accepted.Load(); n != 4 || c.pool.Len() != 0 {
		t.Errorf("after Close: %d connections, %d idle", n, c.pool.Len())
	}
}

func TestIdleLimits(t *testing.T) {
	u := startUpstream(t, answering(okEmpty))
	c := u.client(t, func(c *Config) { c.MaxIdle, c.IdleTime = 2, 50*time.Millisecond })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { fetch(guard(t), c, get()) })
	}
	wg.Wait()
	if n := c.pool.Len(); n > 2 {
		t.Errorf("%d idle connections", n)
	}
	eventually(t, "idle connections are closed", func() bool { return c.pool.Len() == 0 })
	none := u.client(t, func(c *Config) { c.MaxIdle = -1 })
	fetch(guard(t), none, get())
	if n := none.pool.Len(); n != 0 {
		t.Errorf("%d idle connections", n)
	}
}

// An upstream closes a kept connection: at rest, or when the next request comes.
func TestStaleConnections(t *testing.T) {
	quiet := func(*peer) {}
	tests := []struct {
		name   string
		rest   func(p *peer) // what the upstream does while the connection is kept
		second func(p *peer) // and what with a second request on it
		req    func() *Request
		fails  bool
	}{
		{"closed at rest", func(p *peer) { p.Close() }, quiet, get, false},
		{"closed at the request", quiet, func(p *peer) { p.head() }, get, false},
		{"with a body", quiet, func(p *peer) { p.head() }, func() *Request { r := post("abc"); r.Method = "PUT"; return r }, false},
		{"half an answer", quiet, func(p *peer) { p.head(); p.send("HTTP/1.1 20") }, get, true},
		{"unasked answer", func(p *peer) { p.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n") }, func(p *peer) { p.head() }, get, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var first atomic.Bool
			kept, waits := make(chan bool), make(chan bool)
			u := startUpstream(t, func(p *peer) {
				if first.Swap(true) {
					for {
						r, body := p.request()
						if r == nil {
							return
						}
						p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
					}
				}
				p.head()
				p.send(okEmpty)
				<-kept
				tt.rest(p)
				close(waits) // what was done on a unix socket has arrived
				tt.second(p)
			})
			c := u.client(t)
			fetch(guard(t), c, get())
			close(kept)
			<-waits
			r := tt.req()
			want := ""
			if r.Length > 0 {
				want = "abc"
			}
			status, body, err := fetch(guard(t), c, r)
			if tt.fails {
				wantError(t, err, "head", upstream.BadResponse)
				return
			}
			if status != 200 || body != want || err != nil {
				t.Errorf("got %d, %q, %v", status, body, err)
			}
			if n := u.accepted.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// On a new connection a request is sent once, whatever becomes of it.
func TestNotRepeated(t *testing.T) {
	for _, req := range []func() *Request{get, func() *Request { return post("abc") }} {
		u := startUpstream(t, once(""))
		_, err := u.client(t).Do(guard(t), req())
		if e := wantError(t, err, "head", upstream.BadResponse); !e.Sent {
			t.Error("not sent?")
		}
		if n := u.accepted.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	}
}

// An upstream closes the connection after each request without saying so, while many clients
// use it: none of them may notice.
func TestUpstreamClosesAlways(t *testing.T) {
	u := startUpstream(t, func(p *peer) {
		if r, body := p.request(); r != nil {
			p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		}
	})
	c := u.client(t)
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range 64 {
		wg.Go(func() {
			for i := range 30 {
				r := get()
				if i%2 == 0 {
					r = post("abc")
				}
				if _, body, err := fetch(guard(t), c, r); err != nil || int64(len(body)) != r.Length {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	wg.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d requests failed", n)
	}
}

// Clients go away at any moment: nobody may get the answer to somebody else's request.
func TestAnswersNeverCross(t *testing.T) {
	u := startUpstream(t, func(p *peer) {
		for {
			r, _ := p.request()
			if r == nil {
				return
			}
			id := r.URL.Path
			p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(id)*100))
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			p.send(strings.Repeat(id, 100))
		}
	})
	c := u.client(t)
	rounds := 10_000 / 50
	if testing.Short() {
		rounds = 20
	}
	var wg sync.WaitGroup
	var complete atomic.Int64
	for w := range 50 {
		wg.Go(func() {
			for i := range rounds {
				id := fmt.Sprintf("/%d-%d/", w, i)
				ctx, cancel := context.WithCancel(guard(t))
				if i%3 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(400))*time.Microsecond, cancel)
				}
				r := get()
				r.Target = id
				resp, err := c.Do(ctx, r)
				if err == nil {
					var body []byte
					if i%5 != 0 {
						body, err = io.ReadAll(resp.Body)
						body = append([]byte(resp.Data), body...)
					}
					resp.Body.Close()
					if !strings.HasPrefix(strings.Repeat(id, 100), string(body)) {
						t.Errorf("%s got %q", id, body)
					}
					if err == nil && len(body) > 0 {
						complete.Add(1)
					}
				}
				if e, ok := errors.AsType[*Error](err); err != nil && (!ok || e.Kind != upstream.Canceled) {
					t.Errorf("%s: %v", id, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if complete.Load() == 0 {
		t.Error("no request was complete")
	}
}
