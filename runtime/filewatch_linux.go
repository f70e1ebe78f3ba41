package runtime

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// fileWatch tells whether something has happened to files, or to what leads to them, since they
// were looked at (inotify). To ask is one short system call, however many files there are and
// however deep they lie. It is safe for concurrent use.
//
// The kernel queues an event before the call that changes something returns. So a request that
// was sent after a change finds the event in the queue, or finds that somebody has taken it.
// What has no events (writes through mmap, other machines, mounts) is for the caller to bound.
type fileWatch struct {
	fd int

	// epoch is odd while events are taken out of the queue. Whoever finds the queue empty because
	// another goroutine has just emptied it sees an odd epoch, or a later one, but never the one
	// before the events: that is what makes it safe to look at the queue without the lock.
	epoch atomic.Uint64

	mu    sync.Mutex
	nodes map[int32]*watchedNode // those that nothing has happened to, by watch descriptor
	most  int                    // how many there may be
	buf   [4 << 10]byte
}

// watchedNode is a file, a directory or a symbolic link that something depends on.
type watchedNode struct {
	wd      int32
	dir     bool
	users   int // guarded by fileWatch.mu
	changed atomic.Bool
}

// trail is everything that decides what a path leads to: the directories and links that it goes
// through and the file at its end.
type trail struct {
	nodes []*watchedNode
	epoch atomic.Uint64 // of the watch when nothing had happened to any of them
}

// maxWatchedNodes is well below what the system allows a user where it allows least.
const maxWatchedNodes = 6000

var (
	errFewWatches = errors.New("too much is watched")
	errUnwatched  = errors.New("the file system may change without an event")
	errManyLinks  = errors.New("too many links")
)

func newFileWatch() (*fileWatch, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &fileWatch{fd: fd, nodes: map[int32]*watchedNode{}, most: maxWatchedNodes}
	w.epoch.Store(2)
	return w, nil
}

// close ends the watch. Nobody may ask for changes any more; who is about to follow a path fails.
func (w *fileWatch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	syscall.Close(w.fd)
	w.fd, w.nodes = -1, nil
}

// isFull reports whether nothing more can be watched.
func (w *fileWatch) isFull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.nodes) >= w.most
}

// follow walks an absolute path without ".." as the kernel does, and watches what it meets: each
// node before the next one is looked for. So whatever changes after follow has returned, or
// changed while it ran, shows in the trail: the caller looks at the file after follow.
func (w *fileWatch) follow(path string) (*trail, error) {
	t := &trail{}
	if err := w.walk(t, path); err != nil {
		w.leave(t)
		return nil, err
	}
	return t, nil
}

func (w *fileWatch) walk(t *trail, path string) error {
	const mostLinks = 40 // as many as the kernel follows
	if _, err := w.add(t, "/"); err != nil {
		return err
	}
	at := "" // what was walked, without links
	for links := 0; path != ""; {
		var name string
		switch name, path, _ = strings.Cut(path, "/"); name {
		case "", ".":
			continue
		case "..": // of a link; at has none, so its letters tell its parent
			at = at[:max(strings.LastIndexByte(at, '/'), 0)]
			continue
		}
		next := at + "/" + name
		isLink, err := w.add(t, next)
		if err != nil {
			return err
		}
		if !isLink {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if err != nil {
			return err
		}
		if links++; links > mostLinks {
			return errManyLinks
		}
		if target[0] == '/' {
			at = ""
		}
		path = target + "/" + path
	}
	return nil
}

// add watches what is at path, a link itself and not what it leads to.
func (w *fileWatch) add(t *trail, path string) (isLink bool, err error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return false, err
	}
	if !tellsAll(path) { // before the lock is held, because a server far away may let it wait
		return false, errUnwatched
	}
	kind := st.Mode & syscall.S_IFMT
	mask := uint32(syscall.IN_ATTRIB | syscall.IN_MOVE_SELF | syscall.IN_DELETE_SELF | syscall.IN_DONT_FOLLOW)
	if kind == syscall.S_IFDIR {
		mask |= syscall.IN_ONLYDIR // a file that came into its place has to be watched in the other way
	} else {
		mask |= syscall.IN_MODIFY // of a directory it would tell of everything that is written in it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.fd < 0:
		return false, os.ErrClosed
	case len(w.nodes) >= w.most:
		return false, errFewWatches
	}
	wd, err := syscall.InotifyAddWatch(w.fd, path, mask)
	if err != nil {
		return false, os.NewSyscallError("inotify_add_watch", err)
	}
	n := w.nodes[int32(wd)]
	if n == nil {
		n = &watchedNode{wd: int32(wd), dir: kind == syscall.S_IFDIR}
		w.nodes[n.wd] = n
	}
	n.users++
	t.nodes = append(t.nodes, n)
	return kind == syscall.S_IFLNK, nil
}

// leave gives a trail back.
func (w *fileWatch) leave(t *trail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd < 0 {
		return
	}
	for _, n := range t.nodes {
		if n.users--; n.users == 0 && w.nodes[n.wd] == n {
			w.remove(n)
		}
	}
	t.nodes = nil
}

// remove ends the watch of a node. Numbers of watches do not come again, so events of it that
// are in the queue are nobody's.
func (w *fileWatch) remove(n *watchedNode) {
	delete(w.nodes, n.wd)
	_, _ = syscall.InotifyRmWatch(w.fd, uint32(n.wd))
}

// Batch is requests that had all been read before the first of them was handled. What has
// happened to files until then is found out once for all of them: their clients cannot have
// known of anything that happened later. The zero value is a batch; it is safe for concurrent use.
type Batch struct {
	asked atomic.Pointer[fileWatch] // whose queue was looked at
}

// unchanged reports whether nothing has happened to anything on a trail since it was followed,
// as of now, or as of when the first request of a batch asked. batch may be nil.
func (w *fileWatch) unchanged(t *trail, batch *Batch) bool {
	if batch == nil || batch.asked.Load() != w {
		w.look()
		if batch != nil {
			batch.asked.Store(w)
		}
	}
	for {
		epoch := w.epoch.Load()
		if t.epoch.Load() == epoch {
			return true
		}
		if epoch&1 != 0 { // somebody takes events
			w.mu.Lock()
			//lint:ignore SA2001 it waits until they are marked
			w.mu.Unlock()
			continue
		}
		for _, n := range t.nodes {
			if n.changed.Load() {
				return false
			}
		}
		if w.epoch.Load() == epoch {
			t.epoch.Store(epoch)
			return true
		}
	}
}

// look takes what has happened into account.
func (w *fileWatch) look() {
	if w.pending() {
		w.take()
	}
}

// pending reports whether there are events.
func (w *fileWatch) pending() bool {
	const fionread = 0x541b
	var n int32
	_, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(w.fd), fionread, uintptr(unsafe.Pointer(&n)))
	return n != 0 || errno != 0
}

// take takes all events out of the queue and marks what they are about.
func (w *fileWatch) take() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.epoch.Add(1)
	defer w.epoch.Add(1)
	for {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(w.fd), uintptr(unsafe.Pointer(&w.buf)), unsafe.Sizeof(w.buf))
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 || n == 0 {
			return
		}
		for events := w.buf[:n]; len(events) >= syscall.SizeofInotifyEvent; {
			name := binary.NativeEndian.Uint32(events[12:])
			w.happened(int32(binary.NativeEndian.Uint32(events)), binary.NativeEndian.Uint32(events[4:]), name > 0)
			events = events[syscall.SizeofInotifyEvent+int(name):]
		}
	}
}

// happened marks what an event is about. inside says that it is something in the directory that
// is watched.
func (w *fileWatch) happened(wd int32, mask uint32, inside bool) {
	if mask&syscall.IN_Q_OVERFLOW != 0 {
		for _, n := range w.nodes { // any of them
			n.changed.Store(true)
			w.remove(n)
		}
		return
	}
	n := w.nodes[wd]
	if n == nil || n.dir && inside {
		return
	}
	n.changed.Store(true)
	w.remove(n)
}

// tellsAll reports whether a file is on a file system of this machine, where nothing but this
// kernel changes it.
func tellsAll(path string) bool {
	var fs syscall.Statfs_t
	if syscall.Statfs(path, &fs) != nil {
		return false
	}
	switch uint32(fs.Type) {
	case 0xef53, // ext2 to ext4
		0x58465342, // xfs
		0x9123683e, // btrfs
		0xca451a4e, // bcachefs
		0xf2f52010, // f2fs
		0x2fc12fc1, // zfs
		0x01021994, // tmpfs
		0x858458f6, // ramfs
		0x794c7630, // overlayfs
		0x73717368, // squashfs
		0xe0f5e1e2: // erofs
		return true
	}
	return false
}
