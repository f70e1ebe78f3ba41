package http1_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"luaserve/runtime"
	"luaserve/server/http1"
)

// serveFunc serves a function on a listener.
func serveFunc(t *testing.T, l net.Listener, cfg http1.Config, handle func(runtime.Exchange) *runtime.Reply) string {
	t.Helper()
	cfg.Handle, cfg.Log = handle, slog.New(slog.DiscardHandler)
	srv := http1.New(cfg)
	go acceptAll(l, srv)
	t.Cleanup(func() { l.Close(); srv.Close() })
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

func stream(r io.Reader, length int64) *runtime.Reply {
	return runtime.NewReply(http.StatusOK, length, io.NopCloser(r))
}

// When the Reply is closed nobody waits for the request body any more, and nobody can read
// it: not after a good answer, and not after one that failed.
func TestBodyIsStoppedBeforeTheReplyCloses(t *testing.T) {
	failing := func() io.Reader {
		return io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("the backend died")))
	}
	for name, body := range map[string]func() io.Reader{"good": func() io.Reader { return strings.NewReader("ok") }, "cut": failing} {
		for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			late := make(chan error, 1)
			addr := serveFunc(t, listen(t), http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
				in := ex.Body()
				reading := make(chan struct{})
				go func() { // an upload
					close(reading)
					for buf := make([]byte, 100); ; {
						if _, err := in.Read(buf); err != nil {
							return
						}
					}
				}()
				<-reading
				time.Sleep(20 * time.Millisecond)
				reply := stream(body(), -1)
				reply.OnClose(func() {
					_, err := in.Read(make([]byte, 10))
					late <- err
				})
				return reply
			})
			c := dial(t, addr)
			io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\n"+framing+"\r\n\r\n3\r\nabc\r\n")
			select {
			case err := <-late:
				if err == nil {
					t.Errorf("%s, %s: a late Read gets something", name, framing)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("%s, %s: the Reply closes while the body is still read", name, framing)
			}
			c.Close()
		}
	}
}

// Uploads that outlive their requests, and panics, leave the pooled connections alone.
func TestUploadsOutliveConnections(t *testing.T) {
	var uploads atomic.Int64 // no WaitGroup: the race detector cannot see that a client was answered before
	addr := serveFunc(t, listen(t), http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		if in := ex.Body(); in != nil {
			ex.Context()
			uploads.Add(1)
			go func() {
				defer uploads.Add(-1)
				for buf := make([]byte, 1000); ; {
					if _, err := in.Read(buf); err != nil {
						break
					}
				}
				in.Read(make([]byte, 1))
			}()
		}
		switch ex.Target() {
		case "/panic":
			panic("for the test")
		case "/cut":
			return stream(iotest.ErrReader(errors.New("the backend died")), -1)
		}
		return stream(strings.NewReader("ok"), 2)
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 30 {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(time.Minute))
				if i%2 == 0 {
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
					if got, err := io.ReadAll(c); !strings.HasSuffix(string(got), "ok") {
						t.Errorf("got %q, %v", got, err)
					}
				} else {
					target := []string{"/", "/cut", "/panic"}[j%3]
					io.WriteString(c, "POST "+target+" HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("u", 50000))
					bufio.NewReader(c).ReadString('\n')
				}
				c.Close()
			}
		})
	}
	wg.Wait()
	for end := time.Now().Add(20 * time.Second); uploads.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d uploads are still read", uploads.Load())
		}
	}
}

// What nobody read of a body is skipped, also when a reader was interrupted.
func TestUnreadBodyIsDrained(t *testing.T) {
	for name, upload := range map[string]bool{"unread": false, "interrupted": true} {
		addr := serveFunc(t, listen(t), http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
			if in := ex.Body(); in != nil && upload {
				go io.Copy(io.Discard, in)
				time.Sleep(20 * time.Millisecond)
			}
			return stream(strings.NewReader(ex.Target()), int64(len(ex.Target())))
		})
		c := dial(t, addr)
		r := bufio.NewReader(c)
		io.WriteString(c, "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n"+strings.Repeat("u", 20000))
		for _, want := range []string{"/1", "/2"} {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Errorf("%s: %s: %v", name, want, err)
				break
			}
			if got, _ := io.ReadAll(resp.Body); string(got) != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
			io.WriteString(c, strings.Repeat("u", 30000)+"GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		}
	}
}

// 100 Continue is never sent once the answer has begun, and the connection then ends.
func TestNoContinueInsideOfTheAnswer(t *testing.T) {
	addr := serveFunc(t, listen(t), http1.Config{}, func(ex runtime.Exchange) *runtime.Reply {
		return stream(io.MultiReader(strings.NewReader(strings.Repeat("x", 40000)), ex.Body()), -1)
	})
	c := dial(t, addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	time.AfterFunc(50*time.Millisecond, func() { io.WriteString(c, "abc") })
	got, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	if s := string(got); strings.Contains(s, "100 Continue") || !strings.Contains(s, "Connection: close\r\n") || !strings.Contains(s, "abc\r\n") {
		t.Errorf("%q … %q", s[:min(len(s), 200)], s[max(0, len(s)-100):])
	}
}

func TestStatus205HasALength(t *testing.T) {
	addr := serveFunc(t, listen(t), http1.Config{}, func(runtime.Exchange) *runtime.Reply {
		return runtime.NewReply(http.StatusResetContent, 4, io.NopCloser(strings.NewReader("body")))
	})
	got := talk(t, addr, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if strings.Count(got, "HTTP/1.1 205 ") != 2 || strings.Count(got, "Content-Length: 0\r\n") != 2 || strings.Contains(got, "body") {
		t.Errorf("got %q", got)
	}
}

// A client that reads slowly but steadily gets all, from memory and from a file.
func TestSlowReaderIsNotCut(t *testing.T) {
	const size = 16 << 20
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	addr, _ := start(t, fmt.Sprintf(`actions = when(request.path:eq "/file", { docroot %q, static() }, { function(vr)
	  if vr:handle_direct() then vr.resp.status = 200; vr.out:add(("x"):rep(%d)) end
	end })`, dir, size), http1.Config{Limits: limits(func(l *runtime.Limits) { l.WriteTimeout = 3 * time.Second })})
	for _, target := range []string{"/memory", "/file"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			c := dial(t, addr)
			c.(*net.TCPConn).SetReadBuffer(64 << 10)
			io.WriteString(c, "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
			total := 0
			for buf := make([]byte, 256<<10); ; time.Sleep(100 * time.Millisecond) { // in all twice the time limit
				n, err := io.ReadFull(c, buf)
				if total += n; err != nil {
					break
				}
			}
			if total < size {
				t.Errorf("cut after %d bytes of %d", total, size)
			}
		})
	}
}

// Over TLS, too, a cut HTTP/1.0 answer does not end in an orderly way.
func TestIncompleteHTTP10AnswerOverTLSIsReset(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	l := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	addr := serveFunc(t, l, http1.Config{}, func(runtime.Exchange) *runtime.Reply {
		return stream(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("the backend died"))), -1)
	})
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if got, err := io.ReadAll(c); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v; want a reset", got, err)
	}
}

// A request that hides behind "\n\n" in a head with CRLF is not served.
func TestMixedLineEndings(t *testing.T) {
	addr := serveFunc(t, listen(t), http1.Config{}, func(runtime.Exchange) *runtime.Reply { return stream(strings.NewReader("x"), 1) })
	const next = "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\nX: a\n\n" + next,
		"GET / HTTP/1.1\r\nHost: a\r\n\n" + next,
		"GET / HTTP/1.1\r\nHost: a\n\r\n" + next,
		"GET / HTTP/1.1\nHost: a\r\n\r\n" + next,
		"GET / HTTP/1.1\nHost: a\n\r\n" + next,
	} {
		if got := talk(t, addr, head); strings.Count(got, "HTTP/1.") != 1 || !strings.Contains(got, " 400 ") {
			t.Errorf("%q:\n%q", head, got)
		}
	}
	if got := talk(t, addr, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n"); !strings.Contains(got, " 200 ") {
		t.Errorf("a head with LF alone: %q", got)
	}
}

// The page of a refusal does not depend on what another client asked before.
func TestRefusalAfterHEAD(t *testing.T) {
	addr := serveFunc(t, listen(t), http1.Config{}, func(runtime.Exchange) *runtime.Reply { return stream(strings.NewReader("x"), 1) })
	got := talk(t, addr, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /"+strings.Repeat("x", 70000))
	if !strings.Contains(got, " 414 ") || !strings.HasSuffix(strings.TrimSpace(got), "</html>") {
		t.Errorf("%q", got)
	}
}

// A chunked body that ends in the middle is not a complete one, and does not keep the
// server busy for ever.
func TestTruncatedChunkedBody(t *testing.T) {
	for _, read := range []bool{true, false} {
		got := make(chan error, 1)
		done := make(chan struct{})
		srv := http1.New(http1.Config{Log: slog.New(slog.DiscardHandler), Handle: func(ex runtime.Exchange) *runtime.Reply {
			if read {
				_, err := io.Copy(io.Discard, ex.Body())
				got <- err
			}
			return stream(strings.NewReader("ok"), 2)
		}})
		l := listen(t)
		go acceptAll(l, srv)
		c := dial(t, l.Addr().String())
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		c.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c)
		go func() { srv.Shutdown(t.Context()); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("the connection does not end")
		}
		if read {
			if err := <-got; err != io.ErrUnexpectedEOF {
				t.Errorf("the reader gets %v", err)
			}
		}
		srv.Close()
	}
}
