package http1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"luaserve/runtime"
)

// row is a server with a loop that has many requests to serve at once as soon as it runs.
type row struct {
	t      testing.TB
	srv    *Server
	loop   *loop
	near   []*socket
	far    []net.Conn
	ended  atomic.Int32
	served func(number int, ex runtime.Exchange) // is called for each request
}

// newRow makes a row of n clients, each of which has asked for its number.
func newRow(t testing.TB, n int, withRing bool) *row {
	t.Helper()
	r := &row{t: t, served: func(int, runtime.Exchange) {}}
	r.srv = New(Config{Handle: r.handle, Log: slog.New(slog.DiscardHandler)})
	all := &loops{elsewhere: &r.srv.elsewhere, wake: make(chan struct{}, 1)}
	l, err := newLoop(all)
	if err != nil {
		t.Fatal(err)
	}
	if withRing {
		l.ring = ringOrSkip(t)
	}
	all.all = []*loop{l}
	r.loop, r.srv.loops = l, all
	t.Cleanup(r.srv.Close)
	for i := range n {
		r.connect()
		fmt.Fprintf(r.far[i], "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
	}
	return r
}

func (r *row) connect() {
	r.t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "far")
	far, err := net.FileConn(f)
	if f.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { far.Close() })
	far.SetDeadline(time.Now().Add(20 * time.Second))
	near := r.loop.loops.add(fds[0])
	r.near, r.far = append(r.near, near), append(r.far, far)
	if !r.srv.Watch(near, runtime.Connection{}, func() { r.ended.Add(1) }) {
		r.t.Fatal("it cannot be watched")
	}
}

// session is that of a client.
func (r *row) session(number int) *session {
	r.srv.mu.Lock()
	defer r.srv.mu.Unlock()
	for s := r.srv.sessions; s != nil; s = s.next {
		if s.rwc == r.near[number] {
			return s
		}
	}
	return nil
}

// run has the loop serve them.
func (r *row) run() {
	go r.loop.loops.guard()
	go r.loop.loops.work(job{r.loop, 0})
}

// answerTo is a field of the answer to a request.
func answerTo(number int) string { return strings.Repeat(fmt.Sprintf("<%d>", number), 500) }

func (r *row) handle(ex runtime.Exchange) *runtime.Reply {
	var number int
	fmt.Sscanf(ex.Target(), "/%d", &number)
	r.served(number, ex)
	reply := runtime.NewErrorReply(http.StatusTeapot)
	reply.Header.Set("X-Answer", answerTo(number))
	return reply
}

// hasNothing reports whether no answer has reached a client.
func (r *row) hasNothing(number int) bool {
	nothing := false
	raw, err := r.far[number].(syscall.Conn).SyscallConn()
	if err != nil {
		r.t.Error(err)
	}
	raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		nothing = err == syscall.EAGAIN
	})
	return nothing
}

// expect reads the answer to a request, behind some bytes.
func (r *row) expect(number, behind int) {
	r.t.Helper()
	in := bufio.NewReader(r.far[number])
	if _, err := in.Discard(behind); err != nil {
		r.t.Errorf("request %d: %v", number, err)
	}
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		r.t.Errorf("request %d: %v", number, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(body) == 0 || resp.Header.Get("X-Answer") != answerTo(number) {
		r.t.Errorf("request %d: %q, %q, %v", number, resp.Header, body, err)
	}
}

// await waits until something is so.
func (r *row) await(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatal("it takes too long until " + what)
		}
	}
}

// Answers that are sent together are those that would have been sent one by one, whatever happens
// to one of the clients meanwhile; and nothing that waits keeps the others from being sent.
func TestAnswersThatAreSentTogether(t *testing.T) {
	const n, last = 12, 11
	for name, test := range map[string]func(r *row){
		"all is well": func(r *row) {
			r.run()
			for i := range n {
				r.expect(i, 0)
			}
		},
		"they are used again": func(r *row) {
			r.run()
			for range 20 {
				for i := range n {
					r.expect(i, 0)
				}
				for i := range n {
					fmt.Fprintf(r.far[i], "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
				}
			}
			for i := range n {
				r.expect(i, 0)
			}
		},
		"one reads nothing": func(r *row) {
			filled := fillUp(r.near[3].fd)
			r.run()
			for i := range n {
				if i != 3 {
					r.expect(i, 0)
				}
			}
			r.expect(3, filled)
		},
		"one has room for a part": func(r *row) {
			syscall.SetsockoptInt(r.near[3].fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 1)
			r.run()
			for i := range n {
				r.expect(i, 0)
			}
		},
		"some are gone": func(r *row) {
			r.far[0].Close()
			r.far[last].Close()
			r.run()
			for i := range n {
				if i != 0 && i != last {
					r.expect(i, 0)
				}
			}
			r.await("they are ended", func() bool { return r.ended.Load() == 2 })
		},
		"one is cut": func(r *row) {
			r.served = func(number int, _ runtime.Exchange) {
				if number == last {
					r.session(2).cut()
				}
			}
			r.run()
			for i := range n {
				if i != 2 {
					r.expect(i, 0)
				}
			}
			r.await("it is ended", func() bool { return r.ended.Load() == 1 })
		},
		"the server shuts down": func(r *row) {
			down := make(chan error, 1)
			r.served = func(number int, _ runtime.Exchange) {
				if number != last {
					return
				}
				go func() { down <- r.srv.Shutdown(context.Background()) }()
				r.await("it shuts down", r.srv.closing.Load)
				time.Sleep(20 * time.Millisecond) // so that it has ended those that only wait
			}
			r.run()
			for i := range n {
				r.expect(i, 0)
			}
			if err := <-down; err != nil {
				t.Error(err)
			}
		},
		"one waits": func(r *row) {
			r.served = func(number int, ex runtime.Exchange) {
				if number == last {
					ex.(runtime.Waiter).Waits()
					r.expect(0, 0)
				}
			}
			r.run()
			for i := range n {
				if i > 0 {
					r.expect(i, 0)
				}
			}
		},
		"each computes a little": func(r *row) {
			var count, first atomic.Int32
			looked := make(chan bool)
			r.served = func(number int, _ runtime.Exchange) {
				for began := now(); now()-began < payAfter; {
				}
				switch count.Add(1) {
				case 1:
					first.Store(int32(number))
				case n:
					if r.hasNothing(int(first.Load())) {
						r.t.Error("the first answer waits for the last")
					}
					close(looked)
				}
			}
			go r.loop.loops.work(job{r.loop, 0}) // without the guard, which might take the loop from the first
			<-looked                             // before the answers are read
			for i := range n {
				r.expect(i, 0)
			}
		},
		"one computes": func(r *row) {
			computed := make(chan bool)
			r.served = func(number int, _ runtime.Exchange) {
				if number == last {
					r.await("another goroutine has sent an answer", func() bool { return !r.hasNothing(0) })
					close(computed)
				}
			}
			r.run()
			<-computed
			for i := range n {
				r.expect(i, 0)
			}
		},
	} {
		for with, ring := range map[string]bool{" (ring)": true, " (none)": false} {
			t.Run(name+with, func(t *testing.T) { test(newRow(t, n, ring)) })
		}
	}
}

// With a ring, the answer to the first of many requests is not sent before the next is served.
func TestAnswersWaitForOthers(t *testing.T) {
	for with, ring := range map[string]bool{"ring": true, "none": false} {
		t.Run(with, func(t *testing.T) {
			const n = 10
			r := newRow(t, n, ring)
			var waited atomic.Int32
			var served [n]atomic.Bool
			all := func() bool {
				for i := range served {
					if !served[i].Load() {
						return false
					}
				}
				return true
			}
			r.served = func(number int, _ runtime.Exchange) {
				if before := (number + n - 1) % n; served[before].Load() && r.hasNothing(before) {
					waited.Add(1)
				}
				served[number].Store(true)
			}
			r.loop.payAfter = moment(time.Hour)  // however slow the machine is
			go r.loop.loops.work(job{r.loop, 0}) // without the guard, as nothing else shall send
			r.await("all are served", all)
			for i := range n {
				r.expect(i, 0)
			}
			if (waited.Load() > 0) != ring {
				t.Errorf("%d of %d waited", waited.Load(), n)
			}
		})
	}
}

// A session that owes something when another goroutine has got its loop sends it by itself.
func TestLoopThatIsLostUnderADebt(t *testing.T) {
	r := newRow(t, 3, true)
	l := r.loop
	if l.got = l.pending(20_000); l.got == 0 {
		t.Fatal("no events")
	}
	l.gather()
	a, _ := l.nextArrival()
	a.hand()
	s := a.to
	l.turn.Store(2 | 1)
	s.watched.(*socket).turn = turn{l, 2, true}
	if !s.proceed(a.input) {
		t.Fatal("it owes nothing")
	}
	l.turn.Store(4)
	if s.proceed(input{}) {
		t.Error("it still owes")
	}
	for i, near := range r.near {
		if near == s.rwc {
			r.expect(i, 0)
		}
	}
}

// A request to a backend that is still owed when its answer is complete has nobody who waits for
// what comes back: its connection ends, and the client gets its own answer and nothing of it.
func TestDebtToBackendThatNobodyWaitsFor(t *testing.T) {
	r := newRow(t, 3, true)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[1])
	backend := r.loop.addBackend(fds[0])
	r.served = func(number int, ex runtime.Exchange) {
		if number == 0 {
			if n, err := ex.(runtime.Pauser).Send(backend, []byte("asked")); n != 5 || err != nil {
				t.Errorf("sent %d bytes, %v", n, err)
			}
		}
	}
	r.loop.payAfter = moment(time.Hour)
	go r.loop.loops.work(job{r.loop, 0})
	for i := range r.far {
		r.expect(i, 0)
	}
	if n, err := syscall.Read(fds[1], make([]byte, 8)); n != 0 || err != nil {
		t.Errorf("the backend got %d bytes, %v; want the end", n, err)
	}
}
