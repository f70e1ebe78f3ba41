package tests

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// pausing are the protocols over whose kept connections requests wait without a goroutine.
var pausing = []backend.Protocol{backend.FCGI, backend.HTTP}

// Answers over kept connections come at once, in pieces, and after longer than a request is left
// to the loops; the backend half closes or closes behind some. Each client gets its own.
func TestPausedRequests(t *testing.T) {
	for _, protocol := range pausing {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(fmt.Sprint(protocol, " over ", network), func(t *testing.T) {
				t.Parallel()
				address := startPauser(t, protocol, network, func(p *backend.Peer, target string) (more bool) {
					body := strings.Repeat(target, 1+rand.IntN(3))
					length := len(body)
					switch rand.IntN(20) {
					case 0:
						time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond)
					case 1, 2:
						length = -1
					}
					p.Begin(length, "X-Id: "+target)
					if rand.IntN(5) == 0 {
						time.Sleep(time.Duration(rand.IntN(2)*80) * time.Millisecond)
					}
					p.Piece(body)
					return p.End() && rand.IntN(10) > 0
				})
				log := &logBuffer{}
				port := serveScript(t, log, fmt.Sprintf("{ %s %q, header.add(\"X-Behind\", \"%%{req.path}\") }", protocol, address))
				const clients, requests = 24, 60
				var wg sync.WaitGroup
				for i := range clients {
					wg.Go(func() { askInTurn(t, port, fmt.Sprint("/c", i), requests) })
				}
				wg.Wait()
				if lines := noticed(log); len(lines) > 0 {
					t.Errorf("the log: %.500q", lines)
				}
			})
		}
	}
}

// askInTurn asks for names of its own over one connection.
func askInTurn(t *testing.T, port int, name string, requests int) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for i := range requests {
		target := fmt.Sprintf("%sr%d", name, i)
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Errorf("%s: %v", target, err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("X-Id") != target || resp.Header.Get("X-Behind") != target ||
			strings.ReplaceAll(string(body), target, "") != "" || len(body) == 0 {
			t.Errorf("%s: got %s, %v, %.100q, %v", target, resp.Status, resp.Header, body, err)
			return
		}
	}
}

// startPauser starts a backend; answer answers one request and says whether more may follow.
func startPauser(t *testing.T, protocol backend.Protocol, network string, answer func(p *backend.Peer, target string) (more bool)) (address string) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = shortDir(t) + "/s"
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	b := backend.Serve(l, protocol, func(p *backend.Peer) {
		for more := true; more; {
			r, err := p.Receive(io.Discard)
			if err != nil {
				return
			}
			more = answer(p, r.Target)
		}
	})
	t.Cleanup(b.Close)
	if network == "unix" {
		return "unix:" + at
	}
	return l.Addr().String()
}

// fineAnswer answers with a body.
func fineAnswer(p *backend.Peer, body string) (more bool) {
	p.Begin(len(body))
	p.Piece(body)
	return p.End()
}

// What a backend says on a kept connection that nobody has asked for goes to nobody.
func TestAnswersThatNobodyAskedFor(t *testing.T) {
	for _, protocol := range pausing {
		t.Run(string(protocol), func(t *testing.T) {
			said := make(chan bool, 100)
			address := startPauser(t, protocol, "unix", func(p *backend.Peer, target string) bool {
				more := fineAnswer(p, target)
				if target == "/2" { // its connection was kept, so a loop watches it
					time.Sleep(100 * time.Millisecond)
					fineAnswer(p, "unasked")
					said <- true
				}
				return more
			})
			port := serveScript(t, io.Discard, fmt.Sprintf("%s %q", protocol, address))
			c, err := dial(port)
			if err != nil {
				t.Fatal(err)
			}
			defer c.conn.Close()
			for i := range 6 {
				if i == 3 {
					<-said
					time.Sleep(200 * time.Millisecond) // until the loop has heard it, also on a busy machine
				}
				c.send(fmt.Appendf(nil, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
				if a := c.readAnswer("GET"); string(a.body) != fmt.Sprint("/", i) {
					t.Errorf("/%d: got %s, %q", i, a.describe(), a.body)
				}
			}
		})
	}
}

// A backend that hangs on a kept connection is given up after its read timeout, and when the
// client leaves.
func TestPausedRequestsEnd(t *testing.T) {
	for _, protocol := range pausing {
		t.Run(string(protocol), func(t *testing.T) {
			arrived, gone := make(chan bool, 10), make(chan bool, 10)
			address := startPauser(t, protocol, "unix", func(p *backend.Peer, target string) bool {
				if target == "/fine" {
					return fineAnswer(p, "fine")
				}
				arrived <- true
				p.Hang() // until the server closes the connection
				gone <- true
				return false
			})
			for target, seconds := range map[string]float64{"/slow": 1, "/hang": 600} {
				port := serveScript(t, io.Discard, fmt.Sprintf("%s { socket = %q, read_timeout = %g }", protocol, address, seconds))
				c, err := dial(port)
				if err != nil {
					t.Fatal(err)
				}
				defer c.conn.Close()
				ask := func(target string) *answer {
					c.send([]byte("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"))
					return c.readAnswer("GET")
				}
				for range 3 { // so that there is a kept connection that a loop watches
					if a := ask("/fine"); string(a.body) != "fine" {
						t.Fatalf("got %s", a.describe())
					}
				}
				if target == "/slow" {
					if a := ask("/slow"); a.status != 504 {
						t.Errorf("got %s, want 504", a.describe())
					}
				} else {
					c.send([]byte("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n"))
					<-arrived
					c.conn.Close()
				}
				select {
				case <-gone:
				case <-time.After(limit):
					t.Errorf("%s: the connection to the backend stays open", target)
				}
			}
		})
	}
}
