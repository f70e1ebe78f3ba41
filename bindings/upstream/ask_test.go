//go:build unix

package upstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pair returns the two ends of a connection over a unix socket or TCP; near has a generous
// limit for everything.
func pair(t testing.TB, network string) (near *client, far net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		far.Close()
	})
	near = &client{NewConn(nc), far}
	near.Late = func(waited time.Duration) time.Duration { return max(time.Minute-waited, 0) }
	near.SendTimeout = time.Minute
	return near, far
}

// echo answers each read with what was read.
func echo(c net.Conn) { io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

// awaitNews waits until something, or the end, has come, which takes a moment over TCP.
func awaitNews(c *client) {
	c.raw.Read(func(fd uintptr) (done bool) {
		_, err := retry(func() (int, error) {
			n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
			return n, err
		})
		return err != syscall.EAGAIN
	})
}

// A connection that the backend closed, or on which it spoke unasked, gets no request.
func TestAskStale(t *testing.T) {
	for _, tt := range []struct {
		name  string
		do    func(far net.Conn)
		stale bool
	}{
		{"quiet", func(net.Conn) {}, false},
		{"closed", func(far net.Conn) { far.Close() }, true},
		{"half closed", func(far net.Conn) { far.(interface{ CloseWrite() error }).CloseWrite() }, true},
		{"unasked answer", func(far net.Conn) { far.Write([]byte("x")) }, true},
	} {
		for _, network := range []string{"unix", "tcp"} {
			near, far := pair(t, network)
			near.Reused = true
			tt.do(far)
			if tt.stale {
				awaitNews(near)
			}
			go echo(far)
			a := near.Ask([]byte("hello"), make([]byte, 10))
			if stale := a.SendErr == ErrStale; stale != tt.stale || stale && a.Sent != 0 || !stale && (a.Sent != 5 || a.Read != 5) {
				t.Errorf("%s, %s: got %+v", tt.name, network, a)
			}
		}
	}
}

// A backend that half closes a connection at any moment around a request, and reads on, as
// php-fpm does when a worker is to end, is found out at once.
func TestAskWhileHalfClosed(t *testing.T) {
	for i := range 200 {
		near, far := pair(t, "unix")
		near.Reused = true
		near.Late = func(waited time.Duration) time.Duration {
			if waited > 10*time.Second {
				t.Error("the end of the connection was not noticed")
			}
			return max(10*time.Second-waited, 0)
		}
		go func() {
			time.Sleep(time.Duration(i) * time.Microsecond)
			far.(*net.UnixConn).CloseWrite()
			io.Copy(io.Discard, far)
		}()
		if a := near.Ask([]byte("hello"), make([]byte, 10)); a.SendErr != ErrStale && (a.SendErr != nil || a.ReadErr != io.EOF) {
			t.Fatalf("got %+v", a)
		}
	}
}

func TestAsk(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789"), 200_000)
	for _, network := range []string{"unix", "tcp"} {
		for _, reused := range []bool{false, true} {
			near, far := pair(t, network)
			near.Reused = reused
			go echo(far)
			p := make([]byte, 16<<10)
			for _, request := range [][]byte{[]byte("a"), []byte("hello")} {
				if a := near.Ask(request, p); a.SendErr != nil || a.ReadErr != nil || a.Sent != len(request) || !bytes.Equal(p[:a.Read], request) {
					t.Errorf("%s: got %+v for %q", network, a, request)
				}
			}
			// one that does not fit the buffers of the socket
			near, far = pair(t, network)
			near.Reused = reused
			go func() {
				io.CopyN(io.Discard, far, int64(len(long)))
				io.WriteString(far, "done")
			}()
			if a := near.Ask(long, p); a.SendErr != nil || a.ReadErr != nil || a.Sent != len(long) || string(p[:a.Read]) != "done" {
				t.Errorf("%s: got %+v for a long request", network, a)
			}
		}
	}
}

// What the backend said before it left is read although nobody takes the request.
func TestAskAfterTheEnd(t *testing.T) {
	near, far := pair(t, "unix")
	far.Write([]byte("busy"))
	far.Close()
	p := make([]byte, 10)
	a := near.Ask([]byte("hello"), p)
	if !errors.Is(a.SendErr, syscall.EPIPE) || a.Sent != 0 || string(p[:a.Read]) != "busy" || a.ReadErr != nil {
		t.Errorf("got %+v", a)
	}
}

// Late is asked after a moment, and then as it says itself.
func TestLate(t *testing.T) {
	for _, reused := range []bool{false, true} {
		near, far := pair(t, "unix")
		near.Reused = reused
		var waits []time.Duration
		near.Late = func(waited time.Duration) time.Duration {
			waits = append(waits, waited)
			switch len(waits) {
			case 1:
				return 20 * time.Millisecond
			case 2:
				far.Write([]byte("late"))
				return -1
			}
			return 0
		}
		p := make([]byte, 10)
		if a := near.Ask([]byte("hello"), p); a.ReadErr != nil || string(p[:a.Read]) != "late" {
			t.Errorf("got %+v", a)
		}
		if len(waits) != 2 || waits[0] < Moment || waits[1] < waits[0]+20*time.Millisecond {
			t.Errorf("waited %v", waits)
		}
		if _, err := near.Read(p); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	}
}

// A request over a kept connection allocates nothing here.
func TestAskAllocates(t *testing.T) {
	near, far := pair(t, "unix")
	near.Reused = true
	go func() {
		b := make([]byte, 10)
		for {
			n, err := far.Read(b)
			if err != nil {
				return
			}
			far.Write(b[:n])
		}
	}()
	request, p := []byte("hello"), make([]byte, 10)
	if n := testing.AllocsPerRun(1000, func() { near.Ask(request, p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
