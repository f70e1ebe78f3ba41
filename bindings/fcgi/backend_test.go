package fcgi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings/upstream"
)

// backend is a FastCGI application made of raw records, for answers that no real one gives.
type backend struct {
	network, addr string
	accepted      atomic.Int64
}

// startBackend listens on a unix socket and runs serve for each connection, in a goroutine
// of its own; the connection is closed when serve returns.
func startBackend(t testing.TB, serve func(p *peer)) *backend {
	t.Helper()
	return startOn(t, "unix", socketPath(t), 1<<30, serve)
}

// startOn is startBackend on any network, with a number of workers that each serve one
// connection at a time.
func startOn(t testing.TB, network, addr string, workers int, serve func(p *peer)) *backend {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{network: network, addr: l.Addr().String()}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	})
	slots := make(chan struct{}, min(workers, 1<<16))
	go func() {
		for {
			slots <- struct{}{}
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.accepted.Add(1)
			mu.Lock()
			open[c] = true
			mu.Unlock()
			go func() {
				serve(&peer{Conn: c, r: bufio.NewReader(c)})
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
				<-slots
			}()
		}
	}()
	return b
}

// socketPath returns a path that is short enough for a socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fcgi")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// client returns a client for the backend.
func (b *backend) client(t testing.TB, change ...func(*Config)) *Client {
	t.Helper()
	config := Config{Config: upstream.Config{Network: b.network, Address: b.addr}}
	for _, f := range change {
		f(&config)
	}
	c := NewClient(config)
	t.Cleanup(c.Close)
	return c
}

// peer is the application's end of a connection.
type peer struct {
	net.Conn
	r *bufio.Reader
}

// record reads one record.
func (p *peer) record() (typ byte, content []byte, err error) {
	var h [8]byte
	if _, err := io.ReadFull(p.r, h[:]); err != nil {
		return 0, nil, err
	}
	content = make([]byte, int(binary.BigEndian.Uint16(h[4:])))
	if _, err := io.ReadFull(p.r, content); err != nil {
		return 0, nil, err
	}
	_, err = p.r.Discard(int(h[6]))
	return h[1], content, err
}

// incoming is a request as the application sees it.
type incoming struct {
	role   uint16
	flags  byte
	params []Param
	stdin  []byte
}

func (r *incoming) get(name string) string {
	for _, p := range r.params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// begin reads a request up to the end of its params.
func (p *peer) begin() (*incoming, error) {
	r := &incoming{}
	var params []byte
	for {
		typ, content, err := p.record()
		if err != nil {
			return nil, err
		}
		switch {
		case typ == typeBegin:
			r.role, r.flags = binary.BigEndian.Uint16(content), content[2]
		case typ == typeParams && len(content) > 0:
			params = append(params, content...)
		case typ == typeParams:
			r.params, err = decodeParams(params)
			return r, err
		default:
			return nil, errors.New("record out of place")
		}
	}
}

// request reads a request to the end of stdin.
func (p *peer) request() (*incoming, error) {
	r, err := p.begin()
	if err != nil {
		return nil, err
	}
	for {
		typ, content, err := p.record()
		if err != nil {
			return nil, err
		}
		if typ != typeStdin {
			return nil, errors.New("expected stdin")
		}
		if len(content) == 0 {
			return r, nil
		}
		r.stdin = append(r.stdin, content...)
	}
}

// send writes records in one go.
func (p *peer) send(records ...[]byte) error {
	_, err := p.Write(bytes.Join(records, nil))
	return err
}

// decodeParams takes a params stream apart (FastCGI 3.4).
func decodeParams(b []byte) (params []Param, err error) {
	length := func() int {
		if len(b) > 0 && b[0] < 128 {
			n := int(b[0])
			b = b[1:]
			return n
		}
		if len(b) < 4 {
			err = io.ErrUnexpectedEOF
			return 0
		}
		n := int(binary.BigEndian.Uint32(b) &^ (1 << 31))
		b = b[4:]
		return n
	}
	for len(b) > 0 && err == nil {
		n, v := length(), length()
		if err == nil && len(b) < n+v {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			break
		}
		params = append(params, Param{string(b[:n]), string(b[n : n+v])})
		b = b[n+v:]
	}
	return params, err
}

// rec makes a record; its content must fit one.
func rec(typ byte, content string) []byte {
	return closeRecord(append(openRecord(nil), content...), 0, typ)
}

// stdout makes a stream of records of any length.
func stdout(content string) []byte { return appendStream(nil, []byte(content), typeStdout) }

// end makes END_REQUEST.
func end(status byte) []byte { return rec(typeEnd, "\x00\x00\x00\x00"+string(status)+"\x00\x00\x00") }

// answering returns a serve function that answers each request with the same bytes.
func answering(records ...[]byte) func(*peer) {
	return func(p *peer) {
		for {
			if _, err := p.request(); err != nil {
				return
			}
			if p.send(records...) != nil {
				return
			}
		}
	}
}

// once is answering for one request; then the connection is closed.
func once(records ...[]byte) func(*peer) {
	return func(p *peer) {
		if _, err := p.request(); err == nil {
			p.send(records...)
		}
	}
}

// guard returns a context that ends when a test hangs.
func guard(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// get makes a request without a body.
func get(params ...Param) *Request {
	return &Request{Params: append([]Param{{"REQUEST_METHOD", "GET"}}, params...)}
}

// post makes a request with a body of known length.
func post(body string) *Request {
	return &Request{Params: []Param{{"REQUEST_METHOD", "POST"}}, Stdin: strings.NewReader(body)}
}

// fetch does a request and reads the body. The error is that of Do or of the body.
func fetch(ctx context.Context, c *Client, r *Request) (*Response, string, error) {
	resp, err := c.Do(ctx, r, nil)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// mustFetch is fetch for a request that has to succeed.
func mustFetch(t testing.TB, c *Client, r *Request) (*Response, string) {
	t.Helper()
	resp, body, err := fetch(guard(t), c, r)
	if err != nil {
		t.Fatalf("got error %v", err)
	}
	return resp, body
}

// tryFetch is mustFetch for goroutines beside that of the test.
func tryFetch(t testing.TB, c *Client, r *Request) {
	if _, _, err := fetch(guard(t), c, r); err != nil {
		t.Errorf("got error %v", err)
	}
}

// wantError checks an error's kind and op.
func wantError(t testing.TB, err error, op string, kind upstream.Kind) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *Error", err)
	}
	if e.Op != op || e.Kind != kind {
		t.Fatalf("got %s %v (%v), want %s %v", e.Op, e.Kind, e, op, kind)
	}
	return e
}
