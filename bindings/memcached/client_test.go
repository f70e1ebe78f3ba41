package memcached

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"luaserve/bindings/upstream"
)

// fake is a server that does what a test says. serve gets each connection, with its number.
func fake(t *testing.T, serve func(n int64, c net.Conn, br *bufio.Reader)) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var count atomic.Int64
	done := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				ended := make(chan struct{})
				all.Go(func() {
					select {
					case <-done:
					case <-ended:
					}
					c.Close()
				})
				defer close(ended)
				serve(count.Add(1), c, bufio.NewReader(c))
			})
		}
	})
	client := NewClient(Config{Network: "tcp", Address: l.Addr().String(), Timeout: time.Minute, Pause: time.Hour})
	t.Cleanup(func() {
		client.Close()
		l.Close()
		close(done)
		all.Wait()
	})
	return client
}

// answering is a server that answers each line with the same.
func answering(t *testing.T, answer string) *Client {
	return fake(t, func(_ int64, c net.Conn, br *bufio.Reader) {
		for {
			if _, err := br.ReadString('\n'); err != nil {
				return
			}
			io.WriteString(c, answer)
		}
	})
}

func TestGetAnswers(t *testing.T) {
	for _, tt := range []struct{ name, answer, value, err string }{
		{"value", "VALUE k 7 5 42\r\nhello\r\nEND\r\n", "hello", ""},
		{"no cas", "VALUE k 7 5\r\nhello\r\nEND\r\n", "hello", ""},
		{"END in it", "VALUE k 0 6 1\r\na\r\nEND\r\nEND\r\n", "a\r\nEND", ""},
		{"binary", "VALUE k 0 7 1\r\nEND\r\n\x00\xff\r\nEND\r\n", "END\r\n\x00\xff", ""},
		{"empty", "VALUE k 0 0 1\r\n\r\nEND\r\n", "", ""},
		{"miss", "END\r\n", "", "not found"},
		{"as large as allowed", "VALUE k 0 10 1\r\n0123456789\r\nEND\r\n", "0123456789", ""},
		{"too large", "VALUE k 0 11 1\r\n01234567890\r\nEND\r\n", "", "the value has 11 bytes, more than 10"},
		{"much too large", "VALUE k 0 9223372036854775807 1\r\n", "", "more than 10"},
		{"larger than a number", "VALUE k 0 9223372036854775808 1\r\n", "", "unexpected line"},
		{"negative length", "VALUE k 0 -1 1\r\n\r\nEND\r\n", "", "unexpected line"},
		{"flags too large", "VALUE k 4294967296 1 1\r\nx\r\nEND\r\n", "", "unexpected line"},
		{"another key", "VALUE other 0 1 1\r\nx\r\nEND\r\n", "", `the answer is for the key "other"`},
		{"two values", "VALUE k 0 1 1\r\nx\r\nVALUE k 0 1 1\r\ny\r\nEND\r\n", "", "unexpected line"},
		{"shorter than announced", "VALUE k 0 5 1\r\nhel\r\nEND\r\n", "", "longer than its length"},
		{"longer than announced", "VALUE k 0 3 1\r\nhello\r\nEND\r\n", "", "longer than its length"},
		{"goes on", "END\r\nEND\r\n", "", "goes on behind its end"},
		{"words missing", "VALUE k 0\r\n", "", "unexpected line"},
		{"no CR", "END\n", "", "ends without CR"},
		{"long line", strings.Repeat("x", 10000) + "\r\n", "", "a line without an end"},
		{"not memcached", "HTTP/1.1 400 Bad Request\r\n", "", `unexpected line "HTTP/1.1 400 Bad Request"`},
		{"error", "ERROR\r\n", "", `the server answered "ERROR"`},
		{"server error", "SERVER_ERROR out of memory\r\n", "", `"SERVER_ERROR out of memory"`},
		{"a word like an error", "ERRORS\r\n", "", "unexpected line"},
	} {
		item, err := answering(t, tt.answer).Get("k", 10)
		switch {
		case tt.err == "" && (err != nil || string(item.Value) != tt.value):
			t.Errorf("%s: got %v, %v", tt.name, item, err)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.err)
		}
		if tt.name == "value" && (item.Flags != 7 || item.CAS != 42) {
			t.Errorf("%s: got %+v", tt.name, item)
		}
	}
}

func TestSetAnswers(t *testing.T) {
	for answer, want := range map[string]string{
		"STORED\r\n": "", "NOT_STORED\r\n": "not stored", "EXISTS\r\n": "changed by somebody else", "NOT_FOUND\r\n": "not found",
		"SERVER_ERROR object too large for cache\r\n": "object too large", "END\r\n": "unexpected line", "": "no progress",
	} {
		c := fake(t, func(_ int64, c net.Conn, br *bufio.Reader) {
			br.ReadString('\n')
			br.ReadString('\n')
			io.WriteString(c, answer)
			br.ReadByte() // until the client closes
		})
		if answer == "" {
			c.config.Timeout = 100 * time.Millisecond
		}
		if err := c.Set("k", 0, 0, []byte("v")); err == nil && want != "" || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", answer, err, want)
		}
	}
}

// What is cut anywhere is an error, never a shorter value.
func TestTruncated(t *testing.T) {
	const whole = "VALUE k 0 5 1\r\nhello\r\nEND\r\n"
	for n := range len(whole) {
		c := fake(t, func(_ int64, c net.Conn, br *bufio.Reader) {
			br.ReadString('\n')
			io.WriteString(c, whole[:n])
		})
		item, err := c.Get("k", 100)
		if !errors.Is(err, io.ErrUnexpectedEOF) || upstream.KindOf(err) != upstream.BadResponse {
			t.Errorf("%d bytes: got %v, %v", n, item, err)
		}
	}
}

// A server that sends, but never comes to an end, is given up within the timeout.
func TestSlow(t *testing.T) {
	for name, drip := range map[string]string{"values": "VALUE k 0 1000000 1\r\n", "nothing": ""} {
		c := fake(t, func(_ int64, c net.Conn, br *bufio.Reader) {
			br.ReadString('\n')
			for {
				if _, err := io.WriteString(c, drip); err != nil {
					return
				}
				drip = "x"
				if name == "nothing" {
					br.ReadByte() // until the client closes
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		c.config.Timeout = 200 * time.Millisecond
		if _, err := c.Get("k", 1<<30); upstream.KindOf(err) != upstream.Timeout {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A server that cannot be reached is asked once a pause.
func TestPause(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	c := NewClient(Config{Network: "unix", Address: socket, Timeout: time.Minute, Pause: time.Hour})
	if _, err := c.Get("k", 1); upstream.KindOf(err) != upstream.Unavailable {
		t.Errorf("first: %v", err)
	}
	for range 3 {
		if _, err := c.Get("k", 1); err != ErrPaused {
			t.Errorf("then: %v", err)
		}
		if err := c.Set("k", 0, 0, nil); err != ErrPaused {
			t.Errorf("then: %v", err)
		}
	}
	c.retryAt.Store(1) // the hour is over
	var failed, paused atomic.Int64
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := c.Get("k", 1); err == ErrPaused {
				paused.Add(1)
			} else if err != nil {
				failed.Add(1)
			}
		})
	}
	all.Wait()
	if failed.Load() != 1 || paused.Load() != 19 {
		t.Errorf("after the pause: %d tried, %d did not", failed.Load(), paused.Load())
	}
	c.retryAt.Store(1)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if nc, err := l.Accept(); err == nil {
			io.WriteString(nc, "END\r\n")
		}
	}()
	if _, err := c.Get("k", 1); err != ErrNotFound || c.retryAt.Load() != 0 {
		t.Errorf("when the server is back: %v", err)
	}
}

// One item that is refused or too large says nothing about the others.
func TestNoPauseForOneItem(t *testing.T) {
	for _, answer := range []string{"SERVER_ERROR out of memory\r\n", "VALUE k 0 11 1\r\n"} {
		c := answering(t, answer)
		for range 2 {
			if _, err := c.Get("k", 10); err == nil || err == ErrPaused {
				t.Errorf("%q: got %v", answer, err)
			}
		}
	}
}

// Connections are used again; what the server closed meanwhile, also without a word after it
// took the command, is made good for on a new one.
func TestReuse(t *testing.T) {
	var most atomic.Int64
	c := fake(t, func(n int64, c net.Conn, br *bufio.Reader) {
		most.Store(n)
		for i := int64(1); ; i++ {
			if _, err := br.ReadString('\n'); err != nil || i > 3 {
				return
			}
			io.WriteString(c, "END\r\n")
		}
	})
	for i := range 12 {
		if _, err := c.Get("k", 10); err != ErrNotFound {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := most.Load(); n != 4 {
		t.Errorf("%d connections, want 4", n)
	}
	if c.pool.Len() != 1 {
		t.Errorf("%d idle connections", c.pool.Len())
	}
	c.Close()
	if c.pool.Len() != 0 {
		t.Error("a connection is idle after Close")
	}
}

// The server gets what the protocol asks for, however odd the key.
func TestCommands(t *testing.T) {
	got := make(chan string, 10)
	c := fake(t, func(_ int64, c net.Conn, br *bufio.Reader) {
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			got <- line
			var key string
			var flags, ttl, n int
			if _, err := fmt.Sscanf(line, "set %s %d %d %d\r\n", &key, &flags, &ttl, &n); err == nil {
				value := make([]byte, n+2)
				io.ReadFull(br, value)
				got <- string(value)
				io.WriteString(c, "STORED\r\n")
			} else {
				io.WriteString(c, "END\r\n")
			}
		}
	})
	c.Get("/path?a=b", 1)
	c.Get("a b\r\nset x 0 0 1", 1)
	if err := c.Set("", 4294967295, 30, []byte("a\r\nb")); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"gets /path?a=b\r\n", "gets 44e7981aef1750adec62f47788ce542fa9923f78\r\n",
		"set da39a3ee5e6b4b0d3255bfef95601890afd80709 4294967295 30 4\r\n", "a\r\nb\r\n"} {
		if line := <-got; line != want {
			t.Errorf("got %q, want %q", line, want)
		}
	}
}

func TestKey(t *testing.T) {
	for in, want := range map[string]string{
		"/index.html":            "/index.html",
		"!~":                     "!~",
		strings.Repeat("k", 250): strings.Repeat("k", 250),
		strings.Repeat("k", 251): "", "a b": "", "a\x7f": "", "a\n": "", "\x00": "", "ä": "", "": "",
	} {
		got := Key(in)
		if want == "" {
			if len(got) != 40 || strings.Trim(got, "0123456789abcdef") != "" || got == Key(in+"x") {
				t.Errorf("Key(%q) = %q", in, got)
			}
		} else if got != want {
			t.Errorf("Key(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Key("hello world"); got != "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed" {
		t.Errorf("not the SHA-1: %s", got)
	}
}

func TestExpiry(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for ttl, want := range map[int64]int64{0: 0, 1: 1, 2592000: 2592000, 2592001: 1802592001, 1 << 62: 1<<31 - 1} {
		if got := expiry(ttl, now); got != want {
			t.Errorf("expiry(%d) = %d, want %d", ttl, got, want)
		}
	}
}

func TestConcurrent(t *testing.T) {
	c := fake(t, func(_ int64, c net.Conn, br *bufio.Reader) {
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			key := strings.TrimSpace(strings.TrimPrefix(line, "gets "))
			fmt.Fprintf(c, "VALUE %s 0 %d 1\r\n%s\r\nEND\r\n", key, len(key), key)
		}
	})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 50 {
				key := fmt.Sprint(i, "-", j)
				if item, err := c.Get(key, 100); err != nil || string(item.Value) != Key(key) {
					t.Errorf("%s: %v, %v", key, item, err)
				}
			}
		})
	}
	all.Wait()
}
