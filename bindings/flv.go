package bindings

import (
	"net/http"
	"net/url"
	"os"
	"strconv"

	"luaserve/runtime"
)

func flvModule() *runtime.Module {
	return &runtime.Module{
		Name: "flv",
		Doc:  "Lets Flash players seek in a video.",
		Actions: []runtime.ActionDef{
			{Name: "flv", New: newFLV,
				Doc: "Answers GET and HEAD with the file that the URL is mapped to, as video/x-flv; with ?start=12345 from that byte on, behind a new file head. " +
					"A start that is no number or beyond the end means the whole file. " +
					"What may not be sent is answered as static answers it. Current players need none of this: they ask static for ranges.",
				Example: `actions = { docroot "/var/www", when(physical.path:suffix ".flv", { expire "access 1 month", action.io.throttle(512000, 153600), flv() }), static() }`},
		},
	}
}

// flvHead begins a file of sound and picture: signature, version 1, both kinds of tags,
// the length of this head; and the length of the tag before the first, which is none.
const flvHead = "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"

func newFLV(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	made, err := newStatic(false)(b, args)
	if err != nil {
		return nil, err
	}
	static := made.(*staticAction)
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		name := vr.Physical.Path
		if vr.IsHandled() || name == "" || name[len(name)-1] == '/' {
			return nil
		}
		if m := vr.Request.Method; m != http.MethodGet && m != http.MethodHead {
			static.refuse(vr, http.StatusMethodNotAllowed)
			vr.Response.Header.Set("Allow", "GET, HEAD")
			return nil
		}
		if static.excluded(vr, name) {
			static.refuse(vr, http.StatusForbidden)
			return nil
		}
		f, err := vr.Physical.Open()
		if err != nil {
			static.failed(vr, err)
			return nil
		}
		sendFLV(vr, static, f)
		return nil
	}), nil
}

// sendFLV answers with f, which it closes or hands over.
func sendFLV(vr *runtime.VRequest, static *staticAction, f *os.File) {
	info, err := f.Stat()
	switch {
	case err != nil:
		static.failed(vr, err)
	case info.IsDir():
	case !info.Mode().IsRegular():
		static.refuse(vr, http.StatusForbidden)
	case vr.HandleDirect():
		h := &vr.Response.Header
		valid := validatorsOf(info, vr.Option(static.etag).(etagParts))
		valid.set(h)
		if valid.notModified(&vr.Request.Header) {
			vr.Response.Status = http.StatusNotModified
			break
		}
		vr.Response.Status = http.StatusOK
		h.Set("Content-Type", "video/x-flv")
		start := flvStart(vr.Request.URI.Query, info.Size())
		if start > 0 {
			vr.Out.AddString(flvHead)
		}
		vr.Out.AddFile(f, start, info.Size()-start)
		return
	}
	f.Close()
}

// flvStart reads where the client wants to begin; 0 for all that is no place in the file.
func flvStart(query string, size int64) int64 {
	values, _ := url.ParseQuery(query) // what cannot be read of it is not there
	start, err := strconv.ParseInt(values.Get("start"), 10, 64)
	if err != nil || start < 0 || start > size {
		return 0
	}
	return start
}
