package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"luaserve/runtime/luaio"
)

// Physical is what the URL is mapped to on disk.
type Physical struct {
	DocRoot  string
	Path     string
	PathInfo string

	overlay  string // see [Config.Overlay]
	confined string // see Confine
	stats    *statCache
	kept     *keptFiles
	batcher  Batcher // nil when the request, or who it asked, may have changed files
	stat     FileStat
	statPath string
}

// FileStat is what the conditions physical.* and vr:stat look at.
type FileStat struct {
	Exists, IsFile, IsDir bool
	Size                  int64 // bytes; -1 when the file does not exist
	ModTime               time.Time
	Info                  fs.FileInfo
	Err                   error // why it does not exist
}

// Map sets the document root and maps path below it.
func (p *Physical) Map(docroot, path string) {
	p.DocRoot = docroot
	p.Path = docroot + path
}

func (p *Physical) batch() *Batch {
	if p.batcher == nil {
		return nil
	}
	return p.batcher.Batch()
}

// Confine has all files lie below a directory from now on, whatever links there are: a script
// has chosen them that is confined to it. "" ends that.
func (p *Physical) Confine(root string) {
	if p.confined != root {
		p.confined, p.statPath = root, ""
	}
}

// Beside returns a place in the directory Path.
func (p *Physical) Beside(name string) *Physical {
	return &Physical{DocRoot: p.DocRoot, Path: strings.TrimRight(p.Path, "/") + "/" + name, overlay: p.overlay, confined: p.confined}
}

// Stat looks at Path, once a request and path. Symbolic links are followed.
func (p *Physical) Stat() FileStat {
	if p.statPath != p.Path || p.Path == "" {
		p.stat = p.StatOf(p.Path)
		p.statPath = p.Path
	}
	return p.stat
}

// StatOf looks at another file than Path, as [Physical.Stat] does.
func (p *Physical) StatOf(name string) FileStat {
	if p.confined != "" {
		files, name := p.within(name)
		return statOf(name, files.Stat)
	}
	return p.stats.stat(p.overlaid(name))
}

// within returns how a confined file is got at, and its name there.
func (p *Physical) within(name string) (luaio.Options, string) {
	if over := p.overlaid(name); over != name {
		return luaio.Options{Root: p.overlay + p.confined}, over
	}
	return luaio.Options{Root: p.confined}, name
}

// overlaid returns where a file really is: in the overlay, if it is there.
func (p *Physical) overlaid(name string) string {
	if p.overlay == "" || !filepath.IsAbs(name) {
		return name
	}
	if over := p.overlay + name; Stat(over).Exists {
		return over
	}
	return name
}

// Stat looks at a file. A name with a trailing slash is only ever a directory.
func Stat(name string) FileStat { return statOf(name, os.Stat) }

func statOf(name string, ask func(string) (fs.FileInfo, error)) FileStat {
	if name == "" {
		return FileStat{Size: -1, Err: syscall.ENOENT}
	}
	info, err := ask(name)
	if err != nil {
		return FileStat{Size: -1, Err: err}
	}
	return FileStat{Exists: true, IsFile: info.Mode().IsRegular(), IsDir: info.IsDir(), Size: info.Size(), ModTime: info.ModTime(), Info: info}
}

// ErrOutside is returned for a file that is not below the root it must be in.
var ErrOutside = errors.New("the file is outside of its root")

// OpenBelow opens name for reading if it is below root once all symbolic links are
// resolved. It is safe against links that change meanwhile: the file is opened through
// an os.Root, link by link. name is an absolute path or one relative to root.
// Errors: ErrOutside (wrapped), or those of os.Open.
func OpenBelow(root, name string) (*os.File, error) {
	if f, ok, err := openDirect(root, name); ok {
		return f, err
	}
	rel, err := below(root, name)
	if err != nil {
		return nil, err
	}
	if rel == "." {
		return openAlone(root)
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		if Stat(root).IsFile { // os.OpenRoot has no error number for it
			err = &fs.PathError{Op: "open", Path: name, Err: syscall.ENOTDIR}
		}
		return nil, err
	}
	defer dir.Close()
	f, err := openNonblock(dir, rel)
	if err == nil || !isEscape(err) {
		return f, err
	}
	// os.Root refuses every absolute link, also one that points back into the root
	resolved, err := filepath.EvalSymlinks(filepath.Join(root, rel))
	if err != nil {
		return nil, err
	}
	realRoot, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	if rel, err = below(realRoot, resolved); err != nil {
		return nil, err
	}
	f, err = openNonblock(dir, rel)
	if isEscape(err) {
		return nil, fmt.Errorf("%s: %w", name, ErrOutside)
	}
	return f, err
}

// openAlone opens a root that is itself the wanted file: alias {["/logo.png"] = "/srv/logo.png"}.
func openAlone(root string) (*os.File, error) {
	return os.OpenFile(root, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// openNonblock does not wait for the other end of a FIFO.
func openNonblock(dir *os.Root, rel string) (*os.File, error) {
	return dir.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

func isEscape(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && strings.Contains(pe.Err.Error(), "escapes")
}

// below returns name relative to root, by their letters alone.
func below(root, name string) (string, error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("%q: %w", name, ErrOutside)
	}
	if !filepath.IsAbs(name) && filepath.IsAbs(root) {
		name = filepath.Join(root, name)
	}
	rel, err := filepath.Rel(root, name)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return "", fmt.Errorf("%s: %w", name, ErrOutside)
	}
	return rel, nil
}

// Open opens Path for reading, as an action that sends it does. A path below DocRoot
// stays below it (see [OpenBelow]); one that a script has set elsewhere is opened as it
// is, unless it climbs with "..". Open does not wait for the other end of a FIFO: look at
// what was opened before reading from it.
func (p *Physical) Open() (*os.File, error) {
	if p.confined == "" {
		return p.open()
	}
	files, name := p.within(p.Path)
	f, err := files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		if errors.Is(err, luaio.ErrOutside) {
			err = fmt.Errorf("%s: %w", p.Path, ErrOutside)
		}
		return nil, err
	}
	other, err := p.open() // which must lead to the same file
	if err != nil {
		f.Close()
		return nil, err
	}
	defer other.Close()
	is, err := f.Stat()
	var want fs.FileInfo
	if err == nil {
		want, err = other.Stat()
	}
	if err == nil && !os.SameFile(is, want) {
		err = fmt.Errorf("%s: %w", p.Path, ErrOutside)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (p *Physical) open() (*os.File, error) {
	docroot, path := p.DocRoot, p.overlaid(p.Path)
	if path != p.Path {
		docroot = p.overlay + docroot
	}
	root := strings.TrimRight(docroot, "/")
	if rest, ok := strings.CutPrefix(path, root); ok && root != "" && (rest == "" || rest[0] == '/') {
		return OpenBelow(docroot, path)
	}
	if strings.IndexByte(path, 0) >= 0 || climbs(path) {
		return nil, fmt.Errorf("%q: %w", p.Path, ErrOutside)
	}
	return openAlone(path)
}

// climbs reports whether a path has a segment "..".
func climbs(path string) bool {
	for seg := range strings.SplitSeq(path, "/") {
		if seg == ".." {
			return true
		}
	}
	return false
}
