package tests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// Backends answer with anything: good answers, good ones that were changed at random, and
// noise, in one piece or many; they close, reset and hang wherever they like. Each client gets
// a whole answer, an error page or a cut answer, in time, and never a word of what another one
// was to get; afterwards the server is as good as new, and holds nothing.
func TestBackendsAnswerAnything(t *testing.T) {
	tries := 800
	if testing.Short() {
		tries = 160
	}
	for _, protocol := range protocols {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(fmt.Sprint(protocol, " over ", network), func(t *testing.T) {
				seed := rand.Uint64()
				a := &anything{t: t, protocol: protocol, seed: seed, asked: map[string]*wish{}}
				log := &logBuffer{}
				port := serveScript(t, log, fmt.Sprintf("%s { socket = %q, read_timeout = 1, send_timeout = 1 }", protocol, a.listen(network)))
				a.ask(port, "GET", false) // so that all that stays is there
				before := runtime.NumGoroutine()
				var wg sync.WaitGroup
				const clients = 16
				for range clients {
					wg.Go(func() {
						for range tries / clients {
							a.ask(port, []string{"GET", "GET", "HEAD", "POST"}[rand.IntN(4)], true)
						}
					})
				}
				wg.Wait()
				a.ask(port, "GET", false)
				if t.Failed() {
					t.Logf("seed %d, whole answers: %d of %d", seed, a.whole, len(a.asked))
				}
				if a.whole == 0 || strings.Contains(log.String(), "panic") {
					t.Errorf("%d whole answers; the log: %.2000s", a.whole, log.String())
				}
				// what may stay is an idle connection or 64, with the backend's goroutine
				for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before+64+8; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
					}
				}
			})
		}
	}
}

// anything is a backend that answers so, and its clients.
type anything struct {
	t        *testing.T
	protocol backend.Protocol
	seed     uint64

	mu    sync.Mutex
	conns uint64
	asked map[string]*wish
	whole int
}

// wish is what a client has asked for.
type wish struct {
	wild    bool // the backend may answer anything
	spoiled bool // it did, here or before on the same connection
	body    string
}

func (a *anything) listen(network string) (address string) {
	at := "127.0.0.1:0"
	if network == "unix" {
		at = shortDir(a.t) + "/s"
	}
	l, err := net.Listen(network, at)
	if err != nil {
		a.t.Fatal(err)
	}
	b := backend.Serve(l, a.protocol, func(p *backend.Peer) {
		a.mu.Lock()
		a.conns++
		random := rand.New(rand.NewPCG(a.seed, a.conns))
		a.mu.Unlock()
		(&wildPeer{a: a, Peer: p, Rand: random, tcp: network == "tcp"}).serve()
	})
	a.t.Cleanup(b.Close)
	if network == "unix" {
		return "unix:" + at
	}
	return l.Addr().String()
}

// wildPeer is one connection of the backend.
type wildPeer struct {
	*backend.Peer
	*rand.Rand
	a       *anything
	tcp     bool
	spoiled bool
}

func (p *wildPeer) serve() {
	for {
		r, err := p.Receive(io.Discard)
		if err != nil {
			return
		}
		id := strings.Trim(r.Target, "/")
		p.a.mu.Lock()
		w := p.a.asked[id]
		if w == nil {
			p.a.mu.Unlock()
			p.a.t.Errorf("the backend got %q", r.Target)
			return
		}
		wild := w.wild && p.IntN(3) > 0
		p.spoiled = p.spoiled || wild
		w.spoiled = w.spoiled || p.spoiled
		p.a.mu.Unlock()
		answer := p.good(id, w.body, r.Method == "HEAD")
		if wild {
			answer = p.change(answer)
		}
		if wild {
			// what is behind the end in another write cannot be told from the next answer
			p.Send(answer)
		} else {
			p.say(answer)
		}
		switch n := p.IntN(10); {
		case n == 0:
			return
		case n == 1 && p.tcp && wild:
			p.Reset()
			return
		case n == 2 && wild && p.IntN(10) == 0:
			p.Hang()
			return
		case p.Protocol == backend.SCGI:
			return
		}
	}
}

// good is the answer that the client wants.
func (p *wildPeer) good(id, body string, isHead bool) string {
	length := p.IntN(2) == 0 || isHead
	head := "Content-Type: text/plain\r\nX-Id: " + id + "\r\n"
	if length {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if isHead {
		body = ""
	}
	if p.Protocol != backend.HTTP {
		text := head + "\r\n" + body
		if p.Protocol == backend.SCGI {
			return text
		}
		var records strings.Builder
		for text != "" {
			n := min(len(text), 1+p.IntN(20_000))
			records.WriteString(backend.Stdout(text[:n]))
			text = text[n:]
			if p.IntN(4) == 0 {
				records.WriteString(backend.Stderr("a word of " + id + "\n"))
			}
		}
		return records.String() + backend.Stdout("") + backend.EndRequest(0)
	}
	head = "HTTP/1.1 200 OK\r\n" + head
	if length {
		return head + "\r\n" + body
	}
	var chunks strings.Builder
	for body != "" {
		n := min(len(body), 1+p.IntN(20_000))
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return head + "Transfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n\r\n"
}

// oddLines are header lines that change what an answer means.
var oddLines = []string{
	"Content-Length: 5", "Content-Length: 999999", "Content-Length: -1", "Content-Length: 18446744073709551616", "Transfer-Encoding: chunked",
	"Transfer-Encoding: gzip, chunked", "Connection: close", "Connection: X-Id, keep-alive", "Status: 204 No", "Status: 304", "Status: 100", "Status: 1",
	"HTTP/1.1 100 Continue\r\n", "no colon", "X : y", "X: \x00", "X: a\rb", " folded", "Trailer: X-Id", "Upgrade: websocket", "Location: /x", "X: " + strings.Repeat("y", 70_000),
}

// change makes something else of an answer.
func (p *wildPeer) change(answer string) string {
	b := []byte(answer)
	at := func() int { return p.IntN(len(b) + 1) }
	if p.IntN(2) == 0 { // most of what counts stands in the beginning
		at = func() int { return p.IntN(min(len(b), 100) + 1) }
	}
	change := p.IntN(8)
	if len(b) > 8<<10 { // what is changed here must not look like the end: then the rest would be the next answer
		change = []int{1, 5, 6}[p.IntN(3)]
	}
	switch change {
	case 0:
		for range 1 + p.IntN(8) {
			if i := at(); i < len(b) {
				b[i] ^= 1 << p.IntN(8)
			}
		}
	case 1:
		b = b[:at()]
	case 2:
		i := at()
		b = append(b[:i:i], b[min(len(b), i+1+p.IntN(50)):]...)
	case 3: // more than a buffer of answers
		b = append(b, bytes.Repeat(b[at():], 1+(40<<10)*p.IntN(2)/len(b))...)
	case 4:
		i := at()
		b = bytes.Join([][]byte{b[:i], p.noise(1 + p.IntN(20)), b[i:]}, nil)
	case 5:
		b = p.noise(p.IntN(100_000))
	case 6:
		line := oddLines[p.IntN(len(oddLines))] + "\r\n"
		if p.Protocol == backend.FCGI {
			b = append([]byte(backend.Stdout(line[:min(len(line), 60_000)])), b...)
		} else {
			_, rest, _ := strings.Cut(answer, "\r\n")
			b = []byte(answer[:len(answer)-len(rest)] + line + rest)
		}
	case 7:
		if p.Protocol == backend.FCGI {
			b = append([]byte(backend.Record(byte(p.IntN(15)), uint16(p.IntN(3)), string(p.noise(p.IntN(30))))), b...)
		} else {
			b = nil
		}
	}
	return string(b)
}

func (p *wildPeer) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.Uint32())
	}
	return b
}

// say sends an answer at once, or in pieces.
func (p *wildPeer) say(answer string) {
	if p.IntN(3) > 0 {
		p.Send(answer)
		return
	}
	for answer != "" {
		n := 1 + p.IntN(len(answer))
		if p.Send(answer[:n]) != nil {
			return
		}
		answer = answer[n:]
		time.Sleep(time.Duration(p.IntN(300)) * time.Microsecond)
	}
}

var anyID = regexp.MustCompile(`id[0-9a-f]{16}`)

// ask makes a request and looks at what comes.
func (a *anything) ask(port int, method string, wild bool) {
	id := fmt.Sprintf("id%016x", rand.Uint64())
	w := &wish{wild: wild, body: strings.Repeat(id+" ", 1+rand.IntN([]int{5, 500, 5000}[rand.IntN(3)]))}
	a.mu.Lock()
	a.asked[id] = w
	a.mu.Unlock()
	begun := time.Now()
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		a.t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(begun.Add(time.Minute))
	upload := ""
	if method == "POST" {
		upload = strings.Repeat("u", rand.IntN(100_000))
	}
	go fmt.Fprintf(c, "%s /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", method, id, len(upload), upload)
	raw := &bytes.Buffer{}
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, raw)), &http.Request{Method: method})
	if err != nil {
		a.t.Errorf("%s %s got no answer but %v behind %.300q", method, id, err, raw)
		return
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		a.t.Errorf("%s %s: %v behind %.300q", method, id, err, raw)
	}
	late := time.Since(begun) > 900*time.Millisecond // the time limits may have struck
	good := err == nil && resp.StatusCode == 200 && resp.Header.Get("X-Id") == id && (method == "HEAD" || string(body) == w.body)
	a.mu.Lock()
	defer a.mu.Unlock()
	if good {
		a.whole++
	} else if !w.spoiled && !late {
		a.t.Errorf("%s %s got a good answer, the client %s, %v, %.300q", method, id, resp.Status, err, raw)
	}
	for _, other := range anyID.FindAllString(raw.String(), -1) {
		if other != id && a.asked[other] != nil {
			a.t.Errorf("%s got an answer to %s: %.300q", id, other, raw)
			break
		}
	}
}
