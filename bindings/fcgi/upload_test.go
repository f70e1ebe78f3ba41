package fcgi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"luaserve/bindings/upstream"
	"luaserve/bindings/upstream/upstreamtest"
)

// plain hides every method but Read.
type plain struct{ io.Reader }

// Bodies of all sizes arrive, with and without a known length.
func TestUpload(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		for {
			r, err := p.request()
			if err != nil {
				return
			}
			p.send(stdout(fmt.Sprintf("\n%d %x", len(r.stdin), sha256.Sum256(r.stdin))), end(0))
		}
	})
	c := b.client(t)
	for _, n := range []int{0, 1, 7, inlineStdin - 1, inlineStdin, inlineStdin + 1, 2 * uploadChunk, 100_000, 3 << 20} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(rand.Uint32())
		}
		want := fmt.Sprintf("%d %x", n, sha256.Sum256(data))
		for name, r := range map[string]*Request{
			"Len":         {Stdin: bytes.NewReader(data)},
			"StdinLength": {Stdin: plain{bytes.NewReader(data)}, StdinLength: int64(n)},
			"unknown":     {Stdin: plain{bytes.NewReader(data)}},
			"data at EOF": {Stdin: iotest.DataErrReader(plain{bytes.NewReader(data)})},
			"more there":  {Stdin: plain{io.MultiReader(bytes.NewReader(data), strings.NewReader("more"))}, StdinLength: int64(n)},
		} {
			if name == "more there" && n == 0 {
				continue
			}
			var done atomic.Int32
			r.StdinDone = func() { done.Add(1) }
			if _, body := mustFetch(t, c, r); body != want {
				t.Errorf("%d bytes, %s: got %s, want %s", n, name, body, want)
			}
			for i := 0; done.Load() == 0 && i < 1000; i++ {
				time.Sleep(time.Millisecond)
			}
			if done.Load() != 1 {
				t.Errorf("%d bytes, %s: StdinDone was called %d times", n, name, done.Load())
			}
		}
	}
}

// A backend that answers while it reads must not block itself and us.
func TestEcho(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		if _, err := p.begin(); err != nil {
			return
		}
		p.send(stdout("A: 1\n\n"))
		for {
			_, content, err := p.record()
			if err != nil || p.send(rec(typeStdout, string(content))) != nil {
				return
			}
			if len(content) == 0 {
				p.send(end(0))
				return
			}
		}
	})
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	_, body := mustFetch(t, b.client(t), &Request{Stdin: bytes.NewReader(data)})
	if body != string(data) {
		t.Errorf("got %d bytes, not the %d that were sent", len(body), len(data))
	}
}

// An application may answer without reading the body. The connection is not used again.
func TestAnswerWithoutReading(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		for {
			if _, err := p.begin(); err != nil {
				return
			}
			p.send(stdout("Status: 413\n\ntoo large"), end(0))
		}
	})
	c := b.client(t)
	for range 3 {
		done := make(chan struct{})
		body := &Request{Stdin: bytes.NewReader(make([]byte, 8<<20)), StdinDone: func() { close(done) }}
		resp, text := mustFetch(t, c, body)
		if resp.Status != 413 || text != "too large" {
			t.Errorf("got %d %q", resp.Status, text)
		}
		await(t, done)
		if c.pool.Len() != 0 {
			t.Fatal("the connection was kept")
		}
	}
}

// The client of an upload may be slower than any timeout of the backend.
func TestSlowUpload(t *testing.T) {
	b := startBackend(t, answering(stdout("\nbody"), end(0)))
	c := b.client(t, func(c *Config) { c.ReadTimeout = 40 * time.Millisecond })
	var body string
	err := upstreamtest.Again("", func() (err error) {
		pr, pw := io.Pipe()
		defer pr.Close()
		go func() {
			for range 5 {
				time.Sleep(60 * time.Millisecond)
				io.WriteString(pw, "piece")
			}
			pw.Close()
		}()
		_, body, err = fetch(guard(t), c, &Request{Stdin: pr})
		return err
	})
	if body != "body" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

// A request body that fails is never taken for a whole one.
func TestBodyFails(t *testing.T) {
	broken := errors.New("client went away")
	ended := make(chan bool, 100)
	b := startBackend(t, func(p *peer) {
		_, err := p.request()
		ended <- err == nil
		p.send(stdout("\nbody"), end(0))
	})
	c := b.client(t)
	failing := func(n int) io.Reader {
		return plain{io.MultiReader(bytes.NewReader(make([]byte, n)), iotest.ErrReader(broken))}
	}
	for _, n := range []int{0, 100, 100_000} {
		tests := map[string]*Request{
			"unknown length": {Stdin: failing(n)},
			"long":           {Stdin: failing(n), StdinLength: 1 << 20},
			"ends too early": {Stdin: plain{bytes.NewReader(make([]byte, n))}, StdinLength: 1 << 20},
		}
		for name, r := range tests {
			want := broken
			if name == "ends too early" {
				want = io.ErrUnexpectedEOF
			}
			_, _, err := fetch(guard(t), c, r)
			if e := wantError(t, err, "stdin", upstream.BadRequest); !e.Sent || !errors.Is(err, want) {
				t.Errorf("%s after %d: got %v, sent %v", name, n, err, e.Sent)
			}
			if <-ended {
				t.Errorf("%s after %d: the application saw a whole body", name, n)
			}
		}
	}
	before := b.accepted.Load()
	for want, r := range map[error]*Request{
		broken:              {Stdin: failing(5), StdinLength: 10},
		io.ErrUnexpectedEOF: {Stdin: plain{strings.NewReader("short")}, StdinLength: 10},
	} {
		_, err := c.Do(guard(t), r, nil)
		if e := wantError(t, err, "stdin", upstream.BadRequest); e.Sent || !errors.Is(err, want) {
			t.Errorf("short: got %v, sent %v", err, e.Sent)
		}
	}
	if b.accepted.Load() != before {
		t.Error("the backend heard of a short body that failed")
	}
}

// The client goes away in the head, in the upload, in the download: what waits returns, the
// backend sees a closed connection.
func TestGoesAway(t *testing.T) {
	reached := make(chan struct{}, 1)
	gone := make(chan struct{}, 1)
	b := startBackend(t, func(p *peer) {
		defer func() { gone <- struct{}{} }()
		r, err := p.begin()
		if err != nil {
			return
		}
		if r.get("WHERE") == "download" {
			p.send(stdout("A: 1\n\nbody"))
		}
		reached <- struct{}{}
		io.Copy(io.Discard, p.r)
	})
	c := b.client(t)
	for _, where := range []string{"head", "upload", "download"} {
		for _, how := range []string{"cancel", "close"} {
			if how == "close" && where != "download" {
				continue
			}
			t.Run(where+" "+how, func(t *testing.T) {
				ctx, cancel := context.WithCancel(guard(t))
				defer cancel()
				done := make(chan struct{})
				r := get(Param{"WHERE", where})
				r.StdinDone = func() { close(done) }
				pr, pw := io.Pipe()
				if where == "upload" {
					r.Stdin = pr
					go io.WriteString(pw, "some")
				}
				closer := make(chan io.Closer, 1)
				go func() {
					<-reached
					if how == "close" {
						(<-closer).Close()
					}
					cancel()
					pw.Close()
				}()
				resp, err := c.Do(ctx, r, nil)
				if err == nil {
					closer <- resp.Body
					_, err = io.ReadAll(resp.Body)
				}
				if upstream.KindOf(err) != upstream.Canceled {
					t.Errorf("got %v", err)
				}
				if how == "cancel" && !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				await(t, gone)
				await(t, done)
				if c.pool.Len() != 0 {
					t.Error("a connection was kept")
				}
			})
		}
	}
}

func TestReadAfterClose(t *testing.T) {
	b := startBackend(t, answering(stdout("\nbody"), end(0)))
	c := b.client(t)
	resp, err := c.Do(guard(t), get(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 10)); n != 0 || upstream.KindOf(err) != upstream.Canceled {
		t.Errorf("got %d, %v", n, err)
	}
	resp, _ = mustFetch(t, c, get())
	resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 10)); n != 0 || err != io.EOF {
		t.Errorf("after the end: got %d, %v", n, err)
	}
}

// A connection that carried a long upload to its end is kept.
func TestReuseAfterUpload(t *testing.T) {
	uploaded := make(chan struct{})
	b := startBackend(t, func(p *peer) {
		for {
			if _, err := p.request(); err != nil {
				return
			}
			<-uploaded // before, the client does not know that all was sent, and keeps nothing
			p.send(slices.Concat(stdout("\nbody"), end(0)))
		}
	})
	c := b.client(t)
	r := post(strings.Repeat("x", 1<<20))
	r.StdinDone = func() { close(uploaded) }
	mustFetch(t, c, r)
	mustFetch(t, c, get())
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
