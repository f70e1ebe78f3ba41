package runtime

import (
	"os"
	"sync/atomic"
	"time"
)

// SharedFile is an open file that several answers send parts of at the same time. It is closed
// once everybody who has it has let go of it.
type SharedFile struct {
	file  *os.File
	fd    int
	users atomic.Int32
	size  int64
	quick atomic.Bool // see SentFile.WasQuick
}

// Of a short file that could be sent at once all is in memory, and stays there for a moment.
const (
	quickBytes = 256 << 10
	quickTime  = time.Millisecond
)

// newSharedFile takes over f, for one user.
func newSharedFile(f *os.File, size int64) (*SharedFile, error) {
	s := &SharedFile{file: f, size: size}
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { s.fd = int(fd) })
	}
	if err != nil {
		return nil, err
	}
	s.users.Store(1)
	return s, nil
}

// use adds a user. The caller is one, or keeps the last one from letting go meanwhile.
func (s *SharedFile) use() { s.users.Add(1) }

func (s *SharedFile) letGo() {
	if s.users.Add(-1) == 0 {
		s.file.Close()
	}
}

// SentFile is a file of which a part is sent. Where it is shared nobody may move its offset.
type SentFile struct {
	*os.File
	shared *SharedFile
}

// Shared reports whether others send from the file as well, and its descriptor then, which is
// open for as long as the part is sent.
func (f SentFile) Shared() (fd int, ok bool) {
	if f.shared == nil {
		return -1, false
	}
	return f.shared.fd, true
}

// WasQuick reports whether sending all of a shared file was quick within the last second, so
// that a part of it is not going to wait for a disk.
func (f SentFile) WasQuick() bool { return f.shared.quick.Load() }

// Took notes how long it took to send n bytes of a shared file.
func (f SentFile) Took(n int64, long time.Duration) {
	if n == f.shared.size && n <= quickBytes && long < quickTime {
		f.shared.quick.Store(true)
	}
}
