package upstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// CanConfine reports whether this system has [DialWithin].
const CanConfine = true

// openOnly opens a file for its identity, not for reading (O_PATH). A symbolic link at the end
// of the path is not followed then: what is opened is the link, which is no socket.
const openOnly = 0x200000

// DialWithin connects to a unix socket that must lie below the directory root once all symbolic
// links are resolved, also when they change meanwhile: the socket is opened link by link, and what
// was opened is connected to. The last part of the path must not be a link.
func DialWithin(ctx context.Context, root, path string, deadline time.Time) (net.Conn, error) {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	rel := path
	if filepath.IsAbs(path) {
		if rel, err = filepath.Rel(root, path); err != nil {
			return nil, err
		}
	}
	socket, err := dir.OpenFile(rel, openOnly, 0)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	info, err := socket.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return nil, &fs.PathError{Op: "connect", Path: path, Err: errors.New("it is no socket")}
	}
	return (&net.Dialer{Deadline: deadline}).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d", socket.Fd()))
}
