package http1

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is an accepted connection whose events come to a [loop]. Other goroutines can use
// it as any net.Conn: where it would block they wait for the loop to tell them, which only
// then learns that it has to go on without the goroutine that it runs in.
type socket struct {
	fd     int
	loop   *loop
	serial int32 // tells sockets apart that have the same descriptor one after another

	closed  atomic.Bool
	users   atomic.Int32 // who may use fd: one as long as it is not closed, and each call
	backend bool         // it was connected, not accepted
	turn    turn         // in which the session is, when it is that of a client

	remote netip.AddrPort // of a client; zero on a unix socket

	mu         sync.Mutex
	registered bool     // the loop hears of it
	noOut      bool     // the loop does not hear of room to write
	hup        bool     // the client sends nothing more: a read finds the end
	attached   *session // nothing runs for it; the loop calls it
	in, out    side

	ahead *ahead // of the goroutine that reads from a backend; nil for a client
}

// side is one direction of a socket.
type side struct {
	socket   *socket
	ready    bool       // the kernel has said so since somebody looked
	wake     *sync.Cond // nil until somebody waited
	deadline moment
	set      moment // when somebody looks at the deadline; never when nobody does
	place    int32  // among the deadlines of the loop, which have the lock of it; 0 for none
}

func newSocket(l *loop, fd int) *socket {
	s := &socket{fd: fd, loop: l}
	s.in.socket, s.out.socket = s, s
	s.users.Store(1)
	return s
}

// use keeps the descriptor from being closed, and with that from meaning another
// connection, until unuse. It is false for a closed socket.
func (s *socket) use() bool {
	for {
		n := s.users.Load()
		if n == 0 || s.closed.Load() {
			return false
		}
		if s.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *socket) unuse() {
	if s.users.Add(-1) == 0 {
		if s.backend {
			s.loop.forget(s)
		}
		s.loop.remove(s)
		syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(s.fd), 0, 0) // which does not wait for the other side
	}
}

// Close implements net.Conn. Whoever waits for the socket gets net.ErrClosed.
func (s *socket) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	s.mu.Lock()
	for _, d := range [...]*side{&s.in, &s.out} {
		if d.set != never {
			s.loop.deadlines.remove(d)
		}
		d.wakeAll()
	}
	var waits *session
	if s.backend { // who closes a client's connection has its session
		waits = s.take()
	}
	s.mu.Unlock()
	s.unuse()
	if waits != nil {
		go waits.late()
	}
	return nil
}

// cut closes the socket under whoever uses it: the client hears of it now.
func (s *socket) cut() {
	s.control(func() error { return syscall.Shutdown(s.fd, syscall.SHUT_RDWR) })
	s.Close()
}

// tryRead reads what there is. The caller uses the socket; nothing there is errAgain.
func (s *socket) tryRead(p []byte) (int, error) {
	return s.try(unix.SYS_RECVFROM, p, 0)
}

// tryWrite writes what the kernel takes. more says that the rest of a packet follows at once.
func (s *socket) tryWrite(p []byte, more bool) (int, error) {
	flags := uintptr(syscall.MSG_NOSIGNAL)
	if more {
		flags |= msgMore
	}
	return s.try(unix.SYS_SENDTO, p, flags)
}

const msgMore = 0x8000

// try makes a system call that never waits, so the scheduler need not know of it.
func (s *socket) try(call uintptr, p []byte, flags uintptr) (int, error) {
	for {
		if s.closed.Load() {
			return 0, net.ErrClosed
		}
		n, _, errno := syscall.RawSyscall6(call, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, errAgain
		default:
			return 0, errno
		}
	}
}

// Read implements net.Conn.
func (s *socket) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !s.use() {
		return 0, s.opError("read", net.ErrClosed)
	}
	defer s.unuse()
	if n, err, ok := s.ahead.take(p); ok {
		return n, s.opError("read", err)
	}
	if err = s.expired(&s.in); err != nil {
		return 0, s.opError("read", err)
	}
	for {
		if n, err = s.tryRead(p); err != errAgain {
			break
		}
		if err = s.await(&s.in); err != nil {
			break
		}
	}
	if n == 0 && err == nil {
		return 0, io.EOF
	}
	return n, s.opError("read", err)
}

// Write implements net.Conn.
func (s *socket) Write(p []byte) (n int, err error) {
	if !s.use() {
		return 0, s.opError("write", net.ErrClosed)
	}
	defer s.unuse()
	if err := s.expired(&s.out); err != nil {
		return 0, s.opError("write", err)
	}
	for n < len(p) {
		var k int
		if k, err = s.tryWrite(p[n:], false); err == errAgain {
			err = s.await(&s.out)
		}
		n += k
		if err != nil {
			return n, s.opError("write", err)
		}
	}
	return n, nil
}

func (s *socket) opError(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: nil, Err: err}
}

// expired says why a side cannot be used now, if it cannot.
func (s *socket) expired(d *side) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expiredLocked(d)
}

func (s *socket) expiredLocked(d *side) error {
	switch {
	case s.closed.Load():
		return net.ErrClosed
	case d.deadline != never && since(time.Now()) >= d.deadline:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// await waits until the kernel says that a side is ready. The loop goes on without the
// goroutine.
func (s *socket) await(d *side) error {
	s.yield()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if err := s.expiredLocked(d); err != nil {
			return err
		}
		if d.ready {
			d.ready = false
			return nil
		}
		if d.wake == nil {
			d.wake = sync.NewCond(&s.mu)
		}
		s.register()
		if s.noOut && d == &s.out {
			if s.noOut = false; s.loop.listen(s, allEdges) != nil {
				return net.ErrClosed
			}
		}
		s.setTimer(d)
		d.wake.Wait()
	}
}

func (d *side) wakeAll() {
	if d.wake != nil {
		d.wake.Broadcast()
	}
}

// setTimer has somebody look at the deadline of a side when it is reached. Where somebody looks
// earlier that is left alone: he finds the new one, so that a deadline that moves on with each
// request costs nothing.
func (s *socket) setTimer(d *side) {
	if d.deadline == never || d.set != never && d.set <= d.deadline || s.closed.Load() {
		return
	}
	d.set = d.deadline
	s.loop.deadlines.set(d, d.set)
}

// timeUp looks at the deadline of a side. It does not wait.
func (s *socket) timeUp(d *side) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.set = never
	if s.expiredLocked(d) != os.ErrDeadlineExceeded {
		s.setTimer(d)
	} else if d == &s.in && s.attached != nil {
		go s.take().late()
	} else {
		d.wakeAll()
	}
}

// attach leaves the socket to the loop until something comes or the deadline is reached.
// It is false when something has come already, or the socket is closed. The caller must not
// touch the session any more when it is true.
func (s *socket) attach(to *session, deadline moment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in.ready || s.hup || s.closed.Load() {
		s.in.ready = false
		return false
	}
	s.in.deadline = deadline
	s.attached = to
	if s.backend { // those are looked after by the guard
		s.loop.paused.Add(1)
	} else {
		s.setTimer(&s.in)
	}
	s.register()
	return true
}

// register has the loop hear of the socket from now on, and of what came before.
func (s *socket) register() {
	if s.registered {
		return
	}
	s.registered = true
	if s.loop.watch(s, allEdges) != nil {
		syscall.Shutdown(s.fd, syscall.SHUT_RDWR) // nobody would hear of it
		s.hup = true
	}
}

// detach takes the socket from the loop; it is false when somebody else has it already.
func (s *socket) detach() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.take() != nil
}

// take ends that a session is left to the loop, and returns it; nil when none is. The caller holds
// the lock.
func (s *socket) take() *session {
	to := s.attached
	s.attached = nil
	if to != nil && s.backend {
		s.loop.paused.Add(-1)
	}
	return to
}

// happened notes what the kernel says, and returns the session that the loop has to call.
func (s *socket) happened(events uint32) *session {
	const broken = syscall.EPOLLHUP | syscall.EPOLLERR
	s.mu.Lock()
	defer s.mu.Unlock()
	if events&(syscall.EPOLLOUT|broken) != 0 {
		s.out.ready = true
		s.out.wakeAll()
	}
	if events&(syscall.EPOLLIN|syscall.EPOLLRDHUP|broken) == 0 {
		return nil
	}
	s.hup = s.hup || events&(syscall.EPOLLRDHUP|broken) != 0
	if to := s.take(); to != nil {
		return to
	}
	s.in.ready = true
	s.in.wakeAll()
	return nil
}

// yield has the loop go on in another goroutine, when it runs in that of the caller.
func (s *socket) yield() { s.turn.pass() }

func (s *socket) isOneOfMany() bool { return s.turn.isOneOfMany() }

func (s *socket) now() moment { return s.turn.now() }

func (s *socket) place() int { return s.loop.place }

func (s *socket) hasMore() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.ready
}

// CloseWrite says that nothing more is written.
func (s *socket) CloseWrite() error {
	return s.control(func() error { return syscall.Shutdown(s.fd, syscall.SHUT_WR) })
}

// SetLinger is that of net.TCPConn.
func (s *socket) SetLinger(seconds int) error {
	return s.control(func() error {
		return syscall.SetsockoptLinger(s.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: int32(seconds)})
	})
}

func (s *socket) control(f func() error) error {
	if !s.use() {
		return net.ErrClosed
	}
	defer s.unuse()
	return f()
}

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.in, t) }

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.setDeadline(&s.out, t) }

func (s *socket) setDeadline(d *side, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.deadline = since(t)
	d.wakeAll() // who waits looks at the new one
	return nil
}

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.address(syscall.Getsockname) }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.address(syscall.Getpeername) }

func (s *socket) address(get func(int) (syscall.Sockaddr, error)) net.Addr {
	var found syscall.Sockaddr
	s.control(func() (err error) {
		found, err = get(s.fd)
		return err
	})
	switch a := found.(type) {
	case *syscall.SockaddrInet4:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)))
	case *syscall.SockaddrInet6:
		return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)))
	case *syscall.SockaddrUnix:
		return &net.UnixAddr{Name: a.Name, Net: "unix"}
	}
	return &net.TCPAddr{}
}
