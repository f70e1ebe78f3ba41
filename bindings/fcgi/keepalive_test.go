package fcgi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/bindings/upstream"
)

func TestReuse(t *testing.T) {
	b := startBackend(t, answering(stdout("A: 1\n\nbody"), end(0)))
	c := b.client(t)
	for range 10 {
		mustFetch(t, c, get())
	}
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("GET: %d connections, want 1", n)
	}
	put := get()
	put.Params[0].Value = "PUT"
	put.Stdin = bytes.NewReader(make([]byte, 1000))
	mustFetch(t, c, put)
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("PUT: %d connections, want 1", n)
	}
	// What may not be repeated goes over a new connection, in place of the old one.
	for range 3 {
		mustFetch(t, c, post("x"))
		mustFetch(t, c, get())
	}
	if n := b.accepted.Load(); n != 4 {
		t.Errorf("POST: %d connections, want 4", n)
	}
	if n := c.pool.Len(); n != 1 {
		t.Errorf("%d idle connections, want 1", n)
	}
}

// A connection is free for others as soon as its answer is in, even before it was passed on.
func TestFreeEarly(t *testing.T) {
	b := startBackend(t, answering(stdout("A: 1\n\nbody"), end(0)))
	c := b.client(t)
	buf := make([]byte, 4)
	for range 3 {
		resp, err := c.Do(guard(t), get(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, buf); err != nil {
			t.Fatal(err)
		}
		mustFetch(t, c, get())
		resp.Body.Close()
	}
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestMaxIdle(t *testing.T) {
	gate := make(chan struct{})
	b := startBackend(t, func(p *peer) {
		for {
			if _, err := p.request(); err != nil {
				return
			}
			<-gate
			p.send(stdout("\n"), end(0))
		}
	})
	c := b.client(t, func(c *Config) { c.MaxIdle = 2 })
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { tryFetch(t, c, get()) })
	}
	for b.accepted.Load() < 5 {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	wg.Wait()
	if n := c.pool.Len(); n > 2 {
		t.Errorf("%d idle connections, want at most 2", n)
	}
}

func TestIdleTime(t *testing.T) {
	gone := make(chan struct{}, 10)
	b := startBackend(t, func(p *peer) {
		answering(stdout("\n"), end(0))(p)
		gone <- struct{}{}
	})
	c := b.client(t, func(c *Config) { c.IdleTime = 20 * time.Millisecond })
	mustFetch(t, c, get())
	await(t, gone)
	mustFetch(t, c, get())
	await(t, gone)
}

func TestClose(t *testing.T) {
	gone := make(chan struct{}, 10)
	b := startBackend(t, func(p *peer) {
		answering(stdout("\nbody"), end(0))(p)
		gone <- struct{}{}
	})
	c := b.client(t)
	mustFetch(t, c, get())
	c.Close()
	await(t, gone)
	mustFetch(t, c, get()) // still works
	await(t, gone)         // but keeps nothing
	c.Close()
}

func await(t *testing.T, c chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing happened")
	}
}

// The backend closes each connection after a request or two, at various moments, as with
// php-fpm's pm.max_requests. 64 clients see no failure, and no POST is done twice.
func TestBackendClosesAfterEachRequest(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = socketPath(t)
			}
			var mu sync.Mutex
			posted := map[string]int{}
			b := startOn(t, network, addr, 1<<16, func(p *peer) {
				for range 1 + rand.IntN(2) {
					r, err := p.request()
					if err != nil {
						return
					}
					if len(r.stdin) > 0 {
						mu.Lock()
						posted[string(r.stdin)]++
						mu.Unlock()
					}
					p.send(stdout("X-Id: "+r.get("ID")+"\n\nbody of "+r.get("ID")), end(0))
				}
				if rand.IntN(2) == 0 {
					time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond)
				}
			})
			c := b.client(t)
			ctx := guard(t)
			var wg sync.WaitGroup
			for client := range 64 {
				wg.Go(func() {
					for i := range 30 {
						r := get()
						id := fmt.Sprint(client, "-", i)
						if i%3 == 0 {
							r = post(id)
						}
						r.Params = append(r.Params, Param{"ID", id})
						_, body, err := fetch(ctx, c, r)
						if err != nil || body != "body of "+id {
							t.Errorf("%s: got %q, %v", id, body, err)
							return
						}
					}
				})
			}
			wg.Wait()
			if len(posted) != 64*10 {
				t.Errorf("%d different bodies arrived", len(posted))
			}
			for id, n := range posted {
				if n != 1 {
					t.Errorf("%s was posted %d times", id, n)
				}
			}
		})
	}
}

// A backend that takes a request on a kept connection and leaves without a byte is asked once
// more on a new one; a new one that behaves like that is an error.
func TestRepeatOnce(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		if r, err := p.request(); err != nil || r.get("DIE") != "" {
			return
		}
		p.send(stdout("\nbody"), end(0))
		p.request()
	})
	c := b.client(t)
	mustFetch(t, c, get())
	mustFetch(t, c, get())
	if n := b.accepted.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	_, _, err := fetch(guard(t), c, get(Param{"DIE", "1"}))
	wantError(t, err, "head", upstream.BadResponse)
	if n := b.accepted.Load(); n != 3 {
		t.Errorf("%d connections, want 3", n)
	}
}

// After half an answer nothing is repeated.
func TestNoRepeatAfterFirstByte(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		p.request()
		p.send(stdout("\nbody"), end(0))
		if _, err := p.request(); err == nil {
			p.send(stdout("A: 1\n")[:3])
		}
	})
	c := b.client(t)
	mustFetch(t, c, get())
	_, _, err := fetch(guard(t), c, get())
	wantError(t, err, "head", upstream.BadResponse)
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// Bytes that arrive on an idle connection belong to nobody.
func TestUnaskedBytes(t *testing.T) {
	next, sent := make(chan struct{}), make(chan struct{})
	b := startBackend(t, func(p *peer) {
		p.request()
		p.send(stdout("\nright"), end(0))
		<-next
		p.send(stdout("\nwrong"), end(0))
		sent <- struct{}{}
		io.Copy(io.Discard, p)
	})
	c := b.client(t)
	for range 5 {
		if _, body := mustFetch(t, c, get()); body != "right" {
			t.Fatalf("got %q", body)
		}
		next <- struct{}{}
		await(t, sent)
	}
}

// Proof 2 of 3: after a client went away nobody gets the rest of its answer.
func TestNoAnswerCrosses(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		for {
			r, err := p.request()
			if err != nil {
				return
			}
			id := r.get("ID")
			p.send(stdout("X-Id: "+id+"\n\n"), stdout(id))
			if rand.IntN(4) == 0 {
				time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			}
			if p.send(stdout(strings.Repeat(" "+id, rand.IntN(2000))), rec(typeStderr, id+"\n"), end(0)) != nil {
				return
			}
		}
	})
	c := b.client(t)
	tries := 10_000
	if testing.Short() {
		tries = 2000
	}
	const clients = 16
	var wg sync.WaitGroup
	for client := range clients {
		wg.Go(func() {
			for i := range tries / clients {
				crossing(t, c, fmt.Sprint("r", client, "x", i))
			}
		})
	}
	wg.Wait()
}

// crossing does a request, goes away at a random moment in half of the tries, and checks
// that everything it saw was its own.
func crossing(t *testing.T, c *Client, id string) {
	ctx, cancel := context.WithCancel(guard(t))
	defer cancel()
	leave := rand.IntN(6)
	if leave == 0 {
		time.AfterFunc(time.Duration(rand.IntN(300))*time.Microsecond, cancel)
	}
	resp, err := c.Do(ctx, get(Param{"ID", id}), func(line string) {
		if line != id {
			t.Errorf("%s got the stderr %q", id, line)
		}
	})
	if err != nil {
		if leave != 0 || upstream.KindOf(err) != upstream.Canceled {
			t.Errorf("%s: %v", id, err)
		}
		return
	}
	defer resp.Body.Close()
	if resp.Header[0].Value != id {
		t.Errorf("%s got the head of %s", id, resp.Header[0].Value)
	}
	var body []byte
	switch leave {
	case 1:
		return
	case 2:
		body = make([]byte, 1+rand.IntN(100))
		n, _ := io.ReadFull(resp.Body, body)
		body = body[:n]
	case 3:
		go func() {
			time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
			resp.Body.Close()
		}()
		body, err = io.ReadAll(resp.Body)
	default:
		body, err = io.ReadAll(resp.Body)
	}
	if err != nil && upstream.KindOf(err) != upstream.Canceled {
		t.Errorf("%s: %v", id, err)
	}
	for word := range strings.FieldsSeq(string(body)) {
		if !strings.HasPrefix(id, word) || word != id && leave > 3 {
			t.Errorf("%s got a body with %s", id, word)
			return
		}
	}
}

// A backend with fewer workers than clients, each tied to its connection, serves them all.
func TestFewWorkers(t *testing.T) {
	b := startOn(t, "unix", socketPath(t), 2, answering(stdout("\nbody"), end(0)))
	c := b.client(t, func(c *Config) { c.ReadTimeout = 20 * time.Second })
	ctx := guard(t)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for i := range 20 {
				r := get()
				if i%4 == 0 {
					r = post("x")
				}
				if _, _, err := fetch(ctx, c, r); err != nil {
					t.Errorf("got %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A connection that was kept while another waited for its worker makes room, too.
func TestIdleMakesRoom(t *testing.T) {
	gate := make(chan struct{})
	b := startOn(t, "unix", socketPath(t), 1, func(p *peer) {
		for {
			if _, err := p.request(); err != nil {
				return
			}
			<-gate
			p.send(stdout("\nbody"), end(0))
		}
	})
	c := b.client(t, func(c *Config) { c.ReadTimeout = 20 * time.Second })
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { tryFetch(t, c, get()) })
	}
	for b.accepted.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	wg.Wait()
	stream := get()
	stream.Stdin = io.MultiReader(strings.NewReader("of unknown length"))
	mustFetch(t, c, stream)
}
