package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// newKeptFiles keeps files that were changed just now. With watch they are watched.
func newKeptFiles(t *testing.T, watch bool) *keptFiles {
	t.Helper()
	s := &keptFiles{settled: time.Nanosecond}
	if watch {
		w, err := newFileWatch()
		if err != nil {
			t.Skipf("no inotify here: %v", err)
		}
		w.close()
	} else {
		s.noWatch = syscall.ENOSPC
	}
	t.Cleanup(s.close)
	return s
}

// send does what an action does that sends files, and returns what is sent, and whether the
// file was not opened for it.
func (s *keptFiles) send(root, path string) (content string, kept bool, err error) {
	p := Physical{DocRoot: root, Path: path, kept: s}
	if f := p.Kept(); f != nil {
		defer f.Done()
		content, err = f.read()
		return content, true, err
	}
	f, err := p.Open()
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	if f := p.Keep(f, info); f != nil {
		content, err = f.read()
		return content, false, err
	}
	b := make([]byte, info.Size())
	n, err := f.ReadAt(b, 0)
	return string(b[:n]), false, err
}

func (f *KeptFile) read() (string, error) {
	var q ChunkQueue
	f.AddTo(&q, 0, f.Info.Size())
	b, err := io.ReadAll(&q)
	return string(b), err
}

// isWatched reports whether the next request for a file needs no more than a look at the queue.
func (s *keptFiles) isWatched(root, path string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f := s.files[fileKey{root, path}]
	return f != nil && f.trail != nil && s.watch.unchanged(f.trail, nil)
}

// Whatever happens to a file that is kept, the next answer shows it.
func TestKeptFilesFollowTheirFiles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir, file string)
		want   string
		err    error
	}{
		"rewritten in place": {func(t *testing.T, _, file string) { write(t, file, "two!") }, "two!", nil},
		"made shorter": {func(t *testing.T, _, file string) {
			if err := os.Truncate(file, 1); err != nil {
				t.Fatal(err)
			}
		}, "o", nil},
		"replaced by one of the same size and time": {func(t *testing.T, dir, file string) {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/new", "two")
			os.Chtimes(dir+"/new", info.ModTime(), info.ModTime())
			if err := os.Rename(dir+"/new", file); err != nil {
				t.Fatal(err)
			}
		}, "two", nil},
		"removed": {func(t *testing.T, _, file string) { os.Remove(file) }, "", os.ErrNotExist},
		"replaced by a link out of the root": {func(t *testing.T, dir, file string) {
			write(t, dir+"/secret", "key")
			os.Remove(file)
			if err := os.Symlink(dir+"/secret", file); err != nil {
				t.Fatal(err)
			}
		}, "", ErrOutside},
		"in a directory that became a link out of the root": {func(t *testing.T, dir, file string) {
			os.Mkdir(dir+"/other", 0o755)
			write(t, dir+"/other/f", "key")
			if err := os.Rename(filepath.Dir(file), dir+"/root/moved"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(dir+"/other", filepath.Dir(file)); err != nil {
				t.Fatal(err)
			}
		}, "", ErrOutside},
		"nothing": {func(*testing.T, string, string) {}, "one", nil},
	} {
		for _, watch := range []bool{true, false} {
			for _, padding := range []string{"", strings.Repeat(" ", shortBytes)} {
				t.Run(fmt.Sprintf("%s, watched %v, %d bytes more", name, watch, len(padding)), func(t *testing.T) {
					dir := t.TempDir()
					root, file := dir+"/root", dir+"/root/sub/f"
					os.MkdirAll(filepath.Dir(file), 0o755)
					write(t, file, "one"+padding)
					s := newKeptFiles(t, watch)
					for i := range 3 {
						want := i > 0 && (watch || padding == "")
						if got, kept, err := s.send(root, file); got != "one"+padding || kept != want || err != nil {
							t.Fatalf("time %d: got %q, kept %v, %v", i, got, kept, err)
						}
					}
					if s.isWatched(root, file) != watch {
						t.Fatalf("watched: %v", !watch)
					}
					c.change(t, dir, file)
					for range 3 {
						if got, _, err := s.send(root, file); strings.TrimRight(got, " ") != c.want || !errors.Is(err, c.err) {
							t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
						}
					}
				})
			}
		}
	}
}

func TestKeptFilesKeep(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	kept := func(s *keptFiles, root, path string) bool {
		s.send(root, path)
		_, kept, _ := s.send(root, path)
		return kept
	}
	careful := newKeptFiles(t, true)
	careful.settled = 0
	if kept(careful, dir, dir+"/f") {
		t.Error("a file is kept that was changed just now: a second change may not show")
	}
	write(t, dir+"/long", strings.Repeat("x", shortBytes+1))
	if kept(newKeptFiles(t, false), dir, dir+"/long") {
		t.Error("a long file is kept that may change")
	}
	s := newKeptFiles(t, true)
	if !kept(s, dir, dir+"/long") {
		t.Error("a long file is not kept")
	}
	if !kept(s, dir, dir+"/f") {
		t.Error("a short file is not kept")
	}
	// a link may lead out of one root and not of another one
	os.Mkdir(dir+"/sub", 0o755)
	if err := os.Symlink("../f", dir+"/sub/link"); err != nil {
		t.Fatal(err)
	}
	if !kept(s, dir, dir+"/sub/link") {
		t.Error("a file behind a link is not kept")
	}
	if got, _, err := s.send(dir+"/sub", dir+"/sub/link"); !errors.Is(err, ErrOutside) {
		t.Errorf("below another root: got %q, %v", got, err)
	}
}

func TestKeptFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := newKeptFiles(t, true)
	const n = 2 * allKeptBytes / (shortBytes + keptOverhead)
	for i := range n {
		file := fmt.Sprintf("%s/%d", dir, i%(n-1))
		write(t, file, strings.Repeat("x", shortBytes))
		s.send(dir, file)
		held := 0
		for _, f := range s.files {
			held += f.bytes()
		}
		if held != s.bytes || held > allKeptBytes {
			t.Fatalf("%d bytes are held, %d counted", held, s.bytes)
		}
	}
}

// What may be seen without an event is seen a second later.
func TestKeptFilesAreLookedAtAgain(t *testing.T) {
	for _, padding := range []string{"", strings.Repeat(" ", shortBytes)} {
		for range 5 { // again when the machine has stood still, so that it was not at once
			began := now()
			dir, s := t.TempDir(), newKeptFiles(t, true)
			write(t, dir+"/f", "one"+padding)
			for range 3 {
				s.send(dir, dir+"/f")
			}
			f := s.files[fileKey{dir, dir + "/f"}]
			f.is.inode++ // as if another file had come without an event
			if got, kept, _ := s.send(dir, dir+"/f"); !kept && now()-began > lookAgain*9/10 {
				continue
			} else if !kept {
				t.Errorf("at once: got %q, opened", got)
			}
			f.looked.Add(-int64(lookAgain))
			if got, kept, _ := s.send(dir, dir+"/f"); kept {
				t.Errorf("a second later: got %q without another look", got)
			}
			break
		}
	}
}

// openFiles returns how many descriptors the process has for files below dir.
func openFiles(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, dir+"/") {
			n++
		}
	}
	return n
}

// Without room for watches files are sent as before, and the log says so once.
func TestKeptFilesThatCannotBeWatched(t *testing.T) {
	s := newKeptFiles(t, false)
	var log bytes.Buffer
	s.start(slog.New(slog.NewTextHandler(&log, nil)))
	root := t.TempDir()
	for _, name := range []string{"/a", "/b"} {
		if err := os.WriteFile(root+name, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got, _, err := s.send(root, root+name); got != name || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		}
	}
	if n := strings.Count(log.String(), "fs.inotify.max_user_watches"); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, &log)
	}
}

// Descriptors are bounded, and given back when nobody asks for the files any more.
func TestKeptDescriptorsAreBounded(t *testing.T) {
	dir, s := t.TempDir(), newKeptFiles(t, true)
	text := strings.Repeat("x", shortBytes+1)
	for i := range 3 * mostOpen {
		file := fmt.Sprintf("%s/%d", dir, i)
		write(t, file, text)
		for range 3 {
			if got, _, err := s.send(dir, file); got != text || err != nil {
				t.Fatalf("got %d bytes, %v", len(got), err)
			}
		}
	}
	if n := openFiles(t, dir); n != mostOpen || n != len(s.open) {
		t.Errorf("%d descriptors, %d known, want %d", n, len(s.open), mostOpen)
	}
	unused := func() {
		for _, f := range s.open {
			f.looked.Add(-int64(closeAfter) - 1)
		}
	}
	unused()
	last := fmt.Sprintf("%s/%d", dir, 3*mostOpen-1) // there was no room for it
	s.files[fileKey{dir, last}].retry.Store(0)
	if _, kept, _ := s.send(dir, last); !kept || len(s.open) != mostOpen {
		t.Errorf("a file that nobody uses keeps another one out: %d descriptors", len(s.open))
	}
	unused()
	s.sweep()
	if n := openFiles(t, dir); n != 0 || len(s.watch.nodes) != 0 {
		t.Errorf("%d descriptors that nobody uses, %d nodes that are watched", n, len(s.watch.nodes))
	}
	for range 3 {
		s.send(dir, last)
	}
	s.close()
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d descriptors after the end", n)
	}
	for range 3 {
		if got, kept, err := s.send(dir, last); got != text || kept || err != nil {
			t.Errorf("after the end: got %d bytes, kept %v, %v", len(got), kept, err)
		}
	}
}

// A file that was removed goes from the disk although nobody asks for it again, but not under
// those who are sent it.
func TestKeptFilesGiveRemovedOnesBack(t *testing.T) {
	dir, s := t.TempDir(), newKeptFiles(t, true)
	text := strings.Repeat("x", shortBytes+1)
	write(t, dir+"/f", text)
	for range 3 {
		s.send(dir, dir+"/f")
	}
	p := Physical{DocRoot: dir, Path: dir + "/f", kept: s}
	f := p.Kept()
	var q ChunkQueue
	f.AddTo(&q, 0, f.Info.Size())
	f.Done()
	os.Remove(dir + "/f")
	for deadline := time.Now().Add(20 * time.Second); s.isOpen(dir + "/f"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the descriptor is kept")
		}
	}
	if n := openFiles(t, dir); n != 1 {
		t.Errorf("%d descriptors while it is sent", n)
	}
	if b, err := io.ReadAll(&q); string(b) != text || err != nil {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	if n := openFiles(t, dir); n != 0 {
		t.Errorf("%d descriptors afterwards", n)
	}
}

// A file is sent without the scheduler's knowledge only after all of it was there at once.
func TestKeptFilesThatAreQuick(t *testing.T) {
	dir, s := t.TempDir(), newKeptFiles(t, true)
	for name, size := range map[string]int64{"f": shortBytes + 1, "large": quickBytes + 1} {
		write(t, dir+"/"+name, strings.Repeat("x", int(size)))
		for range 3 {
			s.send(dir, dir+"/"+name)
		}
		kept := s.files[fileKey{dir, dir + "/" + name}]
		f := SentFile{kept.file.file, kept.file}
		f.Took(size-1, 0)
		f.Took(size, quickTime)
		if f.WasQuick() {
			t.Errorf("%s is quick, of which a part was sent, or slowly", name)
		}
		f.Took(size, quickTime-1)
		if quick := name == "f"; f.WasQuick() != quick {
			t.Errorf("%s is quick: %v, want %v", name, !quick, quick)
		}
		kept.looked.Add(-int64(lookAgain))
		if s.send(dir, dir+"/"+name); f.WasQuick() {
			t.Errorf("%s is still quick a second later", name)
		}
	}
}

func (s *keptFiles) isOpen(path string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for key := range s.open {
		if key.path == path {
			return true
		}
	}
	return false
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Parts of a kept file are those of the file, whoever sends others of it at the same time.
func TestPartsOfKeptFiles(t *testing.T) {
	dir, s := t.TempDir(), newKeptFiles(t, true)
	for name, size := range map[string]int{"short": shortBytes, "long": 10 * shortBytes} {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte(rand.Uint32())
		}
		write(t, dir+"/"+name, string(text))
		for range 3 {
			s.send(dir, dir+"/"+name)
		}
		p := Physical{DocRoot: dir, Path: dir + "/" + name, kept: s}
		rapid.Check(t, func(t *rapid.T) {
			f := p.Kept()
			if f == nil {
				t.Fatal("the file is not kept")
			}
			defer f.Done()
			var want []byte
			var q ChunkQueue
			for range rapid.IntRange(0, 3).Draw(t, "parts") {
				off := rapid.IntRange(0, size).Draw(t, "off")
				n := rapid.IntRange(0, size-off).Draw(t, "n")
				f.AddTo(&q, int64(off), int64(n))
				want = append(want, text[off:off+n]...)
			}
			if q.Len() != int64(len(want)) {
				t.Fatalf("length %d, want %d", q.Len(), len(want))
			}
			if got, err := io.ReadAll(&q); !bytes.Equal(got, want) || err != nil {
				t.Fatalf("got %d bytes, %v; want %d, or other ones", len(got), err, len(want))
			}
		})
	}
}
