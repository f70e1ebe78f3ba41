package runtime

import (
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// openDirect opens a file below root with one system call (openat2, Linux 5.6) when no
// symbolic link is on the way to it: then it is where its letters say. ok is false when that
// cannot be said, and the file must be opened with more care.
func openDirect(root, name string) (f *os.File, ok bool, err error) {
	rest, found := strings.CutPrefix(name, strings.TrimRight(root, "/"))
	if !found || root == "" || rest == "" || rest[0] != '/' || climbs(name) {
		return nil, false, nil
	}
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, false, nil
	}
	how := struct{ flags, mode, resolve uint64 }{
		flags:   syscall.O_RDONLY | syscall.O_CLOEXEC | syscall.O_NONBLOCK | syscall.O_LARGEFILE,
		resolve: 0x04, // RESOLVE_NO_SYMLINKS
	}
	const sysOpenat2, cwd = 437, -0x64
	at := cwd
	fd, _, errno := syscall.Syscall6(sysOpenat2, uintptr(at), uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
	switch errno {
	case 0:
		return os.NewFile(fd, name), true, nil
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EACCES, syscall.ENAMETOOLONG, syscall.ENXIO, syscall.EMFILE, syscall.ENFILE:
		return nil, true, &fs.PathError{Op: "open", Path: name, Err: errno}
	}
	return nil, false, nil // a link, or a system without the call
}
