package bindings

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"luaserve/runtime"
)

// staticModule answers requests with files.
func staticModule() *runtime.Module {
	return &runtime.Module{
		Name: "static",
		Doc:  "Answers requests with files: types, validators, ranges, and never a file outside of the document root.",
		Setups: []runtime.Setup{
			{Name: "stat_cache.ttl", Run: setupStatCacheTTL,
				Doc: "Sets how long it is remembered whether a file exists and what it is, for the conditions physical.* and for docroot, index and pathinfo. " +
					"0, the default here, remembers nothing beyond the request. What is sent does not depend on it: the action static sends no file that has changed before the request.",
				Example: "setup.stat_cache.ttl(10)",
				Params:  []runtime.Param{{Name: "ttl", Type: runtime.TNumber, Doc: "seconds"}}},
		},
		Actions: []runtime.ActionDef{
			{Name: "static", New: newStatic(false),
				Doc: "Answers GET and HEAD with the file that the URL is mapped to. " +
					"It does nothing when the request is handled already, when there is no docroot or alias, and for directories. " +
					"Otherwise it claims the request: 405 for other methods, 404 for what does not exist, " +
					"403 for what may not be read, is no regular file, lies outside of the document root behind a symbolic link, or is excluded. " +
					"Files that are asked for again are kept, short ones in memory and long ones open, and on Linux watched with everything that leads to them: " +
					"the next request sees a change. What makes no event (a write through mmap, a mount) is seen within a second; on network file systems " +
					"each request looks at the file, as it does where the system watches nothing more (fs.inotify.max_user_watches).",
				Example: `actions = { docroot "/var/www", index "index.html", static() }`},
			{Name: "static_no_fail", New: newStatic(true),
				Doc:     "Does what static does where there is a file to send, and otherwise leaves the request to the actions behind it.",
				Example: `actions = { docroot "/var/www", static_no_fail(), respond(404, "no such page") }`},
		},
		Options: staticOptions(),
	}
}

func staticOptions() []runtime.Option {
	return []runtime.Option{
		{Name: "static.range_requests", Type: runtime.TBool, Default: true,
			Doc:     "Whether clients may ask for parts of a file.",
			Example: "setup.static.range_requests(false)"},
		{Name: "static.exclude_extensions", Type: runtime.TStrings, Default: []string(nil),
			Doc:     "Files whose name ends like this are not sent but answered with 403.",
			Example: `setup.static.exclude_extensions { ".php", ".htaccess", "~" }`},
		{Name: "etag.use", Type: runtime.TExact, Default: etagAll, Parse: parseEtagUse,
			Doc:     `What of a file goes into its ETag: a list of "inode", "mtime" and "size"; {} sends none. Leave "inode" out where several servers answer for one site.`,
			Example: `setup.etag.use { "mtime", "size" }`},
		{Name: "mime_types", Type: runtime.TExact, Default: &mimeTable{}, Parse: parseMimeTypes,
			Doc: `What the Content-Type of a file is, by the end of its path: the longest suffix wins, "" is for all others, of equal ones the last counts. ` +
				`Without it every file is application/octet-stream, as in lighttpd2. ` +
				`The word "default" stands for a built-in table of more than a thousand types, alone or before entries of one's own, which outrank it.`,
			Example: `setup.mime_types("default", { [".log"] = "text/plain; charset=utf-8", README = "text/plain" })`},
		{Name: "stat.async", Type: runtime.TBool, Default: true,
			Doc:      "Whether files are looked at by a thread of their own.",
			NoEffect: "a request has a goroutine of its own, so that waiting for a disk keeps nobody else waiting",
			Example:  "setup.stat.async(false)"},
	}
}

// maxStatTTL keeps the number of seconds within what a time.Duration holds.
const maxStatTTL = 1e9

func setupStatCacheTTL(b *runtime.Builder, args runtime.Args) error {
	seconds := args.Float(0)
	if !(seconds >= 0 && seconds <= maxStatTTL) {
		return fmt.Errorf("ttl: expected a number of seconds, got %g", seconds)
	}
	b.SetStatTTL(time.Duration(seconds * float64(time.Second)))
	return nil
}

// staticAction sends files. Its options are resolved at load.
type staticAction struct {
	noFail                       bool
	ranges, exclude, etag, types runtime.OptionRef
}

func newStatic(noFail bool) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(b *runtime.Builder, _ runtime.Args) (runtime.Action, error) {
		return &staticAction{
			noFail:  noFail,
			ranges:  b.Option("static.range_requests"),
			exclude: b.Option("static.exclude_extensions"),
			etag:    b.Option("etag.use"),
			types:   b.Option("mime_types"),
		}, nil
	}
}

// Run answers the request if there is a file for it.
func (a *staticAction) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	if m := vr.Request.Method; m != http.MethodGet && m != http.MethodHead {
		if a.refuse(vr, http.StatusMethodNotAllowed) {
			vr.Response.Header.Set("Allow", "GET, HEAD")
		}
		return nil
	}
	name := vr.Physical.Path
	if name == "" || name[len(name)-1] == '/' {
		return nil
	}
	if a.excluded(vr, name) {
		a.refuse(vr, http.StatusForbidden)
		return nil
	}
	if a.sendKept(vr) {
		return nil
	}
	f, err := vr.Physical.Open()
	if err != nil {
		a.failed(vr, err)
		return nil
	}
	// the open file is asked, not its name: what is looked at is what is sent
	info, err := f.Stat()
	switch {
	case err != nil:
		a.failed(vr, err)
	case info.Mode().IsRegular():
		a.send(vr, f, info)
		return nil
	case !info.IsDir():
		a.refuse(vr, http.StatusForbidden)
	}
	f.Close()
	return nil
}

func (a *staticAction) excluded(vr *runtime.VRequest, name string) bool {
	suffixes := vr.Option(a.exclude).([]string)
	if len(suffixes) == 0 {
		return false
	}
	base := path.Base(name)
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(base, suffix) })
}

// refuse claims the request for an error page, unless failing is left to others.
func (a *staticAction) refuse(vr *runtime.VRequest, status int) bool {
	if a.noFail || !vr.HandleDirect() {
		return false
	}
	vr.Response.Status = status
	return true
}

// failed answers a file that could not be opened.
func (a *staticAction) failed(vr *runtime.VRequest, err error) {
	status := openStatus(err)
	if !a.refuse(vr, status) || status == http.StatusNotFound {
		return
	}
	if status >= http.StatusInternalServerError {
		vr.Log().Error("static: cannot open file", "file", vr.Physical.Path, "error", err.Error())
	} else {
		vr.Log().Info("static: file refused", "file", vr.Physical.Path, "status", status, "error", err.Error())
	}
}

// openStatus says how a file that could not be opened is answered.
func openStatus(err error) int {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return http.StatusNotFound
	case errors.Is(err, syscall.ENAMETOOLONG):
		return http.StatusRequestURITooLong
	// ENXIO is what opening a socket says
	case errors.Is(err, fs.ErrPermission), errors.Is(err, runtime.ErrOutside), errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO):
		return http.StatusForbidden
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// sendKept answers with a file that was sent before, and reports whether it could. For several
// parts of a file it is opened.
func (a *staticAction) sendKept(vr *runtime.VRequest) bool {
	kept := vr.Physical.Kept()
	if kept == nil {
		return false
	}
	defer kept.Done()
	d, ok := kept.Notes().(*description)
	if !ok || d.etags != vr.Option(a.etag).(etagParts) || d.types != vr.Option(a.types).(*mimeTable) {
		d = a.describe(vr, kept.Info)
		kept.Note(d)
	}
	size := kept.Info.Size()
	ranges, parts := a.asked(vr, d, size)
	if len(ranges) > 1 || !vr.HandleDirect() {
		return false
	}
	if !a.begin(vr, d) {
		r := beginPart(vr, ranges, parts, size, d.typ)
		kept.AddTo(vr.Out, r.start, r.length)
	}
	return true
}

// description is what the response head says of a file, and what that depends on.
type description struct {
	validators
	typ   string
	etags etagParts
	types *mimeTable
}

func (a *staticAction) describe(vr *runtime.VRequest, info fs.FileInfo) *description {
	etags, types := vr.Option(a.etag).(etagParts), vr.Option(a.types).(*mimeTable)
	return &description{validatorsOf(info, etags), types.lookup(vr.Physical.Path), etags, types}
}

// begin sets what every answer with a file has, and reports whether that is all: the client's
// copy is still good.
func (a *staticAction) begin(vr *runtime.VRequest, d *description) (notModified bool) {
	h := &vr.Response.Header
	d.set(h)
	if d.notModified(&vr.Request.Header) {
		vr.Response.Status = http.StatusNotModified
		return true
	}
	if vr.Option(a.ranges).(bool) {
		h.Set("Accept-Ranges", "bytes")
	}
	vr.Response.Status = http.StatusOK
	return false
}

// send claims the request and answers it with f, which it closes or hands over.
func (a *staticAction) send(vr *runtime.VRequest, f *os.File, info fs.FileInfo) {
	if !vr.HandleDirect() {
		f.Close()
		return
	}
	d, size := a.describe(vr, info), info.Size()
	if a.begin(vr, d) {
		f.Close()
		return
	}
	ranges, parts := a.asked(vr, d, size)
	if len(ranges) > 1 {
		sendParts(vr, f, ranges, size, d.typ)
		return
	}
	r := beginPart(vr, ranges, parts, size, d.typ)
	if kept := vr.Physical.Keep(f, info); kept != nil {
		f.Close()
		kept.AddTo(vr.Out, r.start, r.length)
		return
	}
	vr.Out.AddFile(f, r.start, r.length)
}

// asked returns which parts of a file are asked for, and whether any are: not all of it.
func (a *staticAction) asked(vr *runtime.VRequest, d *description, size int64) (ranges []byteRange, parts bool) {
	value, ok := lastField(&vr.Request.Header, "Range")
	if !ok || !vr.Option(a.ranges).(bool) || !d.mayRange(&vr.Request.Header) {
		return nil, false
	}
	return parseRange(value, size)
}

// beginPart sets what an answer with one part of a file has, or with none or all of it, and
// returns the part.
func beginPart(vr *runtime.VRequest, ranges []byteRange, parts bool, size int64, typ string) byteRange {
	h := &vr.Response.Header
	switch {
	case !parts:
		h.Set("Content-Type", typ)
		return byteRange{0, size}
	case len(ranges) == 0:
		vr.Response.Status = http.StatusRequestedRangeNotSatisfiable
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
		return byteRange{}
	}
	vr.Response.Status = http.StatusPartialContent
	h.Set("Content-Range", ranges[0].contentRange(size))
	h.Set("Content-Type", typ)
	return ranges[0]
}

// sendParts answers with several parts of f, which it hands over.
func sendParts(vr *runtime.VRequest, f *os.File, ranges []byteRange, size int64, typ string) {
	body := newMultipart(f, ranges, size, typ)
	vr.Response.Status = http.StatusPartialContent
	vr.Response.Header.Set("Content-Type", multipartType)
	vr.Response.Header.Set("Content-Length", strconv.FormatInt(body.length, 10))
	vr.Out.AddStream(body)
}
