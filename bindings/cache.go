package bindings

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"luaserve/runtime"
	"luaserve/runtime/luaio"
)

func cacheModule() *runtime.Module {
	return &runtime.Module{
		Name: "cache_disk_etag",
		Doc:  "Keeps on disk what was costly to make: compressed bodies, answers of slow applications.",
		Actions: []runtime.ActionDef{
			{Name: "cache.disk.etag", New: newCacheDiskETag,
				Doc: "Answers a GET with the body that was kept when a response with the same ETag was sent before. " +
					"What makes the response comes before it in the list and is asked for its head each time: only then is the ETag known; the rest of its body is not waited for. " +
					"What filters before it did to the body, such as deflate, is kept as well. " +
					"Kept are responses of status 200 with exactly one ETag, for their host, URL, type and coding; a file that is sent as it is would gain nothing and is left alone. " +
					"Nothing is ever removed: let cron do it (find /var/cache/site -type f -mtime +2 -delete).",
				Example: `actions = { docroot "/var/www", static(), deflate(), cache.disk.etag "/var/cache/site" }`,
				Params:  []runtime.Param{{Name: "path", Type: runtime.TString, Doc: "directory; it is made when something is to be kept"}}},
		},
	}
}

func newCacheDiskETag(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	dir, files := args.Str(0), b.Files()
	if dir == "" {
		return nil, errors.New("path: expected a directory, got an empty string")
	}
	if err := files.Contains(dir); err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		name, ok := cacheName(vr)
		if !ok {
			return nil
		}
		name = filepath.Join(dir, name)
		f, size, err := openCached(files, name)
		switch {
		case err == nil:
			vr.DropBody()
			vr.Response.Header.Remove("Content-Length")
			vr.Out.AddFile(f, 0, size)
			return nil
		case !errors.Is(err, fs.ErrNotExist):
			vr.Log().Error("cache.disk.etag: cannot read", "file", name, "error", err.Error())
			return nil
		}
		keepBody(vr, files, name)
		return nil
	}), nil
}

// cacheName returns the name that the response is kept under, relative to the directory;
// false when it is not to be kept. Two responses have the same name only if a client
// could not tell their bodies apart; a hash of what they differ in is no path to climb out.
func cacheName(vr *runtime.VRequest) (string, bool) {
	if vr.Request.Method != http.MethodGet || !vr.HasResponse() || vr.Response.Status != http.StatusOK {
		return "", false
	}
	if vr.Out.Len() >= 0 && !vr.HasFilterOut() {
		return "", false // all of it is there already
	}
	h := &vr.Response.Header
	etag, tags := "", 0
	for i := range h.Len() {
		if f := h.At(i); http.CanonicalHeaderKey(f.Name) == "Etag" {
			etag = f.Value
			tags++
		}
	}
	if tags != 1 || etag == "" {
		return "", false
	}
	uri := &vr.Request.URI
	sum := sha256.New()
	for _, part := range []string{uri.Scheme, uri.Authority, uri.Path, uri.Query, etag, h.Get("Content-Type"), h.Get("Content-Encoding")} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	return filepath.Join(hash[:2], hash[2:]), true
}

func openCached(files luaio.Options, name string) (*os.File, int64, error) {
	f, err := files.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// keeper writes a body into a file on its way. Only a whole body gets its name.
type keeper struct {
	vr      *runtime.VRequest
	files   luaio.Options
	name    string
	file    *os.File // nil once it is done or was given up
	unnamed string   // what it is called until it is whole
	written int64
	length  int64 // what the body says its length is, -1 for nothing
}

// keepBody has the body written to name while it is sent. That it cannot be is no reason
// not to send it.
func keepBody(vr *runtime.VRequest, files luaio.Options, name string) {
	k := &keeper{vr: vr, files: files, name: name, length: announcedBody(vr), unnamed: filepath.Join(filepath.Dir(name), ".new-"+rand.Text())}
	err := files.MkdirAll(filepath.Dir(name), 0o700)
	if err == nil {
		k.file, err = files.OpenFile(k.unnamed, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	}
	if err != nil {
		vr.Log().Error("cache.disk.etag: cannot write", "file", name, "error", err.Error())
		return
	}
	vr.AddFilterOut(runtime.NewFilter(k.handle))
	vr.OnFinish(k.drop)
}

// announcedBody returns the length of the response body as its head has it, in bytes; -1
// when it says nothing, or nothing of what comes out of the filters.
func announcedBody(vr *runtime.VRequest) int64 {
	n, err := strconv.ParseInt(vr.Response.Header.Get("Content-Length"), 10, 64)
	if err != nil || vr.HasFilterOut() {
		return -1
	}
	return n
}

// keepPiece is how much of a body is in memory at once, in bytes.
const keepPiece = 64 << 10

func (k *keeper) handle(in, out *runtime.ChunkQueue) error {
	if n := in.Len(); n < 0 || n > keepPiece {
		if err := k.keepLong(in, out); err != nil {
			return err
		}
	} else if n > 0 {
		piece := make([]byte, n)
		if _, err := io.ReadFull(in, piece); err != nil {
			return err
		}
		if k.file != nil {
			m, err := k.file.Write(piece)
			k.wrote(int64(m), err)
		}
		out.Add(piece)
	}
	if in.IsClosed() {
		k.finish()
		out.SetClosed(true)
	}
	return nil
}

// keepLong copies what is in the queue to the file first and sends it from there.
func (k *keeper) keepLong(in, out *runtime.ChunkQueue) error {
	if k.file == nil {
		out.StealAll(in)
		return nil
	}
	from := k.written
	n, err := io.Copy(k.file, in)
	if err != nil {
		return err // some of it is in neither queue any more
	}
	k.wrote(n, nil)
	f, err := k.files.OpenFile(k.unnamed, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	out.AddFile(f, from, n)
	return nil
}

func (k *keeper) wrote(n int64, err error) {
	k.written += n
	if err != nil {
		k.vr.Log().Error("cache.disk.etag: cannot write", "file", k.name, "error", err.Error())
		k.drop()
	}
}

// finish gives the file its name.
func (k *keeper) finish() {
	if k.file == nil {
		return
	}
	if k.length >= 0 && k.length != k.written {
		k.drop()
		return
	}
	err := k.file.Close()
	if err == nil {
		err = k.files.Rename(k.unnamed, k.name)
	}
	if err != nil {
		k.vr.Log().Error("cache.disk.etag: cannot write", "file", k.name, "error", err.Error())
		k.files.Remove(k.unnamed)
	}
	k.file = nil
}

// drop removes what is not whole.
func (k *keeper) drop() {
	if k.file != nil {
		k.file.Close()
		k.files.Remove(k.unnamed)
		k.file = nil
	}
}
