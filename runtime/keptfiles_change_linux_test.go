package runtime

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// site is a document root behind a link, as it is deployed, with one file that changes in every
// way that files do. The first word of the file is its version.
type site struct {
	t       *testing.T
	dir     string
	s       *keptFiles
	version atomic.Int64 // of what is there now, at least
	long    bool
}

func (x *site) root() string { return x.dir + "/current" }
func (x *site) file() string { return x.dir + "/current/sub/f" }

// text is a content of the next version; the versions differ in length, as no clock is fine enough.
func (x *site) text(version int64) []byte {
	n := int(version % 1000)
	if x.long {
		n += shortBytes
	}
	return []byte(fmt.Sprintf("%08d ", version) + strings.Repeat("x", n))
}

func (x *site) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *site) writeNew(name string, version int64) {
	x.must(os.WriteFile(name, x.text(version), 0o644))
}

// release makes a directory with a version and has the link lead there.
func (x *site) release(version int64) {
	name := fmt.Sprintf("releases/%d", version)
	x.must(os.MkdirAll(x.dir+"/"+name+"/sub", 0o755))
	x.writeNew(x.dir+"/"+name+"/sub/f", version)
	x.must(os.Symlink(name, x.dir+"/new"))
	x.must(os.Rename(x.dir+"/new", x.root()))
}

// waysToChange are ways to come to a version. Each one takes the one before away before it ends.
var waysToChange = map[string]func(x *site, version int64){
	"in place": func(x *site, version int64) {
		f, err := os.OpenFile(x.file(), os.O_WRONLY, 0)
		x.must(err)
		defer f.Close()
		_, err = f.WriteAt(x.text(version), 0)
		x.must(err)
		x.must(f.Truncate(int64(len(x.text(version)))))
	},
	"another file in its place": func(x *site, version int64) {
		x.writeNew(x.file()+".new", version)
		x.must(os.Rename(x.file()+".new", x.file()))
	},
	"removed and made anew": func(x *site, version int64) {
		x.must(os.Remove(x.file()))
		x.expect(-1)
		x.writeNew(x.file(), version)
	},
	"moved away, with another one in its place": func(x *site, version int64) {
		x.must(os.Rename(x.file(), x.file()+".old"))
		x.expect(-1)
		x.writeNew(x.file(), version)
	},
	"another directory in the place of its own": func(x *site, version int64) {
		sub := x.root() + "/sub"
		x.must(os.MkdirAll(sub+".new", 0o755))
		x.writeNew(sub+".new/f", version)
		x.must(os.Rename(sub, fmt.Sprintf("%s.%d", sub, version)))
		x.expect(-1)
		x.must(os.Rename(sub+".new", sub))
	},
	"its directory removed": func(x *site, version int64) {
		x.must(os.RemoveAll(x.root() + "/sub"))
		x.expect(-1)
		x.must(os.Mkdir(x.root()+"/sub", 0o755))
		x.writeNew(x.file(), version)
	},
	"a link in its place": func(x *site, version int64) {
		target := fmt.Sprintf("g%d", version)
		x.writeNew(x.root()+"/sub/"+target, version)
		x.must(os.Symlink(target, x.file()+".new"))
		x.must(os.Rename(x.file()+".new", x.file()))
	},
	"the link to the root swapped": func(x *site, version int64) { x.release(version) },
	"the link to the root removed and made anew": func(x *site, version int64) {
		x.must(os.Remove(x.root()))
		x.expect(-1)
		x.release(version)
	},
	"what the link leads to moved away": func(x *site, version int64) {
		target, err := os.Readlink(x.root())
		x.must(err)
		x.must(os.Rename(x.dir+"/"+target, fmt.Sprintf("%s/old%d", x.dir, version)))
		x.expect(-1)
		x.release(version)
	},
	"a directory above everything swapped": func(x *site, version int64) {
		x.must(os.Rename(x.dir+"/releases", fmt.Sprintf("%s/releases%d", x.dir, version)))
		x.expect(-1)
		x.must(os.Remove(x.root()))
		x.release(version)
	},
}

// ask returns the version that a request is answered with, -1 for an error.
func (x *site) ask() int64 {
	content, _, err := x.s.send(x.root(), x.file())
	word, _, _ := strings.Cut(content, " ")
	version, bad := strconv.ParseInt(word, 10, 64)
	if err != nil || bad != nil {
		return -1
	}
	return version
}

func (x *site) expect(version int64) {
	x.t.Helper()
	if got := x.ask(); got != version {
		x.t.Fatalf("got version %d, want %d", got, version)
	}
}

// A request that comes right after a change sees it, whatever the change was, while others ask
// for the same file all the time; and none of those sees anything older than when it came.
func TestKeptFilesAreNeverOlderThanTheRequest(t *testing.T) {
	for _, long := range []bool{false, true} {
		t.Run(fmt.Sprintf("long %v", long), func(t *testing.T) {
			x := &site{t: t, dir: t.TempDir(), s: newKeptFiles(t, true), long: long}
			x.must(os.Mkdir(x.dir+"/releases", 0o755))
			x.version.Store(1)
			x.release(1)
			var stop atomic.Bool
			var all sync.WaitGroup
			defer all.Wait()
			defer stop.Store(true)
			for range 2 {
				all.Go(func() {
					for !stop.Load() {
						before := x.version.Load()
						if got := x.ask(); got >= 0 && got < before {
							t.Errorf("got version %d, although there was %d before", got, before)
							return
						}
					}
				})
			}
			rounds := 15
			if testing.Short() {
				rounds = 3
			}
			for range rounds {
				for name, change := range waysToChange { // in any order
					for range rand.IntN(5) {
						x.ask()
					}
					version := x.version.Load() + 1
					change(x, version)
					x.version.Store(version)
					if got := x.ask(); got != version {
						t.Fatalf("%s: got version %d, want %d", name, got, version)
					}
				}
			}
		})
	}
}

// A watch that ends while requests come disturbs none of them.
func TestKeptFilesEndWhileTheyAreUsed(t *testing.T) {
	for range 20 {
		x := &site{t: t, dir: t.TempDir(), s: newKeptFiles(t, true), long: true}
		x.release(1)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for range 50 {
					if got := x.ask(); got != 1 {
						t.Errorf("got version %d", got)
					}
				}
			})
		}
		x.ask()
		x.s.close()
		all.Wait()
	}
}
