package bindings

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"luaserve/runtime"
)

func deflateModule() *runtime.Module {
	return &runtime.Module{
		Name: "deflate",
		Doc: "Compresses answers on their way out. " +
			"Beware of BREACH: where an encrypted page holds a secret (a session token, a CSRF token) next to something that the client chose (a search word), " +
			"the length of the compressed page tells the secret piece by piece. Leave such pages out, or mask the secret anew in each answer.",
		Untrusted: []string{"deflate"},
		Actions: []runtime.ActionDef{{
			Name: "deflate", New: newDeflate,
			Doc: "Compresses the answer if the client accepts it; put it behind what answers the request, a backend included. " +
				"Of what the client likes best, zstd is taken before br, gzip and deflate. " +
				`Left alone are: answers that are encoded already, parts of a file, status 1xx, 204, 205, 206 and 304, "Cache-Control: no-transform", more than one ETag, what is too small or of the wrong type. ` +
				"Otherwise the answer gets Vary, and when it is compressed Content-Encoding and a weak ETag. What a slow backend sends is passed on at once. " +
				"A request that nobody has answered yet is left alone as well, where lighttpd2 answers with 500.",
			Example: `actions = { docroot "/var/www", static(), deflate { encodings = "br,gzip", compression_level = 6, mime_types = { "text/*", "application/json" } } }`,
			Params: []runtime.Param{{Name: "options", Type: runtime.TPairs, Optional: true,
				Options: describeOptions(deflateOptions, newDeflateSetup())}},
		}},
		Options: []runtime.Option{{
			Name: "deflate.debug", Type: runtime.TBool, Default: false,
			Doc:     "Whether to log why an answer is compressed or not.",
			Example: "setup.deflate.debug(true)",
		}},
	}
}

// deflateAction compresses answers. It is immutable.
type deflateAction struct {
	codings []*coding // of those that the client likes equally the first is taken
	minSize int64     // bytes
	types   []string  // nil: everything that is not compressed by nature
	debug   runtime.OptionRef
}

// deflateSetup is what a script says of it.
type deflateSetup struct {
	encodings []string
	never     []string // encodings that were named and are never chosen
	level     int
	minSize   int64
	types     []string
	ignored   int64
}

func newDeflateSetup() *deflateSetup {
	return &deflateSetup{encodings: []string{"zstd", "br", "gzip", "deflate"}, level: 1, minSize: 256}
}

var deflateOptions = []option[deflateSetup]{
	{name: "encodings", typ: "string|string[]", set: (*deflateSetup).readEncodings,
		get: func(s *deflateSetup) string { return strconv.Quote(strings.Join(s.encodings, ",")) },
		doc: `names separated by commas, or a list; "bzip2" is accepted and never chosen: no browser reads it`},
	numberOption("compression_level", "1 (fast) to 9 (small)", func(s *deflateSetup) *int { return &s.level }, 1, 9),
	numberOption("min_size", "bytes below which an answer of known length stays as it is", func(s *deflateSetup) *int64 { return &s.minSize }, 0, 1<<40),
	{name: "mime_types", typ: "string[]", set: (*deflateSetup).readTypes,
		doc: `a list of types to compress, "text/*" for all that begin alike; by default all but images, video and what else is compressed by nature`},
	ignoredSize("blocksize"),
	ignoredSize("output_buffer"),
}

func ignoredSize(name string) option[deflateSetup] {
	o := numberOption(name, "accepted without an effect: buffers have a fixed size", func(s *deflateSetup) *int64 { return &s.ignored }, 1, 1<<40)
	o.get = nil
	return o
}

func newDeflate(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	s := newDeflateSetup()
	if err := readOptions(s, deflateOptions, args.Pairs(0)); err != nil {
		return nil, err
	}
	for _, name := range s.never {
		b.Log().Info("deflate: this encoding is never chosen: no browser reads it", "encoding", name, "at", b.Pos().String())
	}
	a := &deflateAction{minSize: s.minSize, types: s.types, debug: b.Option("deflate.debug")}
	for _, c := range codings {
		if slices.Contains(s.encodings, c.name) {
			a.codings = append(a.codings, newCoding(c.name, c.open, s.level))
		}
	}
	return a, nil
}

func (s *deflateSetup) readTypes(v runtime.Value) error {
	types, err := readStrings(v)
	if err != nil {
		return err
	}
	for i, typ := range types {
		if types[i] = strings.ToLower(typ); !strings.Contains(typ, "/") {
			return fmt.Errorf(`%q is no type; expected for example "text/html" or "text/*"`, typ)
		}
	}
	s.types = types
	return nil
}

func (s *deflateSetup) readEncodings(v runtime.Value) error {
	texts, ok := v.Strings()
	if !ok {
		return fmt.Errorf("expected a string or a list of strings, got %s", v.Kind())
	}
	var names []string
	for name := range strings.SplitSeq(strings.Join(texts, ","), ",") {
		name = strings.TrimSpace(name)
		switch name {
		case "zstd", "br", "gzip", "deflate":
			names = append(names, name)
		case "x-gzip":
			names = append(names, "gzip")
		case "identity", "":
		case "bzip2", "x-bzip2", "compress", "x-compress":
			s.never = append(s.never, name)
		default:
			return fmt.Errorf("unknown encoding %q; expected zstd, br, gzip, deflate or bzip2", name)
		}
	}
	s.encodings = names
	return nil
}

// Run decides on the answer's headers and puts the compressor behind the body.
func (a *deflateAction) Run(vr *runtime.VRequest) error {
	reason := a.unfit(vr)
	if reason != "" {
		a.explain(vr, reason)
		return nil
	}
	h := &vr.Response.Header
	addVary(h, "Accept-Encoding")
	if s := vr.Response.Status; s == http.StatusNotModified || s == http.StatusPartialContent {
		weakenForClient(vr)
		a.explain(vr, "there is nothing to compress, but there could have been")
		return nil
	}
	c := negotiate(vr.Request.Header.Get("Accept-Encoding"), a.codings)
	if c == nil {
		a.explain(vr, "the client accepts no encoding that is offered")
		return nil
	}
	a.explain(vr, "compressed with "+c.name)
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		h.Set("ETag", "W/"+tag)
	}
	h.Set("Content-Encoding", c.name)
	// what is sent is no longer what these describe
	for _, name := range [...]string{"Content-Length", "Accept-Ranges", "Content-MD5", "Content-Digest", "Repr-Digest", "Digest"} {
		h.Remove(name)
	}
	p := &compressor{coding: c, source: vr.Out}
	vr.AddFilterOut(runtime.NewFilter(p.handle))
	vr.OnFinish(p.release)
	return nil
}

func (a *deflateAction) explain(vr *runtime.VRequest, what string) {
	if vr.Option(a.debug).(bool) {
		vr.Log().Info("deflate: "+what, "path", vr.Request.URI.Path, "status", vr.Response.Status)
	}
}

// unfit says why an answer is not for any client to get compressed; "" when it is.
func (a *deflateAction) unfit(vr *runtime.VRequest) string {
	h := &vr.Response.Header
	status := vr.Response.Status
	switch {
	case !vr.HasResponse():
		return "nobody has answered the request yet: put deflate behind what does"
	case status < 200, status == http.StatusNoContent, status == http.StatusResetContent:
		return "this status has no body"
	case h.Has("Content-Encoding"):
		return "the answer is encoded already"
	case h.Has("Transfer-Encoding"):
		return "the answer has a Transfer-Encoding"
	case hasToken(h.Get("Cache-Control"), "no-transform"):
		return "Cache-Control says no-transform"
	case countFields(h, "ETag") > 1:
		return "the answer has more than one ETag"
	case status == http.StatusNotModified, status == http.StatusPartialContent:
		return "" // nothing to compress, but the whole answer might have been
	case h.Has("Content-Range"):
		return "this is a part of something"
	}
	if size := bodySize(vr); size == 0 || size > 0 && size < a.minSize {
		return "the answer is too small"
	}
	if typ := h.Get("Content-Type"); !a.wants(typ) {
		return "the type is not to be compressed: " + typ
	}
	return ""
}

// bodySize returns the length of the body in bytes, -1 when it is not known.
func bodySize(vr *runtime.VRequest) int64 {
	n := vr.Out.Len()
	if n > 0 || n == 0 && vr.Request.Method != http.MethodHead {
		return n
	}
	// a backend's stream, or a HEAD that the handler made no body for
	if text, ok := vr.Response.Header.Lookup("Content-Length"); ok {
		if announced, err := strconv.ParseInt(text, 10, 64); err == nil && announced >= 0 {
			return announced
		}
	}
	return n
}

// compressedTypes are compressed by nature.
var compressedTypes = []string{"image/*", "video/*", "audio/*", "font/woff", "font/woff2", "application/font-woff", "application/font-woff2",
	"application/zip", "application/gzip", "application/x-gzip", "application/zstd", "application/x-bzip2", "application/x-xz", "application/x-7z-compressed",
	"application/vnd.rar", "application/x-rar-compressed", "application/java-archive", "application/epub+zip", "application/x-compress", "application/x-rpm",
	"application/vnd.debian.binary-package", "application/vnd.android.package-archive", "application/ogg"}

// plainImages are images that are not.
var plainImages = []string{"image/svg+xml", "image/bmp", "image/x-ms-bmp", "image/x-icon", "image/vnd.microsoft.icon"}

// wants reports whether answers of this Content-Type are compressed.
func (a *deflateAction) wants(contentType string) bool {
	typ, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	typ = strings.TrimSpace(typ)
	if a.types != nil {
		return typeListed(a.types, typ)
	}
	return !typeListed(compressedTypes, typ) || typeListed(plainImages, typ)
}

func typeListed(list []string, typ string) bool {
	for _, want := range list {
		if prefix, ok := strings.CutSuffix(want, "*"); ok && strings.HasPrefix(typ, prefix) || want == typ {
			return true
		}
	}
	return false
}

// negotiate returns the coding that the client likes best (RFC 9110, 12.5.3), nil for none.
func negotiate(accept string, offered []*coding) *coding {
	var best *coding
	bestQ := 0.0
	for _, c := range offered {
		if q := quality(accept, c.name); q > bestQ {
			best, bestQ = c, q
		}
	}
	if identity := quality(accept, "identity"); identity > bestQ {
		return nil // it would rather have the answer as it is
	}
	return best
}

// quality returns how much the client likes a coding, from 0 to 1.
func quality(accept, coding string) float64 {
	wildcard := 0.0
	for item := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if name == coding || name == "x-gzip" && coding == "gzip" {
			return weight(params)
		}
		if name == "*" {
			wildcard = weight(params)
		}
	}
	return wildcard
}

// weight reads q=0.5; what is no weight counts as 0, nothing as 1.
func weight(params string) float64 {
	params = strings.TrimSpace(params)
	if params == "" {
		return 1
	}
	name, value, _ := strings.Cut(params, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if !strings.EqualFold(strings.TrimSpace(name), "q") || err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// weakenForClient gives an ETag the form in which the client has it: the weak one if it
// was sent a compressed answer.
func weakenForClient(vr *runtime.VRequest) {
	tag := vr.Response.Header.Get("ETag")
	if vr.Response.Status != http.StatusNotModified || !strings.HasPrefix(tag, `"`) {
		return
	}
	if strings.Contains(vr.Request.Header.Get("If-None-Match"), "W/"+tag) {
		vr.Response.Header.Set("ETag", "W/"+tag)
	}
}

// addVary adds a name to Vary unless it is there.
func addVary(h *runtime.Header, name string) {
	vary := h.Get("Vary")
	if !hasToken(vary, name) && !hasToken(vary, "*") {
		h.Append("Vary", name)
	}
}

// hasToken reports whether a list of words has one of them.
func hasToken(list, word string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(item), word) {
			return true
		}
	}
	return false
}

func countFields(h *runtime.Header, name string) int {
	n := 0
	for field := range h.All() {
		if strings.EqualFold(field, name) {
			n++
		}
	}
	return n
}
