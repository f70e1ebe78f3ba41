package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// send does what an action does that sends small files, and returns what is sent.
func (s *smallFiles) send(t *testing.T, root, path string) (content string, kept bool, err error) {
	t.Helper()
	p := Physical{DocRoot: root, Path: path, small: s}
	if f := p.Small(); f != nil {
		return string(f.Content), true, nil
	}
	f, err := p.Open()
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if f := p.KeepSmall(f, info); f != nil {
		return string(f.Content), false, nil
	}
	b := make([]byte, info.Size())
	f.ReadAt(b, 0)
	return string(b), false, nil
}

// Whatever happens to a file that is kept, the next answer shows it.
func TestSmallFilesFollowTheirFiles(t *testing.T) {
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
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, file := dir+"/root", dir+"/root/sub/f"
			os.MkdirAll(filepath.Dir(file), 0o755)
			write(t, file, "one")
			s := &smallFiles{settled: time.Nanosecond}
			for i := range 3 {
				if got, kept, err := s.send(t, root, file); got != "one" || kept != (i > 0) || err != nil {
					t.Fatalf("time %d: got %q, kept %v, %v", i, got, kept, err)
				}
			}
			c.change(t, dir, file)
			for range 2 {
				if got, _, err := s.send(t, root, file); got != c.want || !errors.Is(err, c.err) {
					t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
				}
			}
		})
	}
}

func TestSmallFilesKeep(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", "one")
	kept := func(s *smallFiles, root, path string) bool {
		s.send(t, root, path)
		_, kept, _ := s.send(t, root, path)
		return kept
	}
	if kept(&smallFiles{}, dir, dir+"/f") {
		t.Error("a file is kept that was changed just now: a second change may not show")
	}
	write(t, dir+"/long", strings.Repeat("x", smallBytes+1))
	s := &smallFiles{settled: time.Nanosecond}
	if kept(s, dir, dir+"/long") {
		t.Error("a long file is kept")
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
	if got, _, err := s.send(t, dir+"/sub", dir+"/sub/link"); !errors.Is(err, ErrOutside) {
		t.Errorf("below another root: got %q, %v", got, err)
	}
}

func TestSmallFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := &smallFiles{settled: time.Nanosecond}
	const n = 2 * allSmallBytes / (smallBytes + smallOverhead)
	for i := range n {
		file := fmt.Sprintf("%s/%d", dir, i%(n-1))
		write(t, file, strings.Repeat("x", smallBytes))
		s.send(t, dir, file)
		held := 0
		for _, f := range s.files {
			held += len(f.Content) + smallOverhead
		}
		if held != s.bytes || held > allSmallBytes {
			t.Fatalf("%d bytes are held, %d counted", held, s.bytes)
		}
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
