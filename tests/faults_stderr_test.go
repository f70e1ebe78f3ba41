package tests

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// An application writes 100 MB to stderr before it answers. All of it goes to the log as it comes,
// a line a message with the backend's name, and none of it stays in memory.
func TestFloodOfStderr(t *testing.T) {
	lines := 100_000
	if testing.Short() {
		lines = 20_000
	}
	line := strings.Repeat("e", 1023) + "\n"
	l, err := net.Listen("unix", shortDir(t)+"/s")
	if err != nil {
		t.Fatal(err)
	}
	b := backend.Serve(l, backend.FCGI, func(p *backend.Peer) {
		if _, err := p.Receive(io.Discard); err != nil {
			return
		}
		records := backend.Stderr(strings.Repeat(line, 50))
		for range lines / 50 {
			p.Send(records)
		}
		p.Begin(4)
		p.Piece("fine")
		p.End()
	})
	t.Cleanup(b.Close)
	address := "unix:" + l.Addr().String()
	log := &stderrLog{line: []byte("ERROR " + line[:1023] + " backend=" + address + " stream=stderr\n")}
	log.sample()
	before := log.peak
	c, err := dial(serveScript(t, log, `fastcgi "`+address+`"`))
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	c.send([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
	if err := c.more(time.Minute); err != nil {
		t.Fatal(err)
	}
	if a := c.readAnswer("GET"); a.status != 200 || string(a.body) != "fine" {
		t.Errorf("got %s, %.200q", a.describe(), a.body)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	if log.n != lines {
		t.Errorf("%d lines in the log, want %d", log.n, lines)
	}
	if log.peak > before+(8<<20) {
		t.Errorf("the memory in use has grown from %d to %d KB", before>>10, log.peak>>10)
	}
}

// stderrLog counts a line and looks at the memory now and then.
type stderrLog struct {
	line []byte

	mu   sync.Mutex
	n    int
	peak uint64 // of the heap, in bytes
}

func (l *stderrLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Equal(b, l.line) {
		if l.n++; l.n%2000 == 0 {
			l.sample()
		}
	}
	return len(b), nil
}

func (l *stderrLog) sample() {
	runtime.GC() // so that what is left is in use
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	l.peak = max(l.peak, m.HeapAlloc)
}
