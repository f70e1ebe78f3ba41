package runtime

import (
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// smallFiles keeps what is in short files, so that sending one again needs no more of the
// system than a look at its name. What is sent is never older than that look: a file whose
// time of change, size or identity is another one, whose name leads elsewhere or nowhere, or
// that may not be reached any more, is opened anew. It is safe for concurrent use.
type smallFiles struct {
	mu    sync.RWMutex
	files map[smallKey]*SmallFile
	bytes int
	// settled is how long ago a file must have been changed for the last time; 0 means 3 s.
	settled time.Duration
}

// smallKey has the root as well: below another one the same path may not be allowed.
type smallKey struct{ root, path string }

// SmallFile is a short file in memory. Nobody may change it.
type SmallFile struct {
	Content []byte
	Info    fs.FileInfo

	is    identity
	notes atomic.Value
}

// identity is what is different once a file was changed or replaced.
type identity struct {
	dev, inode   uint64
	size         int64
	mtime, ctime syscall.Timespec
}

func identityOf(st *syscall.Stat_t) identity {
	return identity{uint64(st.Dev), uint64(st.Ino), st.Size, st.Mtim, st.Ctim}
}

const (
	smallBytes    = 12 << 10 // the longest file that is kept
	allSmallBytes = 16 << 20 // what all of them may take
	smallOverhead = 512      // of each of them, about

	// defaultSettled: file systems count time in steps, and two changes within one look like one.
	defaultSettled = 3 * time.Second
)

// Small returns Path as it was sent before and still is; nil when it has to be opened.
func (p *Physical) Small() *SmallFile {
	if p.small == nil {
		return nil
	}
	key := smallKey{p.DocRoot, p.Path}
	p.small.mu.RLock()
	f := p.small.files[key]
	p.small.mu.RUnlock()
	if f == nil {
		return nil
	}
	var st syscall.Stat_t
	if syscall.Stat(p.Path, &st) == nil && identityOf(&st) == f.is {
		return f
	}
	p.small.drop(key, f)
	return nil
}

// KeepSmall keeps the content of f, which [Physical.Open] has returned, when it is short and was
// not changed just now; otherwise it returns nil. It does not close f.
func (p *Physical) KeepSmall(f *os.File, info fs.FileInfo) *SmallFile {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || p.small == nil || info.Size() > smallBytes || !p.small.hasSettled(st) {
		return nil
	}
	kept := &SmallFile{Content: make([]byte, info.Size()), Info: info, is: identityOf(st)}
	if n, _ := f.ReadAt(kept.Content, 0); n < len(kept.Content) {
		return nil
	}
	again, err := f.Stat() // what was read is what belongs to these times
	if err != nil {
		return nil
	}
	if st, ok := again.Sys().(*syscall.Stat_t); !ok || identityOf(st) != kept.is {
		return nil
	}
	p.small.keep(smallKey{p.DocRoot, p.Path}, kept)
	return kept
}

// hasSettled reports whether the next change of a file is going to show.
func (s *smallFiles) hasSettled(st *syscall.Stat_t) bool {
	wait := s.settled
	if wait == 0 {
		wait = defaultSettled
	}
	ago := time.Now().Add(-wait)
	return time.Unix(st.Mtim.Unix()).Before(ago) && time.Unix(st.Ctim.Unix()).Before(ago)
}

func (s *smallFiles) keep(key smallKey, f *SmallFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.files[key]; old != nil {
		s.bytes -= len(old.Content) + smallOverhead
	}
	if s.bytes += len(f.Content) + smallOverhead; s.files == nil || s.bytes > allSmallBytes {
		s.files, s.bytes = map[smallKey]*SmallFile{}, len(f.Content)+smallOverhead
	}
	s.files[key] = f
}

func (s *smallFiles) drop(key smallKey, f *SmallFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[key] == f {
		delete(s.files, key)
		s.bytes -= len(f.Content) + smallOverhead
	}
}

// Notes returns what [SmallFile.Note] was given: nil, or what somebody made of the file before.
func (f *SmallFile) Notes() any { return f.notes.Load() }

// Note keeps something that was made of the file. It must always have the same type.
func (f *SmallFile) Note(v any) { f.notes.Store(v) }
