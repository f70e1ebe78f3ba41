package http1

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"luaserve/runtime"
)

// listener accepts what loops can watch.
type listener struct {
	net.Listener
	loops *loops
	file  *os.File // the same socket: a net.Listener only gives what it has made a net.Conn of
	raw   syscall.RawConn
}

// Listener returns a listener in the place of l whose connections the server can serve with
// less effort than others; see [Server.Watch]. Where it has no way to, that is l itself.
func (s *Server) Listener(l net.Listener) net.Listener {
	f, ok := l.(interface{ File() (*os.File, error) })
	if !ok {
		return l
	}
	watched := &listener{Listener: l}
	var err error
	if watched.loops, err = s.startLoops(); err == nil {
		watched.file, err = f.File()
	}
	if err == nil {
		watched.raw, err = watched.file.SyscallConn()
	}
	if err != nil {
		s.log.Warn("connections are served with a goroutine each", "error", err, "address", l.Addr().String())
		return l
	}
	watched.raw.Control(func(fd uintptr) { prepareListener(int(fd)) })
	return watched
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.file.Close()
	return l.Listener.Close()
}

// startLoops returns the loops, which run from then on until the server is closed.
func (s *Server) startLoops() (_ *loops, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, net.ErrClosed
	case s.loops == nil:
		s.loops, err = newLoops(&s.elsewhere, s.log)
	}
	return s.loops, err
}

// prepareListener sets what the accepted sockets inherit, as Go's own have it.
func prepareListener(fd int) {
	for _, o := range [...][3]int{
		{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
		{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15},
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 9},
	} {
		syscall.SetsockoptInt(fd, o[0], o[1], o[2]) // a unix socket has none of them
	}
	syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{}) // close does not wait
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	var s *socket
	var errno syscall.Errno
	err := l.raw.Read(func(from uintptr) bool {
		var fd int
		var client syscall.RawSockaddrAny
		if fd, errno = accept(from, &client); errno == 0 {
			s = l.loops.add(fd)
			s.remote = addrPort(&client)
		}
		return errno != syscall.EAGAIN
	})
	if err != nil {
		return nil, net.ErrClosed // nothing else ends the waiting
	}
	if errno != 0 {
		return nil, os.NewSyscallError("accept4", errno)
	}
	return s, nil
}

// accept takes a connection if there is one. It does not wait, so the scheduler need not know of
// it, as long as the socket is set so: one that others have as well they may change.
func accept(from uintptr, client *syscall.RawSockaddrAny) (fd int, errno syscall.Errno) {
	if flags, _, _ := syscall.RawSyscall(syscall.SYS_FCNTL, from, syscall.F_GETFL, 0); flags&syscall.O_NONBLOCK == 0 {
		syscall.SetNonblock(int(from), true)
	}
	for {
		size := uint32(unsafe.Sizeof(*client))
		n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, from, uintptr(unsafe.Pointer(client)), uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
		if errno != syscall.EINTR {
			return int(n), errno
		}
	}
}

// addrPort is zero for what is neither IPv4 nor IPv6.
func addrPort(a *syscall.RawSockaddrAny) netip.AddrPort {
	port := func(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }
	switch a.Addr.Family {
	case syscall.AF_INET:
		four := (*syscall.RawSockaddrInet4)(unsafe.Pointer(a))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port(&four.Port))
	case syscall.AF_INET6:
		six := (*syscall.RawSockaddrInet6)(unsafe.Pointer(a))
		return netip.AddrPortFrom(netip.AddrFrom16(six.Addr).Unmap(), port(&six.Port))
	}
	return netip.AddrPort{}
}

// Addresses returns a connection as requests are told of it, without TLS.
func Addresses(rwc net.Conn) runtime.Connection {
	s, ok := rwc.(*socket)
	if !ok {
		return runtime.Connection{Local: runtime.AddrPort(rwc.LocalAddr()), Remote: runtime.AddrPort(rwc.RemoteAddr())}
	}
	return runtime.Connection{Local: s.local(), Remote: s.remote}
}

// local is LocalAddr without a net.Addr, which takes more memory than the answer. It is not taken from
// the listener: with TPROXY or BPF connections to other addresses may come to that.
func (s *socket) local() netip.AddrPort {
	var here syscall.RawSockaddrAny
	if s.remote.IsValid() && s.use() {
		defer s.unuse()
		size := uint32(unsafe.Sizeof(here))
		syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(s.fd), uintptr(unsafe.Pointer(&here)), uintptr(unsafe.Pointer(&size)))
	}
	return addrPort(&here)
}

// Watch has a connection of a [Server.Listener] served by the loops, without a goroutine of
// its own, and reports whether it could. Otherwise it did nothing: see [Server.ServeConn].
// left is called when the connection ends.
func (s *Server) Watch(rwc net.Conn, peer runtime.Connection, left func()) bool {
	w, ok := rwc.(*socket)
	if !ok {
		return false
	}
	one := &session{srv: s, rwc: rwc, watched: w, peer: peer, left: left}
	if !s.track(one) {
		rwc.Close()
		left()
		return true
	}
	if one.until = since(time.Now().Add(s.limits().HeaderTimeout)); !w.attach(one, one.until) {
		one.close()
	}
	return true
}
