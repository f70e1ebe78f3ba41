package tests

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"luaserve/tests/pki"
)

// The frames that these tests send or look for (RFC 9113, 6).
const (
	frameData         = 0
	frameHeaders      = 1
	frameReset        = 3
	frameSettings     = 4
	frameGoAway       = 7
	frameContinuation = 9

	flagEndStream  = 1
	flagEndHeaders = 4
)

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// rawHTTP2 speaks HTTP/2 as no library would.
type rawHTTP2 struct {
	net.Conn
	t *testing.T
}

// dialHTTP2 opens a connection and sends the preface with empty settings.
func dialHTTP2(t *testing.T, addr string, ca *pki.Certificate) *rawHTTP2 {
	t.Helper()
	cfg := trusting(ca.Pool())
	cfg.ServerName, cfg.NextProtos = "site.example", []string{"h2"}
	c, err := tls.Dial("tcp", addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	r := &rawHTTP2{c, t}
	r.send(frame{kind: frameSettings})
	return r
}

// send writes frames; an error is how a server ends a connection that it has had enough of.
func (c *rawHTTP2) send(frames ...frame) error {
	var b []byte
	for _, f := range frames {
		b = append(b, byte(len(f.payload)>>16), byte(len(f.payload)>>8), byte(len(f.payload)), f.kind, f.flags)
		b = binary.BigEndian.AppendUint32(b, f.stream)
		b = append(b, f.payload...)
	}
	_, err := c.Write(b)
	return err
}

func (c *rawHTTP2) read() (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[3], flags: head[4], stream: binary.BigEndian.Uint32(head[5:])}
	f.payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err := io.ReadFull(c, f.payload)
	return f, err
}

// await reads until a frame of a kind comes.
func (c *rawHTTP2) await(kind byte) frame {
	c.t.Helper()
	for {
		f, err := c.read()
		if err != nil {
			c.t.Fatalf("waiting for a frame of type %d: %v", kind, err)
		}
		if f.kind == kind {
			return f
		}
	}
}

// get is a request without a body; fields are literal, and header compression is not used.
func get(stream uint32, path string, fields ...string) frame {
	block := []byte{0x82, 0x87} // :method GET, :scheme https, of the static table
	block = appendLiteral(block, ":path", path)
	block = appendLiteral(block, ":authority", "site.example")
	for i := 0; i < len(fields); i += 2 {
		block = appendLiteral(block, fields[i], fields[i+1])
	}
	return frame{frameHeaders, flagEndStream | flagEndHeaders, stream, block}
}

// appendLiteral appends a field that is not to be indexed (RFC 7541, 6.2.2).
func appendLiteral(block []byte, name, value string) []byte {
	block = append(block, 0)
	for _, s := range []string{name, value} {
		n := len(s)
		if n < 127 {
			block = append(block, byte(n))
		} else {
			block = append(block, 127)
			for n -= 127; n >= 128; n >>= 7 {
				block = append(block, byte(n)|0x80)
			}
			block = append(block, byte(n))
		}
		block = append(block, s...)
	}
	return block
}

// startHTTP2 serves a script on $A; $WAIT is a backend that never answers.
func startHTTP2(t *testing.T, actions string) (r *running, ca *pki.Certificate, script string, waiting <-chan net.Conn) {
	t.Helper()
	dir := t.TempDir()
	ca = pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	conns := make(chan net.Conn, 10_000)
	go func() {
		for {
			c, err := backend.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	script = strings.NewReplacer("$WAIT", backend.Addr().String()).Replace(
		fmt.Sprintf("setup.openssl { listen = \"$A\", pemfile = \"%s/site.pem\" }\n", dir) + actions)
	return run(t, script), ca, script, conns
}

const quickAndSlow = `
	actions = {
		when(request.path:eq "/slow", proxy "$WAIT"),
		function(vr) if vr:handle_direct() then vr.resp.status = 200; vr.out:add("ok") end end,
	}`

// Ten thousand requests that are cancelled at once neither stop the server nor stay in it,
// and other clients are served meanwhile.
func TestRapidReset(t *testing.T) {
	r, ca, _, _ := startHTTP2(t, quickAndSlow)
	other := tlsClient(t, r.addr(0), trusting(ca.Pool()), true)
	mustFetch(t, other, "https://site.example/")
	before := goruntime.NumGoroutine()
	for _, path := range []string{"/", "/slow"} {
		c := dialHTTP2(t, r.addr(0), ca)
		go io.Copy(io.Discard, c)
		for i := range uint32(10_000) {
			cancel := frame{frameReset, 0, 2*i + 1, []byte{0, 0, 0, 8}}
			if err := c.send(get(2*i+1, path), cancel); err != nil {
				break // the server has had enough
			}
			if i%1000 == 0 {
				mustFetch(t, other, "https://site.example/")
			}
		}
		c.Close()
	}
	mustFetch(t, other, "https://site.example/")
	waitFor(t, "the end of the cancelled requests", func() bool { return goruntime.NumGoroutine() <= before+5 })
}

// A header without an end is cut off, and so is one that is too large.
func TestContinuationFlood(t *testing.T) {
	r, ca, _, _ := startHTTP2(t, quickAndSlow)
	other := tlsClient(t, r.addr(0), trusting(ca.Pool()), true)
	c := dialHTTP2(t, r.addr(0), ca)
	go io.Copy(io.Discard, c)
	begin := get(1, "/")
	begin.flags = flagEndStream
	piece := frame{kind: frameContinuation, stream: 1}
	for range 100 {
		piece.payload = appendLiteral(piece.payload, "x-field", strings.Repeat("y", 100))
	}
	const enough = 10_000 // frames, of 11 KB each
	err := c.send(begin)
	sent := 0
	for ; err == nil && sent < enough; sent++ {
		err = c.send(piece)
		if sent%100 == 0 {
			mustFetch(t, other, "https://site.example/")
		}
	}
	if err == nil {
		t.Errorf("the server took %d frames of one header", sent)
	}
	mustFetch(t, other, "https://site.example/")
}

func TestLargeHTTP2Header(t *testing.T) {
	r, ca, _, _ := startHTTP2(t, quickAndSlow)
	c := dialHTTP2(t, r.addr(0), ca)
	// just beyond the limit; far beyond it the connection ends
	large := get(1, "/", "x-field", strings.Repeat("y", 16_000)).payload
	frames := []frame{{kind: frameHeaders, flags: flagEndStream, stream: 1, payload: large}}
	for _, size := range []int{16_000, 16_000, 16_000, 2_000} {
		frames = append(frames, frame{kind: frameContinuation, stream: 1, payload: appendLiteral(nil, "x-field", strings.Repeat("y", size))})
	}
	frames[len(frames)-1].flags = flagEndHeaders
	if err := c.send(frames...); err != nil {
		t.Fatal(err)
	}
	// the status comes as a literal: name of the static table (8), 3 characters
	if f := c.await(frameHeaders); !strings.Contains(string(f.payload), "431") && !strings.Contains(string(f.payload), "\x48\x82\x68\x5f") {
		t.Errorf("the answer begins with %q", f.payload)
	}
	mustFetch(t, tlsClient(t, r.addr(0), trusting(ca.Pool()), true), "https://site.example/")
}

// A request that names two hosts is not routed by one of them.
func TestTwoHosts(t *testing.T) {
	r, ca, _, _ := startHTTP2(t, `actions = function(vr)
		vr:handle_direct(); vr.resp.status = 200; vr.out:add(vr.req.headers["Host"]) end`)
	for _, c := range []struct {
		fields []string
		status byte // index in the static table of header compression
	}{
		{nil, 0x88},
		{[]string{"host", "site.example"}, 0x88},
		{[]string{"host", "other.example"}, 0x8c}, // 400
	} {
		conn := dialHTTP2(t, r.addr(0), ca)
		if err := conn.send(get(1, "/", c.fields...)); err != nil {
			t.Fatal(err)
		}
		if f := conn.await(frameHeaders); f.payload[0] != c.status {
			t.Errorf("%q: the answer begins with %x, want %x", c.fields, f.payload[0], c.status)
		}
		if body := conn.await(frameData); c.status == 0x88 && string(body.payload) != "site.example" {
			t.Errorf("%q: the script saw the hosts %q", c.fields, body.payload)
		}
	}
}

// A panic in front of the pipeline, or a client that breaks the protocol, ends one
// connection.
func TestBrokenHTTP2(t *testing.T) {
	r, ca, _, _ := startHTTP2(t, quickAndSlow)
	c := dialHTTP2(t, r.addr(0), ca)
	c.send(frame{kind: frameData, stream: 7, payload: []byte("to no stream")})
	if f := c.await(frameGoAway); binary.BigEndian.Uint32(f.payload[4:]) == 0 {
		t.Error("the server says goodbye without an error")
	}
	mustFetch(t, tlsClient(t, r.addr(0), trusting(ca.Pool()), true), "https://site.example/")
}

// At the end and at a reload clients are told (GOAWAY), requests on their way end, and
// connections without any are closed.
func TestGoAway(t *testing.T) {
	for name, end := range map[string]func(r *running, script string){
		"stop":   func(r *running, _ string) { go r.stop() },
		"reload": func(r *running, script string) { r.reload(script) },
	} {
		t.Run(name, func(t *testing.T) {
			r, ca, script, waiting := startHTTP2(t, quickAndSlow)
			busy, idle := dialHTTP2(t, r.addr(0), ca), dialHTTP2(t, r.addr(0), ca)
			if err := idle.send(get(1, "/")); err != nil {
				t.Fatal(err)
			}
			idle.await(frameData)
			if err := busy.send(get(1, "/slow")); err != nil {
				t.Fatal(err)
			}
			backend := <-waiting
			end(r, script)
			for _, c := range []*rawHTTP2{busy, idle} {
				if f := c.await(frameGoAway); binary.BigEndian.Uint32(f.payload[4:]) != 0 {
					t.Errorf("the error code is %x", f.payload[4:])
				}
			}
			if _, err := idle.read(); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the idle connection goes on: %v", err)
			}
			io.WriteString(backend, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")
			if f := busy.await(frameData); string(f.payload) != "whole" {
				t.Errorf("the request on its way got %q", f.payload)
			}
			backend.Close()
		})
	}
}

// No request of a client that knows HTTP/2 is lost in a reload, though each has it connect anew.
func TestHTTP2ReloadUnderLoad(t *testing.T) {
	r, ca, script, _ := startHTTP2(t, quickAndSlow)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var answers atomic.Int64
	for range 4 {
		client := tlsClient(t, r.addr(0), trusting(ca.Pool()), true)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if body, resp, err := fetch(client, "https://site.example/"); err != nil || resp.StatusCode != http.StatusOK || body != "ok" {
					t.Errorf("a request was lost: %v, %v, %q", err, resp, body)
					return
				}
				answers.Add(1)
			}
		})
	}
	for i := range 20 {
		waitFor(t, "an answer", func() bool { return answers.Load() > int64(10*i) || t.Failed() })
		r.reload(script)
	}
	close(stop)
	clients.Wait()
}

// keepalive.requests counts over HTTP/2 as well; an error of one request does not end the others.
func TestHTTP2ConnectionOptions(t *testing.T) {
	r, ca, _, _ := startHTTP2(t, `actions = {
		when(request.path:eq "/last", { action.keepalive.requests(3) }),
		when(request.path:eq "/fails", function() error("on purpose") end),
		respond "ok" }`)
	c := dialHTTP2(t, r.addr(0), ca)
	for i, path := range []string{"/fails", "/"} {
		c.send(get(uint32(2*i+1), path))
		c.await(frameData) // and no GOAWAY, which would be in front of the third answer's
	}
	c.send(get(5, "/last"))
	if f := c.await(frameGoAway); binary.BigEndian.Uint32(f.payload) != 5 {
		t.Errorf("the last stream is %x", f.payload)
	}
	for f, err := c.read(); ; f, err = c.read() {
		if err != nil {
			t.Fatal(err)
		}
		if f.kind == frameData && f.flags&flagEndStream != 0 {
			break
		}
	}
}
