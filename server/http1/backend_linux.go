package http1

import (
	"net"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// A request that waits for a backend can be left to the loops, as a connection is that waits
// for its next request, when they watch the connection to the backend too. So it holds no
// goroutine meanwhile, and its answer is read and passed on where the next event is taken.
// That is for answers that come soon; see pauseFor.

// adopt returns a socket in the place of a connection, or that itself when it cannot be one. It
// is of the same loop: an answer that comes in another one, on another processor, would move all
// the memory of its request there and back.
func (s *socket) adopt(nc net.Conn) net.Conn {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nc
	}
	switch nc.(type) {
	case *net.UnixConn, *net.TCPConn:
	default: // there is more to it than a descriptor
		return nc
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nc
	}
	fd := -1
	if raw.Control(func(of uintptr) { fd = duplicate(int(of)) }) != nil || fd < 0 {
		return nc
	}
	b := s.loop.addBackend(fd)
	if b.loop.watch(b, inEdges) != nil {
		b.Close()
		return nc
	}
	nc.Close() // the descriptor of its own, not the connection
	return b
}

// addBackend makes a socket of the connection to a backend.
func (l *loop) addBackend(fd int) *socket {
	b := newSocket(l, fd)
	b.backend, b.noOut, b.registered = true, true, true
	b.ahead = &ahead{}
	l.enter(b)
	l.mu.Lock()
	l.backends = append(l.backends, b)
	l.mu.Unlock()
	return b
}

// forget takes the connection to a backend out of those that the guard looks after.
func (l *loop) forget(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.backends, s); i >= 0 {
		last := len(l.backends) - 1
		l.backends[i], l.backends[last] = l.backends[last], nil
		l.backends = l.backends[:last]
	}
}

// overdue has the paused requests go on for whose backends the loop waits for too long, and
// reports whether it waits for any.
func (l *loop) overdue() (waits bool) {
	l.mu.Lock()
	l.guarded = append(l.guarded[:0], l.backends...) // their locks come before that of the loop
	l.mu.Unlock()
	now := now()
	for _, b := range l.guarded {
		b.mu.Lock()
		if b.attached != nil && b.in.deadline <= now {
			go b.take().late()
		}
		waits = waits || b.attached != nil
		b.mu.Unlock()
	}
	clear(l.guarded)
	return waits
}

// duplicate returns a second descriptor for what one means, -1 when there is none.
func duplicate(fd int) int {
	n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return -1
	}
	return int(n)
}

// Quiet reports whether the other side has neither closed the connection nor sent anything that
// was not read, as far as the loop has heard.
func (s *socket) Quiet() bool {
	s.mu.Lock()
	came := s.in.ready
	gone := s.hup || s.closed.Load()
	s.in.ready = false
	s.mu.Unlock()
	return !gone && len(s.ahead.data) == 0 && s.ahead.err == nil && (!came || s.nothingCame())
}

// nothingCame looks itself: what the loop has heard of may have been read since.
func (s *socket) nothingCame() bool {
	var p [1]byte
	if !s.use() {
		return false
	}
	defer s.unuse()
	_, err := s.try(unix.SYS_RECVFROM, p[:], syscall.MSG_PEEK)
	return err == errAgain
}

// TryRead reads what has come; with again nothing has, and the connection is open.
func (s *socket) TryRead(p []byte) (n int, again bool, err error) {
	if !s.use() {
		return 0, false, s.opError("read", net.ErrClosed)
	}
	defer s.unuse()
	if n, err, ok := s.ahead.take(p); ok {
		if err == nil && n >= bufferSize && n < len(p) { // there may be more than was read ahead
			var more int
			if more, err = s.tryRead(p[n:]); err != errAgain {
				s.ahead.err = err // behind that
			}
			n, err = n+more, nil
		}
		return n, false, s.opError("read", err)
	}
	if n, err = s.tryRead(p); err == errAgain {
		return 0, true, nil
	}
	return n, false, s.opError("read", err)
}
