package runtime

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// keptFiles keeps files that are sent: what is in short ones, and the open descriptors of long
// ones. What is sent is never older than the request, as far as the kernel tells of changes
// (see fileWatch), and it was looked at by name within the last second in any case. Where
// nothing can be watched, a short file is looked at for each request and a long one is opened.
// It is safe for concurrent use.
type keptFiles struct {
	mu    sync.RWMutex
	files map[fileKey]*KeptFile
	bytes int
	open  map[fileKey]*KeptFile // those with a descriptor
	watch *fileWatch            // nil until something was to be watched

	sweeper *time.Timer // runs while descriptors are open
	closed  bool

	log  *slog.Logger // may be nil
	told atomic.Bool  // that nothing can be watched

	// settled is how long ago a file must have been changed for the last time; 0 means 3 s.
	settled time.Duration
	// noWatch is why nothing can be watched; it is for tests.
	noWatch error
}

// fileKey has the root as well: below another one the same path may not be allowed.
type fileKey struct{ root, path string }

// KeptFile is a file that was sent before and still is the same. Nobody may change it.
type KeptFile struct {
	Info fs.FileInfo

	content []byte // of a short one, else nil
	is      identity
	notes   atomic.Value
	looked  atomic.Int64 // when it was last looked at by name, by now()
	retry   atomic.Int64 // when watching it may be tried again

	// guarded by keptFiles.mu
	trail *trail      // nil while it is not watched
	file  *SharedFile // of a long one that is watched
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
	shortBytes   = 12 << 10 // the longest file whose content is kept
	allKeptBytes = 16 << 20 // what all of them may take
	keptOverhead = 512      // of each of them, about
	mostOpen     = 128      // descriptors

	lookAgain  = time.Second // how old a look by name may be
	watchAgain = 10 * time.Second
	sweepEvery = time.Second
	closeAfter = 5 * time.Second // a descriptor that nobody used

	// defaultSettled: file systems count time in steps, and two changes within one look like one.
	defaultSettled = 3 * time.Second
)

// Kept returns Path as it was sent before and still is; nil when it has to be opened. The
// caller ends with [KeptFile.Done].
func (p *Physical) Kept() *KeptFile {
	s := p.kept
	if s == nil || p.confined != "" { // links are to be resolved each time
		return nil
	}
	key := fileKey{p.DocRoot, p.Path}
	f, watched, fresh := s.find(key, p.batch())
	switch {
	case f == nil || fresh:
		return f
	case watched:
		if s.lookAt(p.Path, f) {
			if f.file != nil {
				f.file.quick.Store(false) // its pages may have gone
			}
			return f
		}
		f.Done()
	case s.follow(p, key, f):
		return f
	case f.content == nil:
		return nil
	case s.lookAt(p.Path, f):
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key, f)
	return nil
}

// find returns what is kept of a file; nil when that has changed. It is watched if its events
// were looked at, and fresh if nothing else has to be; a watched one has one user more.
func (s *keptFiles) find(key fileKey, batch *Batch) (f *KeptFile, watched, fresh bool) {
	s.mu.RLock()
	f = s.files[key]
	if f == nil || f.trail == nil {
		s.mu.RUnlock()
		return f, false, false
	}
	watched = s.watch.unchanged(f.trail, batch)
	if watched && f.file != nil {
		f.file.use()
	}
	s.mu.RUnlock()
	if watched {
		return f, true, int64(now())-f.looked.Load() < int64(lookAgain)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(key, f)
	return nil, false, false
}

// lookAt reports whether there still is the same file at path.
func (s *keptFiles) lookAt(path string, f *KeptFile) bool {
	began := now()
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil || identityOf(&st) != f.is {
		return false
	}
	f.looked.Store(int64(began))
	return true
}

// follow has a file watched that is asked for again, and reports whether it is; then it has one
// user more. It is opened as any file that is sent, behind the watches: whatever happened
// before they were there shows in what is found now.
func (s *keptFiles) follow(p *Physical, key fileKey, f *KeptFile) bool {
	began := now()
	if retry := f.retry.Load(); int64(began) < retry || !f.retry.CompareAndSwap(retry, int64(began+watchAgain)) {
		return false // it cannot be watched, or somebody is about to
	}
	watch := s.room(f)
	if watch == nil || !strings.HasPrefix(p.Path, "/") || climbs(p.Path) {
		return false
	}
	t, err := watch.follow(p.Path)
	if err != nil {
		s.cannotWatch(err)
		return false
	}
	file, err := p.openSame(f)
	if err == nil && f.content != nil {
		file.file.Close()
		file = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || s.closed || s.files[key] != f {
		watch.leave(t)
		if file != nil {
			file.letGo()
		}
		return false
	}
	f.looked.Store(int64(began))
	f.trail, f.file = t, file
	if file != nil {
		file.use()
		s.keepOpen(key, f)
	}
	return true
}

// cannotWatch says once when it is the system that has no room for watches.
func (s *keptFiles) cannotWatch(err error) {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
	if full && s.log != nil && !s.told.Swap(true) {
		s.log.Warn("files that are sent cannot be watched for changes, so each request looks at them itself", "error", err,
			"limits", "fs.inotify.max_user_instances, fs.inotify.max_user_watches, descriptors of the process")
	}
}

// openSame opens Path if it is the file that was kept.
func (p *Physical) openSame(f *KeptFile) (*SharedFile, error) {
	file, err := p.Open()
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || identityOf(st) != f.is {
			err = fs.ErrNotExist
		}
	}
	var shared *SharedFile
	if err == nil {
		shared, err = newSharedFile(file, info.Size())
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return shared, nil
}

// room makes room for one more watched file and returns the watch; nil when there is none.
func (s *keptFiles) room(f *KeptFile) *fileWatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if s.watch == nil {
		watch, err := (*fileWatch)(nil), s.noWatch
		if err == nil {
			watch, err = newFileWatch()
		}
		if err != nil {
			s.cannotWatch(err)
			return nil
		}
		s.watch = watch
	}
	if f.content == nil && len(s.open) >= s.mayOpen() && !s.dropUnused(s.open) {
		return nil
	}
	if s.watch.isFull() && !s.dropUnused(s.files) {
		return nil
	}
	return s.watch
}

// mayOpen is how many descriptors may be kept.
func (s *keptFiles) mayOpen() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(limit.Cur/8, mostOpen))
}

// dropUnused drops a watched file that has not been used for a while, of some that it looks at.
func (s *keptFiles) dropUnused(among map[fileKey]*KeptFile) bool {
	looks := 8
	for key, f := range among { // in any order
		if f.trail != nil && int64(now())-f.looked.Load() > int64(closeAfter) {
			s.drop(key, f)
			return true
		}
		if looks--; looks == 0 {
			break
		}
	}
	return false
}

// keepOpen notes that a file has a descriptor, which goes when nobody needs it any more.
func (s *keptFiles) keepOpen(key fileKey, f *KeptFile) {
	if s.open == nil {
		s.open = map[fileKey]*KeptFile{}
	}
	s.open[key] = f
	if s.sweeper == nil {
		s.sweeper = time.AfterFunc(sweepEvery, s.sweep)
	} else if len(s.open) == 1 {
		s.sweeper.Reset(sweepEvery)
	}
}

// sweep closes the descriptors that nobody used for a while, and those of files that were
// removed or replaced: only then does a removed one give its space back.
func (s *keptFiles) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, f := range s.open {
		if int64(now())-f.looked.Load() > int64(closeAfter) || !s.watch.unchanged(f.trail, nil) {
			s.drop(key, f)
		}
	}
	if len(s.open) > 0 {
		s.sweeper.Reset(sweepEvery)
	}
}

// Keep keeps f, which [Physical.Open] has returned, when it was not changed just now: the
// content of a short file, which it returns then, or that a long one was asked for. It does not
// close f.
func (p *Physical) Keep(f *os.File, info fs.FileInfo) *KeptFile {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || p.kept == nil || p.confined != "" || !p.kept.hasSettled(st) {
		return nil
	}
	kept := &KeptFile{Info: info, is: identityOf(st)}
	if info.Size() > shortBytes {
		p.kept.keep(fileKey{p.DocRoot, p.Path}, kept)
		return nil
	}
	kept.content = make([]byte, info.Size())
	if n, _ := f.ReadAt(kept.content, 0); n < len(kept.content) {
		return nil
	}
	again, err := f.Stat() // what was read is what belongs to these times
	if err != nil {
		return nil
	}
	if st, ok := again.Sys().(*syscall.Stat_t); !ok || identityOf(st) != kept.is {
		return nil
	}
	p.kept.keep(fileKey{p.DocRoot, p.Path}, kept)
	return kept
}

// hasSettled reports whether the next change of a file is going to show.
func (s *keptFiles) hasSettled(st *syscall.Stat_t) bool {
	wait := s.settled
	if wait == 0 {
		wait = defaultSettled
	}
	ago := time.Now().Add(-wait)
	return time.Unix(st.Mtim.Unix()).Before(ago) && time.Unix(st.Ctim.Unix()).Before(ago)
}

func (s *keptFiles) keep(key fileKey, f *KeptFile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.files[key]; old != nil {
		if old.is == f.is {
			return
		}
		s.drop(key, old)
	}
	if s.closed {
		return
	}
	if s.files == nil {
		s.files = map[fileKey]*KeptFile{}
	}
	for key, old := range s.files { // in any order
		if s.bytes+f.bytes() <= allKeptBytes {
			break
		}
		s.drop(key, old)
	}
	s.files[key] = f
	s.bytes += f.bytes()
}

func (f *KeptFile) bytes() int { return len(f.content) + keptOverhead }

// drop forgets a file, unless that was done. The caller holds the lock.
func (s *keptFiles) drop(key fileKey, f *KeptFile) {
	if s.files[key] != f {
		return
	}
	delete(s.files, key)
	s.bytes -= f.bytes()
	if f.trail != nil {
		s.watch.leave(f.trail)
		f.trail = nil
	}
	if f.file != nil {
		delete(s.open, key)
		f.file.letGo() // f.file stays: who has found it before still uses it
	}
}

// start has the log told what is wrong.
func (s *keptFiles) start(log *slog.Logger) { s.log = log }

// close forgets everything. What is kept later is nothing.
func (s *keptFiles) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for key, f := range s.files {
		s.drop(key, f)
	}
	if s.sweeper != nil {
		s.sweeper.Stop()
	}
	if s.watch != nil {
		s.watch.close()
	}
}

// AddTo appends n bytes of the file from offset off to a body. It must have them.
func (f *KeptFile) AddTo(q *ChunkQueue, off, n int64) {
	if f.content != nil {
		q.Add(f.content[off : off+n])
		return
	}
	q.addShared(f.file, off, n)
}

// Done ends the use of what [Physical.Kept] or [Physical.Keep] has returned.
func (f *KeptFile) Done() {
	if f.content == nil {
		f.file.letGo()
	}
}

// Notes returns what [KeptFile.Note] was given: nil, or what somebody made of the file before.
func (f *KeptFile) Notes() any { return f.notes.Load() }

// Note keeps something that was made of the file. It must always have the same type.
func (f *KeptFile) Note(v any) { f.notes.Store(v) }
