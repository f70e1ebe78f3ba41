//go:build unix

package httpproxy

import "syscall"

// peeker looks at a socket without taking anything from it. Its function is made once for a
// connection, so that looking does not allocate.
type peeker struct {
	look func(fd uintptr)
	err  error
	buf  [1]byte
}

// alive reports whether the upstream has neither closed an idle connection nor sent anything
// on it, which would be taken for the next answer. The socket does not block, so the peek
// returns at once.
func (cn *conn) alive() bool {
	if cn.raw == nil {
		return true
	}
	p := &cn.peek
	if p.look == nil {
		p.look = func(fd uintptr) {
			for {
				_, _, p.err = syscall.Recvfrom(int(fd), p.buf[:], syscall.MSG_PEEK)
				if p.err != syscall.EINTR {
					return
				}
			}
		}
	}
	if err := cn.raw.Control(p.look); err != nil {
		return false
	}
	return p.err == syscall.EAGAIN
}
