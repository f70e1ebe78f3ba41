package http1

import (
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func newTestLoop(t *testing.T) *loops {
	t.Helper()
	p, err := newLoops(new(atomic.Int32), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// backendPair returns a connection as a request uses it that a loop watches, and its other end.
func backendPair(t *testing.T) (near *socket, far int) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := newTestLoop(t)
	near = p.all[0].addBackend(fds[0])
	if err := near.loop.watch(near, inEdges); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); syscall.Close(fds[1]) })
	return near, fds[1]
}

// An event that is older than the socket that has its descriptor now is not that socket's.
func TestEventsOfEarlierSockets(t *testing.T) {
	l, err := newLoop(&loops{}) // which nobody runs
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	before, now := newSocket(l, 1000), newSocket(l, 1000)
	l.enter(before)
	l.enter(now)
	l.events[0] = syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: 1000, Pad: before.serial}
	l.got = 1
	l.gather()
	if now.hup || now.in.ready {
		t.Error("it took the event of another one")
	}
	l.events[0].Pad = now.serial
	l.gather()
	if !now.hup || !now.in.ready {
		t.Error("it did not take its own event")
	}
	l.remove(now)
}

// A timer that ends when its socket is closed is not set again, which would have it end at once
// for ever.
func TestTimerOfClosedSocket(t *testing.T) {
	near, _ := backendPair(t)
	near.SetReadDeadline(time.Now().Add(-time.Second))
	near.Close()
	near.timeUp(&near.in)
	if near.in.set != never {
		t.Error("the timer runs")
	}
}

// Whatever has happened on a kept connection, Quiet knows it.
func TestQuiet(t *testing.T) {
	heard := func(s *socket, what func() bool) bool {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			s.mu.Lock()
			is := what()
			s.mu.Unlock()
			if is {
				return true
			}
		}
		return false
	}
	p := make([]byte, 10)

	near, far := backendPair(t)
	if !near.Quiet() {
		t.Error("a new connection is not quiet")
	}
	syscall.Write(far, []byte("x"))
	if !heard(near, func() bool { return near.in.ready }) {
		t.Fatal("the loop heard nothing")
	}
	if near.Quiet() {
		t.Error("quiet although something has come")
	}

	near, far = backendPair(t)
	syscall.Write(far, []byte("x"))
	heard(near, func() bool { return near.in.ready })
	if n, again, err := near.TryRead(p); n != 1 || again || err != nil {
		t.Errorf("read %d, %v, %v", n, again, err)
	}
	if !near.Quiet() {
		t.Error("not quiet although all was read")
	}
	if _, again, err := near.TryRead(p); !again || err != nil {
		t.Errorf("read nothing: %v, %v", again, err)
	}
	syscall.Shutdown(far, syscall.SHUT_WR)
	heard(near, func() bool { return near.hup })
	if near.Quiet() {
		t.Error("quiet although half closed")
	}
	near.Close()
	if _, _, err := near.TryRead(p); err == nil || near.Quiet() {
		t.Error("a closed connection can be used")
	}
	if _, err := near.Write(p); err == nil {
		t.Error("a closed connection can be written to")
	}
}

// What was read ahead comes first, whoever reads, and a connection with some of it is not quiet.
func TestReadAhead(t *testing.T) {
	near, far := backendPair(t)
	p := make([]byte, 4)
	near.ahead.put([]byte("before"), nil)
	near.ahead.put([]byte("hand"), io.EOF)
	syscall.Write(far, []byte("behind"))
	for _, want := range []string{"befo", "reha", "nd"} {
		if near.Quiet() {
			t.Error("quiet")
		}
		if n, _, err := near.TryRead(p); string(p[:n]) != want || err != nil {
			t.Errorf("%q, %v, want %q", p[:n], err, want)
		}
	}
	if n, err := near.Read(p); string(p[:n]) != "behi" || err != nil {
		t.Errorf("%q, %v", p[:n], err)
	}
	near.ahead.put([]byte("x"), syscall.ECONNRESET)
	if n, err := near.Read(p); string(p[:n]) != "x" || err != nil {
		t.Errorf("%q, %v", p[:n], err)
	}
	if near.Quiet() {
		t.Error("quiet before an error")
	}
	if _, err := near.Read(p); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v in place of the error", err)
	}
	if n, err := near.Read(p); string(p[:n]) != "nd" || err != nil {
		t.Errorf("%q, %v", p[:n], err)
	}
}

// A long answer is read on behind what was read ahead of it, so that it can be whole.
func TestReadOnBehindReadAhead(t *testing.T) {
	near, far := backendPair(t)
	p := make([]byte, 3*bufferSize)
	near.ahead.put(p[:bufferSize], nil)
	syscall.Write(far, p[:100])
	if n, _, err := near.TryRead(p); n != bufferSize+100 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	near.ahead.put(p[:bufferSize], nil)
	if n, again, err := near.TryRead(p); n != bufferSize || again || err != nil {
		t.Errorf("%d bytes, %v, %v", n, again, err)
	}
	near.ahead.put(p[:bufferSize], nil)
	syscall.Shutdown(far, syscall.SHUT_WR)
	if n, _, err := near.TryRead(p); n != bufferSize || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, again, err := near.TryRead(p); n != 0 || again || err != nil {
		t.Errorf("at the end: %d bytes, %v, %v", n, again, err)
	}
}

// A write that has no room waits until there is some, although the loop does not hear of room
// before.
func TestWriteToFullBackend(t *testing.T) {
	near, far := backendPair(t)
	const size = 4 << 20
	got := make(chan int)
	go func() {
		n, p := 0, make([]byte, 64<<10)
		for n < size {
			k, err := syscall.Read(far, p)
			if err == syscall.EAGAIN {
				time.Sleep(time.Millisecond)
				continue
			}
			if err != nil || k == 0 {
				break
			}
			n += k
		}
		got <- n
	}()
	near.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := near.Write(make([]byte, size)); n != size || err != nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n := <-got; n != size {
		t.Errorf("%d bytes arrived", n)
	}
}

// A loop keeps its processor only for requests that wait for backends, and never from others.
func TestLoopsKeepProcessors(t *testing.T) {
	near, _ := backendPair(t)
	l := near.loop
	expect := func(when string, want bool) {
		t.Helper()
		if l.keeps() != want {
			t.Errorf("%s: %v", when, !want)
		}
	}
	expect("idle", false)
	if !near.attach(&session{}, now()+moment(time.Hour)) {
		t.Fatal("something has come")
	}
	expect("a request waits for a backend", true)
	l.loops.elsewhere.Add(1)
	expect("something is served elsewhere", false)
	l.loops.elsewhere.Add(-1)
	expect("it was served", true)
	near.detach()
	expect("the answer has come", false)
}
