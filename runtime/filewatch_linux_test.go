package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func newTestWatch(t *testing.T) *fileWatch {
	t.Helper()
	w, err := newFileWatch()
	if err != nil {
		t.Skipf("no inotify here: %v", err)
	}
	t.Cleanup(w.close)
	return w
}

// Whatever can change what a path leads to shows, and nothing else does.
func TestFileWatchSeesWhatMatters(t *testing.T) {
	w := newTestWatch(t)
	check := func(name string, want bool, change func(dir string) error) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"releases/1", "releases/2", "shared", "files", "aside"} {
				os.MkdirAll(filepath.Join(dir, sub), 0o755)
			}
			write(t, dir+"/files/f", "one")
			write(t, dir+"/files/other", "one")
			for link, target := range map[string]string{"current": "releases/1", "releases/1/css": "../../shared", "shared/f": dir + "/files/f"} {
				if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
					t.Fatal(err)
				}
			}
			tr, err := w.follow(dir + "/./current//css/f")
			if err != nil {
				t.Fatal(err)
			}
			defer w.leave(tr)
			if !w.unchanged(tr, nil) {
				t.Fatal("changed before anything was")
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if got := w.unchanged(tr, nil); got != want {
				t.Errorf("unchanged: %v, want %v", got, want)
			}
		})
	}
	check("nothing", true, func(string) error { return nil })
	check("the file is read", true, func(dir string) error { _, err := os.ReadFile(dir + "/files/f"); return err })
	check("a neighbour is written", true, func(dir string) error { return os.WriteFile(dir+"/files/other", []byte("two"), 0o644) })
	check("a neighbour may not be read", true, func(dir string) error { return os.Chmod(dir+"/files/other", 0) })
	check("a neighbour is removed", true, func(dir string) error { return os.Remove(dir + "/files/other") })
	check("a neighbour comes", true, func(dir string) error { return os.WriteFile(dir+"/releases/1/new", []byte("x"), 0o644) })
	check("the file is written", false, func(dir string) error {
		f, err := os.OpenFile(dir+"/files/f", os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.Write([]byte("two"))
		return err
	})
	check("the file is cut", false, func(dir string) error { return os.Truncate(dir+"/files/f", 1) })
	check("the file is touched", false, func(dir string) error { return os.Chtimes(dir+"/files/f", time.Now(), time.Now()) })
	check("the file may not be read", false, func(dir string) error { return os.Chmod(dir+"/files/f", 0) })
	check("the file is removed", false, func(dir string) error { return os.Remove(dir + "/files/f") })
	check("the file is moved", false, func(dir string) error { return os.Rename(dir+"/files/f", dir+"/aside/f") })
	check("the file is replaced", false, func(dir string) error { return os.Rename(dir+"/files/other", dir+"/files/f") })
	check("the file has another name as well", false, func(dir string) error { return os.Link(dir+"/files/f", dir+"/aside/f") })
	check("its directory may not be searched", false, func(dir string) error {
		defer os.Chmod(dir+"/files", 0o755)
		return os.Chmod(dir+"/files", 0)
	})
	check("its directory is moved", false, func(dir string) error { return os.Rename(dir+"/files", dir+"/aside/files") })
	check("the first link is replaced", false, func(dir string) error {
		if err := os.Symlink("releases/2", dir+"/new"); err != nil {
			return err
		}
		return os.Rename(dir+"/new", dir+"/current")
	})
	check("the first link is removed", false, func(dir string) error { return os.Remove(dir + "/current") })
	check("the last link is replaced", false, func(dir string) error {
		if err := os.Symlink(dir+"/files/other", dir+"/new"); err != nil {
			return err
		}
		return os.Rename(dir+"/new", dir+"/shared/f")
	})
	check("the second link is moved", false, func(dir string) error { return os.Rename(dir+"/releases/1/css", dir+"/aside/css") })
	check("what the first link leads to is moved", false, func(dir string) error { return os.Rename(dir+"/releases/1", dir+"/releases/3") })
	check("a directory on the way is moved", false, func(dir string) error { return os.Rename(dir+"/releases", dir+"/old") })
}

// Watches go with those who need them, and what cannot be watched is refused.
func TestFileWatchIsBounded(t *testing.T) {
	w, dir := newTestWatch(t), t.TempDir()
	write(t, dir+"/a", "one")
	write(t, dir+"/b", "one")
	var trails []*trail
	for _, name := range []string{"/a", "/b", "/a"} {
		tr, err := w.follow(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		trails = append(trails, tr)
	}
	os.Truncate(dir+"/a", 0)
	if w.unchanged(trails[0], nil) || w.unchanged(trails[2], nil) || !w.unchanged(trails[1], nil) {
		t.Error("a change shows on the wrong trails")
	}
	for _, tr := range trails {
		w.leave(tr)
	}
	if len(w.nodes) != 0 {
		t.Errorf("%d nodes are watched for nobody", len(w.nodes))
	}
	w.most = 1
	if _, err := w.follow(dir + "/a"); !errors.Is(err, errFewWatches) || len(w.nodes) != 0 {
		t.Errorf("got %v, and %d nodes; want %v and none", err, len(w.nodes), errFewWatches)
	}
	w.most = maxWatchedNodes
	if _, err := w.follow("/proc/self/status"); !errors.Is(err, errUnwatched) {
		t.Errorf("a file without events: got %v, want %v", err, errUnwatched)
	}
	if _, err := w.follow(dir + "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	os.Symlink("loop", dir+"/loop")
	if _, err := w.follow(dir + "/loop"); err == nil {
		t.Error("a link to itself leads somewhere")
	}
}

// A file system in memory has events as well.
func TestFileWatchInMemory(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no /dev/shm")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := newTestWatch(t)
	write(t, dir+"/f", "one")
	tr, err := w.follow(dir + "/f")
	if err != nil || !w.unchanged(tr, nil) {
		t.Fatal(err)
	}
	write(t, dir+"/f", "two")
	if w.unchanged(tr, nil) {
		t.Error("a change does not show")
	}
}

// When events are lost, everything may have changed.
func TestFileWatchOverflow(t *testing.T) {
	w, dir := newTestWatch(t), t.TempDir()
	var trails []*trail
	for _, name := range []string{"/a", "/b", "/lost", "/quiet"} {
		write(t, dir+name, "one")
		tr, err := w.follow(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		trails = append(trails, tr)
	}
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	most, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || most == 0 || most > 1<<20 {
		t.Skipf("the queue holds %q: %v", text, err)
	}
	for range most/2 + 1 { // two neighbouring events that are alike are one
		os.Chmod(dir+"/a", 0o600)
		os.Chmod(dir+"/b", 0o600)
	}
	os.Truncate(dir+"/lost", 0)
	for i, tr := range trails {
		if w.unchanged(tr, nil) {
			t.Errorf("%d is as it was, for all that is known", i)
		}
	}
	if tr, err := w.follow(dir + "/lost"); err != nil || !w.unchanged(tr, nil) {
		t.Errorf("afterwards: %v", err)
	}
}
