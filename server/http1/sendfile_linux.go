package http1

import (
	"math"
	"net"
	"syscall"
	"time"
	"unsafe"

	"luaserve/runtime"
)

// sendFile writes n bytes of a file from offset off, without copying them, and returns how
// many there were. The timeout begins when it first waits.
func (s *socket) sendFile(f runtime.SentFile, off, n int64, timeout time.Duration) (sent int64, err error) {
	if !s.use() {
		return 0, s.opError("sendfile", net.ErrClosed)
	}
	defer s.unuse()
	if from, ok := f.Shared(); ok {
		if f.WasQuick() {
			sent, err = s.sendFrom(from, off, n, timeout, quickSendfile)
		} else {
			began := time.Now()
			if sent, err = s.sendFrom(from, off, n, timeout, syscall.Sendfile); err == nil {
				f.Took(sent, time.Since(began))
			}
		}
		return sent, s.opError("sendfile", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	controlErr := raw.Control(func(from uintptr) { sent, err = s.sendFrom(int(from), off, n, timeout, syscall.Sendfile) })
	if err == nil {
		err = controlErr
	}
	return sent, s.opError("sendfile", err)
}

// sendFrom is sendFile for a descriptor that stays open meanwhile.
func (s *socket) sendFrom(from int, off, n int64, timeout time.Duration, sendfile func(to, from int, off *int64, n int) (int, error)) (sent int64, err error) {
	waited := false
	for sent < n {
		k, err := sendfile(s.fd, from, &off, int(n-sent))
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			if !waited {
				waited = true
				s.SetWriteDeadline(time.Now().Add(timeout))
			}
			if err := s.await(&s.out); err != nil {
				return sent, err
			}
		case err != nil:
			return sent, err
		case k == 0:
			return sent, nil // the file is shorter now
		default:
			sent += int64(k)
		}
	}
	return sent, nil
}

// quickSendfile is for files that are in memory: the scheduler does not know of the call, else it
// might find this thread in it and wake another one.
func quickSendfile(to, from int, off *int64, n int) (int, error) {
	if math.MaxInt == math.MaxInt32 { // where this number is that of a call with a shorter offset
		return syscall.Sendfile(to, from, off, n)
	}
	k, _, errno := syscall.RawSyscall6(syscall.SYS_SENDFILE, uintptr(to), uintptr(from), uintptr(unsafe.Pointer(off)), uintptr(n), 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(k), nil
}
