package http1

import (
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// loop serves many connections in one goroutine: it takes what the kernel has to say of its
// sockets, and has each one served in turn. Nothing that is served may keep the others
// waiting: before it waits it passes the loop on to another goroutine (see pass) and goes on
// by itself; one that computes for long is passed by (see guard). The goroutine of a request
// therefore stays the same from its beginning to its end.
type loop struct {
	loops *loops
	place int             // among them, from 1 on
	epoll *os.File        // waited for as a file is, so that an idle loop holds no thread
	ready syscall.RawConn // of epoll
	fd    int             // of epoll
	bell  int             // an eventfd that is among the sockets
	poll  func(fd uintptr) bool

	// turn counts the sockets that were served; the lowest bit is 1 while one is. Who changes
	// it from there has the loop.
	turn atomic.Uint64

	deadlines deadlines // of its sockets

	paused atomic.Int32 // requests of it that wait for a backend
	looked atomic.Int64 // the moment when it last looked for events

	// of the goroutine that has the loop
	events    [64]syscall.EpollEvent
	got       int    // events that are there
	rested    moment // when it last waited
	rests     bool   // it waits, or has just done so
	arrivals  [64]arrival
	came      int        // arrivals that are there
	next      int        // the first that was not served
	room      []byte     // for what is read for them
	owing     []*session // were served, and owe something
	owedSince moment     // the first of them
	payAfter  moment     // how long that may wait for the others
	stuck     []*session // could not pay that without waiting
	ring      *ring
	calls     []call // the memory for those that it makes

	mu       sync.Mutex
	sockets  []*socket // by descriptor
	backends []*socket // those among them that a request can be paused for
	guarded  []*socket // the memory of the guard for them
	serial   int32     // of the last socket; an event may be older than the socket that has its descriptor now
	closed   bool
}

// turn is one session served by a loop.
type turn struct {
	loop   *loop
	number uint64
	many   bool // others are served at once
}

// isOneOfMany reports whether the session may owe something; see debt.
func (t turn) isOneOfMany() bool {
	return t.many && t.loop.turn.Load() == t.number|1
}

// pass has the loop go on in another goroutine, if the turn is not over yet.
func (t turn) pass() {
	if t.loop != nil {
		t.loop.pass(t.number)
	}
}

// now is the time when the loop last looked for events, which is the present one but for what
// others had it serve meanwhile: two steps of the guard at most.
func (t turn) now() moment {
	if l := t.loop; l != nil && l.turn.Load() == t.number|1 {
		return moment(l.looked.Load())
	}
	return now()
}

// restAfter is how long a loop goes on without waiting: only when goroutines wait does the
// scheduler look whether the network has something for others.
const restAfter = time.Millisecond

// keepFor is how many milliseconds a loop keeps its processor while requests of it wait for
// backends: to give it up and to get it back costs more than most answers take. It does not when
// anything is served elsewhere (see loops), which would wait for a processor meanwhile.
const keepFor = 1

func newLoop(all *loops) (*loop, error) {
	l := &loop{loops: all, fd: -1, bell: -1, room: make([]byte, roomBytes), payAfter: payAfter}
	if err := l.open(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *loop) open() (err error) {
	if l.fd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err = syscall.SetNonblock(l.fd, true); err != nil { // has os.NewFile use the poller
		return os.NewSyscallError("fcntl", err)
	}
	l.epoll = os.NewFile(uintptr(l.fd), "epoll")
	bell, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return os.NewSyscallError("eventfd2", errno)
	}
	l.bell = int(bell)
	if err = l.control(syscall.EPOLL_CTL_ADD, l.bell, 0, allEdges); err != nil {
		return err
	}
	l.poll = l.look
	l.ready, err = l.epoll.SyscallConn()
	return err
}

// close ends the loop. Sockets that are still open would hear nothing any more, so they are
// closed too.
func (l *loop) close() {
	l.mu.Lock()
	l.closed = true
	left := slices.DeleteFunc(slices.Clone(l.sockets), func(s *socket) bool { return s == nil })
	l.mu.Unlock()
	for _, s := range left {
		s.cut()
	}
	l.deadlines.close()
	if l.epoll != nil {
		l.epoll.Close()
	} else if l.fd >= 0 {
		syscall.Close(l.fd)
	}
	if l.bell >= 0 {
		syscall.Close(l.bell)
	}
}

// What is heard of a descriptor, each time that it changes.
const (
	inEdges  = syscall.EPOLLIN | syscall.EPOLLRDHUP | 1<<31 // EPOLLET
	allEdges = inEdges | syscall.EPOLLOUT
)

// watch begins to hear of a socket.
func (l *loop) watch(s *socket, edges uint32) error {
	return l.control(syscall.EPOLL_CTL_ADD, s.fd, s.serial, edges)
}

// listen hears other things of it from now on, among them what is so already.
func (l *loop) listen(s *socket, edges uint32) error {
	return l.control(syscall.EPOLL_CTL_MOD, s.fd, s.serial, edges)
}

func (l *loop) control(op, fd int, serial int32, edges uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return os.ErrClosed
	}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(l.fd, op, fd, &syscall.EpollEvent{Events: edges, Fd: int32(fd), Pad: serial}))
}

// enter makes a socket known by its descriptor.
func (l *loop) enter(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serial++
	s.serial = l.serial
	for len(l.sockets) <= s.fd {
		l.sockets = append(l.sockets, nil)
	}
	l.sockets[s.fd] = s
}

func (l *loop) remove(s *socket) {
	l.mu.Lock()
	l.sockets[s.fd] = nil
	l.mu.Unlock()
}

// run has the loop, from a turn on, until it is passed on or closed. It reports whether it was
// passed on, and what was to be served then is done.
func (l *loop) run(number uint64) (passed bool) {
	for {
		a, ok := l.nextArrival()
		if !ok {
			l.ring.close()
			return false
		}
		a.hand() // while the loop cannot be passed on
		number += 2
		s, turn := a.to, turn{l, number, l.ring.helps(len(l.owing) + 1 + l.came - l.next)}
		l.turn.Store(number | 1)
		s.watched.(*socket).turn = turn
		owes := s.proceed(a.input)
		if !l.turn.CompareAndSwap(number|1, number) {
			if owes { // to nobody else now
				s.proceed(input{})
			}
			return true
		}
		if owes {
			l.owe(s)
		}
	}
}

// pass gives the loop to another goroutine if it still is in a turn.
func (l *loop) pass(turn uint64) {
	if l.turn.CompareAndSwap(turn|1, turn+2) {
		l.loops.elsewhere.Add(1)
		l.loops.employ(job{l, turn + 2})
	}
}

// look asks the kernel for events and reports whether there are any. When it is false the
// goroutine waits until there may be.
func (l *loop) look(uintptr) bool {
	at := now()
	l.looked.Store(int64(at))
	if l.rests {
		l.rests, l.rested = false, at
	} else if at-l.rested > moment(restAfter) {
		l.rests = true
		l.ringBell()
		return false
	}
	l.got = l.pending(0)
	if l.got == 0 && l.keeps() {
		l.got = l.pending(keepFor)
		l.looked.Store(int64(now()))
	}
	l.rests = l.got == 0
	return l.got > 0
}

// keeps reports whether the loop keeps its processor while it waits; see keepFor.
func (l *loop) keeps() bool { return l.paused.Load() > 0 && l.loops.elsewhere.Load() == 0 }

// pending takes events, waiting for some milliseconds if there are none. The scheduler does not
// know of the waiting; what interrupts that, as a signal that asks for the processor, ends it.
func (l *loop) pending(wait int) int {
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.fd), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)), uintptr(wait), 0, 0)
		switch {
		case errno == 0:
			return int(n)
		case errno != syscall.EINTR || wait > 0:
			return 0
		}
	}
}

// ringBell makes an event, which ends the waiting for one. It is never read: each writing is one.
func (l *loop) ringBell() {
	one := uint64(1)
	syscall.RawSyscall(syscall.SYS_WRITE, uintptr(l.bell), uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
}
