//go:build unix

package upstream

import (
	"io"
	"net"
	"os"
	"syscall"
)

// asker does what [Conn.Ask] does, on a socket that does not block. Its function is made once
// for a connection, so that asking does not allocate.
type asker struct {
	step       func(fd uintptr) (done bool)
	request, p []byte
	written    bool // what is left is waiting
	result     Asked
	peek       [1]byte
}

// askRaw does as much of [Conn.Ask] as can be done without waiting for room to write.
// The connection is a kept one.
//
// It uses that RawConn.Read forgets at its beginning what has come before, and waits for
// something new as soon as the function returns false. So there is no need to try to read
// behind the write, which would find nothing nearly always; but what has come before must be
// looked for, or the end of a connection that the backend has half closed would never be seen.
func (c *Conn) askRaw(request, p []byte) Asked {
	k := &c.ask
	if k.step == nil {
		k.step = k.run
	}
	k.request, k.p, k.written, k.result = request, p, false, Asked{}
	err := c.raw.Read(k.step)
	a := k.result
	k.request, k.p = nil, nil
	switch {
	case err != nil && k.written:
		a.ReadErr = err
	case err != nil: // before the function was called
		a.SendErr = err
	}
	return a
}

func (k *asker) run(fd uintptr) (done bool) {
	if !k.written {
		return k.send(int(fd))
	}
	n, err := retry(func() (int, error) { return syscall.Read(int(fd), k.p) })
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		k.result.ReadErr = opError("read", err)
	case n == 0:
		k.result.ReadErr = io.EOF
	default:
		k.result.Read = n
	}
	return true
}

// send writes the request, unless the connection is not what it should be.
func (k *asker) send(fd int) (done bool) {
	_, err := retry(func() (int, error) {
		n, _, err := syscall.Recvfrom(fd, k.peek[:], syscall.MSG_PEEK)
		return n, err
	})
	if err != syscall.EAGAIN {
		k.result.SendErr = ErrStale
		return true
	}
	n, err := retry(func() (int, error) { return syscall.Write(fd, k.request) })
	if err != nil && err != syscall.EAGAIN {
		k.result.SendErr = opError("write", err)
		return true
	}
	k.result.Sent = max(n, 0)
	k.written = n == len(k.request)
	return !k.written
}

func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func opError(op string, err error) error {
	return &net.OpError{Op: op, Err: os.NewSyscallError(op, err)}
}
