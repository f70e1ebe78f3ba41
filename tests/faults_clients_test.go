package tests

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// Clients go away in the head, in the upload, while they wait and in the download. The others get
// their own answers and no others, the backends see no upload that is not whole, and the log
// blames no backend.
func TestClientsGoAway(t *testing.T) {
	tries := 10_000
	if testing.Short() {
		tries = 1000
	}
	const clients = 16
	for _, protocol := range protocols {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			echo := startEcho(t, protocol, true)
			log := &logBuffer{}
			port := serveScript(t, log, fmt.Sprintf("%s %q", protocol, echo.address))
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					p := &visitor{t: t, port: port, name: fmt.Sprint(protocol, i)}
					for range tries / clients / len(protocols) {
						p.visit()
					}
					p.close()
				})
			}
			wg.Wait()
			for line := range strings.Lines(log.String()) {
				if strings.HasPrefix(line, "ERROR ") {
					t.Errorf("the log blames somebody: %.500s", line)
					break
				}
			}
		})
	}
}

// The backend closes its connections behind each answer, without a word, as php-fpm does with
// pm.max_requests = 1: 64 clients see nothing of that, and nothing is posted twice.
func TestBackendClosesBehindEachAnswer(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			echo := startEcho(t, protocol, false)
			port := serveScript(t, io.Discard, fmt.Sprintf("%s %q", protocol, echo.address))
			const clients, rounds = 64, 10
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					v := &visitor{t: t, port: port, name: fmt.Sprint(protocol, i)}
					for range rounds {
						v.get()
						v.post(false)
						v.post(true)
					}
					v.close()
				})
			}
			wg.Wait()
			if n := len(echo.posted); n != clients*rounds*2 {
				t.Errorf("%d different uploads arrived", n)
			}
			for id, n := range echo.posted {
				if n != 1 {
					t.Errorf("%s was posted %d times", id, n)
				}
			}
		})
	}
}

// payload is the body that goes with an id.
func payload(id string, times int) string { return strings.Repeat(id+" ", times) }

// echo is a backend that answers /ID/N with ID in X-Id and N times ID in the body, and wants the
// same of an upload.
type echo struct {
	t       *testing.T
	address string
	keeps   bool // connections

	mu     sync.Mutex
	posted map[string]int
}

func startEcho(t *testing.T, protocol backend.Protocol, keeps bool) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{t: t, address: l.Addr().String(), keeps: keeps, posted: map[string]int{}}
	b := backend.Serve(l, protocol, e.serve)
	t.Cleanup(b.Close)
	return e
}

func (e *echo) serve(p *backend.Peer) {
	for more := true; more; {
		var body bytes.Buffer
		r, err := p.Receive(&body)
		if err != nil {
			return
		}
		parts := strings.Split(r.Target, "/")
		id := parts[1]
		times, err := strconv.Atoi(parts[2])
		if err != nil {
			e.t.Errorf("the backend got %q", r.Target)
			return
		}
		want := payload(id, times)
		if r.Method == "POST" {
			if body.String() != want {
				e.t.Errorf("the backend got %d bytes with %s, want %d", body.Len(), r.Target, len(want))
			}
			e.mu.Lock()
			e.posted[id]++
			e.mu.Unlock()
		}
		if rand.IntN(4) == 0 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
		length := -1
		if rand.IntN(2) == 0 {
			length = len(want)
		}
		p.Begin(length, "X-Id: "+id)
		half := rand.IntN(len(want))
		p.Piece(want[:half])
		if rand.IntN(4) == 0 {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
		p.Piece(want[half:])
		more = p.End() && e.keeps
	}
}

// visitor is a client with one connection that it keeps, and many that it leaves.
type visitor struct {
	t     *testing.T
	port  int
	name  string
	count int
	conn  net.Conn
	r     *bufio.Reader
}

// visit makes a request and goes away in half of the tries.
func (v *visitor) visit() {
	switch rand.IntN(8) {
	case 0:
		id, times := v.next()
		request := fmt.Sprintf("GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", id, times)
		v.leave(request[:rand.IntN(len(request))])
	case 1:
		id, times := v.next()
		v.leave(fmt.Sprintf("GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", id, times))
	case 2:
		id, times := v.next()
		body := payload(id, times)
		v.leave(fmt.Sprintf("POST /%s/%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", id, times, len(body)) + body[:rand.IntN(len(body))])
	case 3:
		v.leaveDownload()
	case 4:
		v.post(false)
	case 5:
		v.post(true)
	default:
		v.get()
	}
}

// next makes an id that nobody else has, and how often it is in the body.
func (v *visitor) next() (id string, times int) {
	v.count++
	return fmt.Sprintf("%sx%d", v.name, v.count), 1 + rand.IntN([]int{10, 1000, 10_000}[rand.IntN(3)])
}

func (v *visitor) dial() (net.Conn, bool) {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", v.port))
	if err != nil {
		v.t.Error(err)
		return nil, false
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	return c, true
}

// leave sends something and goes away.
func (v *visitor) leave(sent string) {
	if c, ok := v.dial(); ok {
		io.WriteString(c, sent)
		time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond)
		c.Close()
	}
}

// leaveDownload goes away when a part of the answer is there.
func (v *visitor) leaveDownload() {
	c, ok := v.dial()
	if !ok {
		return
	}
	defer c.Close()
	id, times := v.next()
	fmt.Fprintf(c, "GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", id, times)
	want := payload(id, times)
	v.check(bufio.NewReader(c), id, want[:rand.IntN(len(want))])
}

func (v *visitor) get() {
	id, times := v.next()
	v.ask(fmt.Sprintf("GET /%s/%d HTTP/1.1\r\nHost: a\r\n\r\n", id, times), id, times)
}

func (v *visitor) post(chunked bool) {
	id, times := v.next()
	body := payload(id, times)
	framing := fmt.Sprintf("Content-Length: %d", len(body))
	if chunked {
		framing = "Transfer-Encoding: chunked"
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	v.ask(fmt.Sprintf("POST /%s/%d HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n%s", id, times, framing, body), id, times)
}

// ask makes a request over the connection that is kept.
func (v *visitor) ask(request, id string, times int) {
	if v.conn == nil {
		c, ok := v.dial()
		if !ok {
			return
		}
		v.conn, v.r = c, bufio.NewReader(c)
	}
	v.conn.SetDeadline(time.Now().Add(time.Minute)) // for one request: the connection may live for longer
	if _, err := io.WriteString(v.conn, request); err != nil {
		v.t.Errorf("%s: %v", id, err)
	}
	v.check(v.r, id, payload(id, times))
}

// check reads an answer that begins like want, to its end if want is all of it.
func (v *visitor) check(r *bufio.Reader, id, want string) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		v.t.Errorf("%s: %v", id, err)
		return
	}
	got := make([]byte, len(want))
	_, err = io.ReadFull(resp.Body, got)
	if resp.StatusCode != 200 || resp.Header.Get("X-Id") != id || err != nil || string(got) != want {
		v.t.Errorf("%s: got %s of %s, %.100q, %v", id, resp.Status, resp.Header.Get("X-Id"), got, err)
		return
	}
	if r == v.r {
		if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
			v.t.Errorf("%s: %d bytes too many, %v", id, len(rest), err)
		}
	}
}

func (v *visitor) close() {
	if v.conn != nil {
		v.conn.Close()
	}
}
