package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/yookoala/gofast"

	"luaserve/bindings/upstream"
)

func TestRoundTrip(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = socketPath(t)
			}
			b := startOn(t, network, addr, 10, func(p *peer) {
				for {
					r, err := p.request()
					if err != nil {
						return
					}
					p.send(stdout(fmt.Sprintf("Status: 201 Made\nX-Role: %d\nX-Flags: %d\n\n%s %s",
						r.role, r.flags, r.get("REQUEST_METHOD"), r.stdin)), stdout(""), end(0))
				}
			})
			c := b.client(t)
			for range 3 {
				resp, body := mustFetch(t, c, post("the body"))
				want := []Field{{"X-Role", "1"}, {"X-Flags", "1"}}
				if resp.Status != 201 || !slices.Equal(resp.Header, want) || body != "POST the body" || resp.Length != -1 {
					t.Errorf("got %+v %q", resp, body)
				}
			}
			resp, body := mustFetch(t, c, &Request{Role: gofast.RoleAuthorizer})
			if resp.Header[0].Value != "2" || body != " " {
				t.Errorf("got %+v %q", resp, body)
			}
		})
	}
}

func TestNoKeepAlive(t *testing.T) {
	b := startBackend(t, func(p *peer) {
		r, err := p.request()
		if err == nil {
			p.send(stdout(fmt.Sprintf("\nflags %d", r.flags)), end(0))
		}
	})
	for _, change := range []func(*Config){
		func(c *Config) { c.DisableKeepAlive = true },
		func(c *Config) { c.MaxIdle = -1 },
	} {
		c := b.client(t, change)
		before := b.accepted.Load()
		for range 3 {
			if _, body := mustFetch(t, c, get()); body != "flags 0" {
				t.Errorf("got %q", body)
			}
		}
		if n := b.accepted.Load() - before; n != 3 {
			t.Errorf("%d connections for 3 requests", n)
		}
	}
}

// Proof 1 of 3: a long response header line arrives.
func TestLongHeaderLine(t *testing.T) {
	for _, n := range []int{2000, 60_000} {
		value := strings.Repeat("v", n)
		b := startBackend(t, answering(stdout("X-Long: "+value+"\r\n\r\nbody"), end(0)))
		resp, body := mustFetch(t, b.client(t), get())
		if len(resp.Header) != 1 || resp.Header[0].Value != value || body != "body" {
			t.Errorf("%d bytes: got a header of %d fields, body %q", n, len(resp.Header), body)
		}
	}
}

// A head may come in any pieces, and stderr in between.
func TestHeadInPieces(t *testing.T) {
	text := "A: 1\r\nB: 2\r\n\r\nbody"
	b := startBackend(t, func(p *peer) {
		for {
			if _, err := p.request(); err != nil {
				return
			}
			for i := range text {
				p.send(stdout(text[i:i+1]), rec(typeStderr, fmt.Sprintf("line %d\n", i)))
			}
			p.send(end(0))
		}
	})
	c := b.client(t)
	for range 2 {
		var lines []string
		resp, err := c.Do(guard(t), get(), func(s string) { lines = append(lines, s) })
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != "body" || !slices.Equal(resp.Header, []Field{{"A", "1"}, {"B", "2"}}) {
			t.Errorf("got %+v %q %v", resp, body, err)
		}
		if len(lines) != len(text) || lines[3] != "line 3" {
			t.Errorf("got stderr %q", lines)
		}
	}
	if n := b.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestStderr(t *testing.T) {
	const line = "something went wrong over and over again, and nobody looks at it\n"
	piece := strings.Repeat(line, 65000/len(line))
	n := 20 << 20 / len(piece)
	b := startBackend(t, func(p *peer) {
		if _, err := p.request(); err != nil {
			return
		}
		for range n / 2 {
			p.send(rec(typeStderr, piece))
		}
		p.send(stdout("A: 1\n\nbody"))
		for range n - n/2 {
			p.send(rec(typeStderr, piece))
		}
		p.send(rec(typeStderr, "last"), end(0))
	})
	var lines int
	var last string
	count := func(s string) {
		lines++
		last = s
	}
	c := b.client(t, func(c *Config) { c.Stderr = count })
	if _, body := mustFetch(t, c, get()); body != "body" {
		t.Errorf("got %q", body)
	}
	if want := n*strings.Count(piece, "\n") + 1; lines != want || last != "last" {
		t.Errorf("got %d lines, the last %q, want %d", lines, last, want)
	}
}

func TestNoBody(t *testing.T) {
	small, big := stdout("not allowed"), stdout(strings.Repeat("x", 300_000))
	for _, head := range []string{"Status: 204\n\n", "Status: 304\nContent-Length: 11\n\n", "Content-Length: 11\n\n"} {
		for _, body := range [][]byte{nil, small, big} {
			b := startBackend(t, answering(stdout(head), body, end(0)))
			c := b.client(t)
			r := get()
			if strings.HasPrefix(head, "Content") {
				r.Params[0].Value = "HEAD"
			}
			for range 2 {
				if _, got := mustFetch(t, c, r); got != "" {
					t.Errorf("%q: got a body of %d bytes", head, len(got))
				}
			}
			want := int64(1)
			if len(body) > drainLimit {
				want = 2
			}
			if n := b.accepted.Load(); n != want {
				t.Errorf("%q and %d bytes: %d connections, want %d", head, len(body), n, want)
			}
		}
	}
}

func TestContentLength(t *testing.T) {
	tests := []struct {
		name, head, body string
		want             string
		kind             upstream.Kind
		connections      int64 // for two requests
	}{
		{"right", "Content-Length: 4\n\n", "body", "body", 0, 1},
		{"zero", "Content-Length: 0\n\n", "", "", 0, 1},
		{"longer", "Content-Length: 4\n\n", "body and more", "body", 0, 2},
		{"longer than zero", "Content-Length: 0\n\n", "more", "", 0, 2},
		{"much longer", "Content-Length: 4\n\n", "body" + strings.Repeat("x", 1<<20), "body", 0, 2},
		{"shorter", "Content-Length: 40\n\n", "body", "", upstream.BadResponse, 2},
		{"missing", "Content-Length: 40\n\n", "", "", upstream.BadResponse, 2},
	}
	for _, tt := range tests {
		b := startBackend(t, answering(stdout(tt.head+tt.body), end(0)))
		c := b.client(t)
		for range 2 {
			resp, body, err := fetch(guard(t), c, get())
			if resp != nil && tt.kind != 0 {
				t.Error("got a head although it was known that the body is missing")
			}
			if body != tt.want || upstream.KindOf(err) != tt.kind {
				t.Errorf("%s: got %.50q, %v", tt.name, body, err)
			}
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: got %v, not an unexpected EOF", tt.name, err)
			}
		}
		if n := b.accepted.Load(); n != tt.connections {
			t.Errorf("%s: %d connections, want %d", tt.name, n, tt.connections)
		}
	}
}

// The body is passed on as it comes, not at the end.
func TestStreaming(t *testing.T) {
	next := make(chan struct{})
	b := startBackend(t, func(p *peer) {
		if _, err := p.request(); err != nil {
			return
		}
		p.send(stdout("A: 1\n\n"))
		for range 5 {
			<-next
			p.send(stdout("event"))
		}
		<-next
		p.send(end(0))
	})
	resp, err := b.client(t).Do(guard(t), get(), nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	for range 5 {
		next <- struct{}{}
		if n, err := resp.Body.Read(buf); err != nil || string(buf[:n]) != "event" {
			t.Fatalf("got %q, %v", buf[:n], err)
		}
	}
	next <- struct{}{}
	if n, err := resp.Body.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("got %d, %v at the end", n, err)
	}
}

func TestRefusedRequests(t *testing.T) {
	c := NewClient(Config{Config: upstream.Config{Network: "unix", Address: "/nowhere"}})
	_, err := c.Do(guard(t), &Request{Role: gofast.RoleFilter}, nil)
	wantError(t, err, "send", upstream.BadRequest)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Do(ctx, get(), nil)
	if e := wantError(t, err, "wait", upstream.Canceled); e.Sent || !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v", e)
	}
}

func TestFromGofast(t *testing.T) {
	r := gofast.NewRequest(nil)
	r.Params = map[string]string{"C": "3", "A": "1", "B": "2", "Z": "26", "CONTENT_LENGTH": "5"}
	r.Stdin = io.NopCloser(strings.NewReader("12345"))
	got := FromGofast(r, []string{"Z", "missing", "B", "Z"})
	want := []Param{{"Z", "26"}, {"B", "2"}, {"A", "1"}, {"C", "3"}, {"CONTENT_LENGTH", "5"}}
	if !slices.Equal(got.Params, want) || got.StdinLength != 5 || got.Role != gofast.RoleResponder || got.Stdin == nil {
		t.Errorf("got %+v", got)
	}
	r.Params["CONTENT_LENGTH"] = "0"
	if got := FromGofast(r, nil); got.Stdin != nil {
		t.Errorf("a body of length 0 was kept")
	}
	r.Stdin = http.NoBody
	delete(r.Params, "CONTENT_LENGTH")
	if got := FromGofast(r, nil); got.Stdin != nil {
		t.Errorf("http.NoBody was kept")
	}
}
