//go:build unix

package upstream

import "syscall"

// peeker looks at a socket without taking anything from it. Its function is made once for a
// connection, so that looking does not allocate.
type peeker struct {
	look func(fd uintptr)
	err  error
	buf  [1]byte
}

// alive reports whether the backend has neither closed an idle connection nor sent anything
// on it, which would be taken for the next answer. The socket does not block, so the peek
// returns at once.
func (c *Conn) alive() bool {
	if c.raw == nil {
		return true
	}
	p := &c.peek
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
	if err := c.raw.Control(p.look); err != nil {
		return false
	}
	return p.err == syscall.EAGAIN
}
