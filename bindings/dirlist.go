package bindings

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"luaserve/runtime"
)

func dirlistModule() *runtime.Module {
	return &runtime.Module{
		Name: "dirlist",
		Doc:  "Shows what is in a directory.",
		Actions: []runtime.ActionDef{{
			Name: "dirlist", New: newDirlist,
			Doc: "Answers GET and HEAD for a directory with a page that lists it, directories first; a click on a column sorts. " +
				"It does nothing when the request is handled already, and for everything that is no directory. A URL without / at the end is redirected. " +
				"A directory outside of the document root, behind a symbolic link, is answered with 403, and what static would not send is not listed: " +
				"links that lead out or nowhere, sockets, devices, names with control characters. Dates are in UTC. Behind userdir and rewrites the links stay right, because they are relative.",
			Example: `actions = { docroot "/var/www", index "index.html", when(request.path:prefix "/files/", { dirlist { include_header = true, hide_header = true, exclude_suffix = { ".bak" } } }), static() }`,
			Params: []runtime.Param{{Name: "options", Type: runtime.TPairs, Optional: true,
				Options: describeOptions(dirlistOptions, newDirlistAction())}},
		}},
	}
}

// maxIncluded is how long HEADER.txt and README.txt may be, in bytes.
const maxIncluded = 64 << 10

// included says what becomes of HEADER.txt or README.txt.
type included struct {
	file                  string
	include, hide, encode bool
}

// dirlistAction lists directories. It is immutable.
type dirlistAction struct {
	sort                                  string
	css, contentType                      string
	hideDots, hideTildes, hideDirectories bool
	header, readme                        included
	excludeSuffix, excludePrefix          []string
	debug                                 bool
	maxEntries                            int64
	types, serverTag, etag                runtime.OptionRef
}

func newDirlistAction() *dirlistAction {
	return &dirlistAction{
		sort: "name", contentType: "text/html; charset=utf-8", hideDots: true, hideTildes: true, maxEntries: 10000,
		header: included{file: "HEADER.txt", encode: true}, readme: included{file: "README.txt", include: true, encode: true},
	}
}

var dirlistOptions = []option[dirlistAction]{
	{name: "sort", typ: "string", set: (*dirlistAction).readSort, get: func(a *dirlistAction) string { return strconv.Quote(a.sort) },
		doc: `"name", "modified", "size" or "type", until the reader chooses`},
	fieldOption("css", "URL of a style sheet in place of the built-in style", func(a *dirlistAction) *string { return &a.css }),
	boolOption("hide_dotfiles", "whether to leave out names that begin with a dot", func(a *dirlistAction) *bool { return &a.hideDots }),
	boolOption("hide_tildefiles", "whether to leave out names that end with a tilde", func(a *dirlistAction) *bool { return &a.hideTildes }),
	boolOption("hide_directories", "whether to leave out directories", func(a *dirlistAction) *bool { return &a.hideDirectories }),
	boolOption("include_header", "whether to show HEADER.txt above the list, up to 64 KiB", func(a *dirlistAction) *bool { return &a.header.include }),
	boolOption("hide_header", "whether to leave HEADER.txt out of the list", func(a *dirlistAction) *bool { return &a.header.hide }),
	boolOption("encode_header", "whether HEADER.txt is text; set it to false for HTML whose authors you trust", func(a *dirlistAction) *bool { return &a.header.encode }),
	boolOption("include_readme", "whether to show README.txt below the list, up to 64 KiB", func(a *dirlistAction) *bool { return &a.readme.include }),
	boolOption("hide_readme", "whether to leave README.txt out of the list", func(a *dirlistAction) *bool { return &a.readme.hide }),
	boolOption("encode_readme", "whether README.txt is text; set it to false for HTML whose authors you trust", func(a *dirlistAction) *bool { return &a.readme.encode }),
	stringsOption("exclude_suffix", "entries that end so are left out", func(a *dirlistAction) *[]string { return &a.excludeSuffix }),
	stringsOption("exclude_prefix", "entries that begin so are left out", func(a *dirlistAction) *[]string { return &a.excludePrefix }),
	fieldOption("content_type", "Content-Type of the page", func(a *dirlistAction) *string { return &a.contentType }),
	numberOption("max_entries", "how many entries of a directory are looked at", func(a *dirlistAction) *int64 { return &a.maxEntries }, 1, 1_000_000),
	boolOption("debug", "whether to log each list", func(a *dirlistAction) *bool { return &a.debug }),
}

func newDirlist(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	a := newDirlistAction()
	a.types, a.serverTag, a.etag = b.Option("mime_types"), b.Option(runtime.OptionServerTag), b.Option("etag.use")
	return a, readOptions(a, dirlistOptions, args.Pairs(0))
}

func (a *dirlistAction) readSort(v runtime.Value) error {
	text, ok := v.Str()
	if !ok || !slices.ContainsFunc(dirColumns, func(c dirColumn) bool { return c.key == text }) {
		return fmt.Errorf(`expected "name", "modified", "size" or "type", got %s`, v)
	}
	a.sort = text
	return nil
}

// Run answers the request if it is for a directory.
func (a *dirlistAction) Run(vr *runtime.VRequest) error {
	if m := vr.Request.Method; vr.IsHandled() || vr.Physical.Path == "" || m != http.MethodGet && m != http.MethodHead {
		return nil
	}
	if stat := vr.Physical.Stat(); stat.Exists && !stat.IsDir {
		return nil // opening something else may have effects
	}
	f, err := vr.Physical.Open()
	if err != nil {
		return dirlistFailed(vr, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.IsDir() {
		return err
	}
	if !strings.HasSuffix(vr.Request.URI.Path, "/") {
		redirectToDirectory(vr)
		return nil
	}
	l := &dirListing{dirlistAction: a, vr: vr, path: vr.Request.URI.Path}
	l.chooseOrder(vr.Request.URI.Query)
	if err := l.read(f); err != nil {
		return fmt.Errorf("reading %s: %w", vr.Physical.Path, err)
	}
	if a.debug {
		vr.Log().Info("dirlist", "directory", vr.Physical.Path, "entries", len(l.entries), "cut", l.cut)
	}
	l.answer()
	return nil
}

// dirlistFailed answers for a directory that cannot be opened.
func dirlistFailed(vr *runtime.VRequest, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENAMETOOLONG):
		return nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, runtime.ErrOutside), errors.Is(err, syscall.ELOOP):
		vr.Log().Info("dirlist: directory refused", "directory", vr.Physical.Path, "error", err.Error())
		deny(vr, http.StatusForbidden)
		return nil
	}
	return err
}

// dirEntry is one line of the list.
type dirEntry struct {
	name, typ string
	key       string // what names are sorted by
	dir       bool
	size      int64
	modified  time.Time
}

// dirListing is the list of one directory for one request.
type dirListing struct {
	*dirlistAction
	vr         *runtime.VRequest
	path       string
	entries    []dirEntry
	cut        bool // there is more than max-entries
	order      string
	descending bool
	chosen     bool // the order is the reader's
}

// readBatch is how many entries are read at once.
const readBatch = 512

// read collects the entries of the open directory.
func (l *dirListing) read(f *os.File) error {
	for seen := int64(0); ; {
		batch, err := f.ReadDir(readBatch)
		for _, d := range batch {
			if seen++; seen > l.maxEntries {
				l.cut = true
				return nil
			}
			l.add(d)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(batch) == readBatch && l.vr.Context().Err() != nil {
			return l.vr.Context().Err() // nobody waits any more
		}
	}
}

// add puts an entry into the list, unless it is hidden or could not be sent.
func (l *dirListing) add(d fs.DirEntry) {
	name := d.Name()
	if l.hidden(name) {
		return
	}
	info, err := d.Info()
	if err != nil {
		return // gone meanwhile
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if info = l.target(name); info == nil {
			return
		}
	}
	e := dirEntry{name: name, key: strings.ToLower(name), size: info.Size(), modified: info.ModTime()}
	switch {
	case info.IsDir() && l.hideDirectories:
		return
	case info.IsDir():
		e.dir, e.size, e.typ = true, -1, "Directory"
	case !info.Mode().IsRegular(), l.header.hide && name == l.header.file, l.readme.hide && name == l.readme.file:
		return
	default:
		e.typ = l.vr.Option(l.types).(*mimeTable).lookup(name)
	}
	l.entries = append(l.entries, e)
}

func (l *dirListing) hidden(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) || // no URL leads there
		l.hideDots && name[0] == '.' || l.hideTildes && name[len(name)-1] == '~' ||
		slices.ContainsFunc(l.excludeSuffix, func(s string) bool { return strings.HasSuffix(name, s) }) ||
		slices.ContainsFunc(l.excludePrefix, func(s string) bool { return strings.HasPrefix(name, s) })
}

// target returns what a symbolic link leads to, nil when that could not be sent. Only what
// is a file or a directory by its name is opened.
func (l *dirListing) target(name string) fs.FileInfo {
	place := l.vr.Physical.Beside(name)
	if stat := place.Stat(); !stat.IsFile && !stat.IsDir {
		return nil
	}
	f, err := place.Open()
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	return info
}

// text returns HEADER.txt or README.txt, "" when it is not there, too long or not wanted.
func (l *dirListing) text(inc included) string {
	place := l.vr.Physical.Beside(inc.file)
	if !inc.include || !place.Stat().IsFile {
		return ""
	}
	f, err := place.Open()
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIncluded+1))
	if info, serr := f.Stat(); err != nil || serr != nil || !info.Mode().IsRegular() || len(data) > maxIncluded {
		return ""
	}
	return string(data)
}

// answer claims the request and answers it with the page. The ETag is made of the page: the
// time of a directory does not change with the sizes in it.
func (l *dirListing) answer() {
	if !l.vr.HandleDirect() {
		return
	}
	page := l.page()
	h := &l.vr.Response.Header
	l.vr.Response.Status = http.StatusOK
	if l.vr.Option(l.etag).(etagParts) != 0 {
		sum := sha256.Sum256(page)
		tag := `"` + hex.EncodeToString(sum[:12]) + `"`
		h.Set("ETag", tag)
		if list, ok := l.vr.Request.Header.Lookup("If-None-Match"); ok && etagListed(list, tag) {
			l.vr.Response.Status = http.StatusNotModified
			return
		}
	}
	h.Set("Content-Type", l.contentType)
	l.vr.Out.Add(page)
}
