package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"luaserve/runtime"
)

// unixListener removes its file when it is closed, unless that is another's by then.
type unixListener struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

// listenUnix listens on a unix socket. With a mode the socket is its owner's alone until
// [own] has given it to those whom it is for.
func listenUnix(path string, file *runtime.SocketFile) (net.Listener, error) {
	if strings.HasPrefix(path, "@") {
		return net.Listen("unix", path) // abstract: it has no file
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if file != nil && file.Mode != 0 {
		// on Linux the file gets the mode of the socket; elsewhere that is an error without harm
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { syscall.Fchmod(int(fd), uint32(file.Mode&0o700)) })
		}
	}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	ul := &unixListener{UnixListener: l.(*net.UnixListener), path: path}
	ul.SetUnlinkOnClose(false)
	if ul.info, err = os.Lstat(path); err != nil {
		l.Close()
		return nil, err
	}
	return ul, nil
}

// Close implements net.Listener.
func (l *unixListener) Close() error {
	err := l.UnixListener.Close()
	if now, statErr := os.Lstat(l.path); err == nil && statErr == nil && os.SameFile(now, l.info) {
		return os.Remove(l.path)
	}
	return err
}

// own gives the file of a unix socket to those whom it is for.
func own(path string, file *runtime.SocketFile) error {
	if file == nil {
		return nil
	}
	if file.UID >= 0 || file.GID >= 0 {
		if err := os.Lchown(path, file.UID, file.GID); err != nil {
			return err
		}
	}
	if file.Mode != 0 {
		return os.Chmod(path, file.Mode)
	}
	return nil
}

// removeStale removes a socket that a server has left behind: nobody answers on it.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is a file at that path, and it is no socket")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return syscall.EADDRINUSE
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
