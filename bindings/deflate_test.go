package bindings_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"luaserve/bindings"
	"luaserve/runtime"
)

// deflateText is long enough to be compressed, and compresses well.
var deflateText = strings.Repeat("the quick brown fox jumps over the lazy dog\n", 50)

// withStream adds the action test_source, which answers with the reader as a backend does.
func withStream(source io.Reader) func(*runtime.Config) {
	return func(cfg *runtime.Config) {
		cfg.Modules = append(cfg.Modules, &runtime.Module{Name: "source", Actions: []runtime.ActionDef{{
			Name: "test_source",
			New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					vr.HandleBackend(200, io.NopCloser(source))
					return nil
				}), nil
			},
		}}})
	}
}

// ask sends a request; header holds names and values in turn.
func (s *luaSite) ask(method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return s.do(r)
}

// decoder reads a body in a content coding.
func decoder(t *testing.T, coding string, r io.Reader) io.Reader {
	t.Helper()
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "deflate":
		r, err = zlib.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	case "":
	default:
		t.Fatalf("unknown coding %q", coding)
	}
	if err != nil {
		t.Fatalf("%s: %v", coding, err)
	}
	return r
}

func decoded(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(decoder(t, r.Header.Get("Content-Encoding"), r.Body))
	if err != nil {
		t.Fatalf("%s: %v", r.Header.Get("Content-Encoding"), err)
	}
	return string(b)
}

func TestDeflateNegotiation(t *testing.T) {
	all := luaScript(t, fmt.Sprintf(`actions = { respond %q, deflate() }`, deflateText))
	some := luaScript(t, fmt.Sprintf(`actions = { respond %q, deflate { encodings = { "bzip2", "deflate", "gzip" }, compression_level = 9 } }`, deflateText))
	for _, tt := range []struct{ accept, all, some string }{
		{"", "", ""},
		{"gzip", "gzip", "gzip"},
		{"x-gzip", "gzip", "gzip"},
		{"GZIP", "gzip", "gzip"},
		{"deflate", "deflate", "deflate"},
		{"gzip, deflate, br, zstd", "zstd", "gzip"},
		{"br, gzip", "br", "gzip"},
		{"gzip;q=1.0, br;q=0.5", "gzip", "gzip"},
		{"gzip;q=0, deflate;q=0.1", "deflate", "deflate"},
		{"gzip; q=0.000", "", ""},
		{"*", "zstd", "gzip"},
		{"*;q=0, gzip", "gzip", "gzip"},
		{"zstd;q=0, *", "br", "gzip"},
		{"identity, gzip;q=0.5", "", ""},
		{"identity;q=0.5, gzip;q=0.5", "gzip", "gzip"},
		{"gzip;q=2", "", ""},
		{"gzip;q=NaN", "", ""},
		{"gzip;level=1", "", ""},
		{"notgzip, gzipped", "", ""},
		{"bzip2", "", ""},
		{",,;q=1,", "", ""},
	} {
		for _, c := range []struct {
			site *luaSite
			want string
		}{{all, tt.all}, {some, tt.some}} {
			r := c.site.ask("GET", "/", "Accept-Encoding", tt.accept)
			if got := r.Header.Get("Content-Encoding"); got != c.want {
				t.Errorf("%q: got %q, want %q", tt.accept, got, c.want)
			}
			if r.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%q: Vary is %q", tt.accept, r.Header["Vary"])
			}
			if n := r.ContentLength; c.want != "" && (n <= 0 || n >= int64(len(deflateText))) {
				t.Errorf("%q: length %d", tt.accept, n)
			}
			if body := decoded(t, r); body != deflateText {
				t.Errorf("%q: wrong body %.100q", tt.accept, body)
			}
		}
	}
	r := all.ask("GET", "/", "Accept-Encoding", "br;q=0.5", "Accept-Encoding", "gzip")
	if got := r.Header.Get("Content-Encoding"); got != "gzip" {
		t.Errorf("two fields: %q", got)
	}
}

// What is compressed, and what the headers say; %s stands for deflateText.
func TestDeflateFitness(t *testing.T) {
	for _, tt := range []struct {
		name, actions  string
		encoding, vary string
		etag           string
	}{
		{"strong etag", `respond %q, header.add("ETag", '"x"')`, "gzip", "Accept-Encoding", `W/"x"`},
		{"weak etag", `respond %q, header.add("ETag", 'W/"x"')`, "gzip", "Accept-Encoding", `W/"x"`},
		{"two etags", `respond %q, header.add("ETag", '"x"'), header.add("ETag", '"y"')`, "", "", `"x"`},
		{"other vary", `respond %q, header.add("Vary", "Cookie")`, "gzip", "Cookie, Accept-Encoding", ""},
		{"vary is there", `respond %q, header.add("Vary", "cookie, accept-encoding")`, "gzip", "cookie, accept-encoding", ""},
		{"vary star", `respond %q, header.add("Vary", "*")`, "gzip", "*", ""},
		{"encoded", `respond %q, header.add("Content-Encoding", "br")`, "br", "", ""},
		{"no-transform", `respond %q, header.add("Cache-Control", "private, No-Transform")`, "", "", ""},
		{"twice", `respond %q, deflate()`, "gzip", "Accept-Encoding", ""},
		{"image", `respond %q, header.overwrite("Content-Type", "image/png")`, "", "", ""},
		{"svg", `respond %q, header.overwrite("Content-Type", "image/svg+xml; charset=utf-8")`, "gzip", "Accept-Encoding", ""},
		{"no type", `respond %q, header.remove "Content-Type"`, "gzip", "Accept-Encoding", ""},
		{"error page of one's own", `respond(404, %q)`, "gzip", "Accept-Encoding", ""},
		{"206", `respond(206, %q)`, "", "Accept-Encoding", ""},
		{"a part", `respond(200, %q), header.add("Content-Range", "bytes */1")`, "", "", ""},
		{"204", `respond(204, %q)`, "", "", ""},
		{"304", `respond(304, %q)`, "", "Accept-Encoding", ""},
		{"small", `respond "small" -- %q`, "", "", ""},
		{"built-in error page", `respond(404) -- %q`, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, "actions = {"+fmt.Sprintf(tt.actions, deflateText)+"\n, deflate() }")
			r := site.ask("GET", "/", "Accept-Encoding", "gzip")
			got := [...]string{r.Header.Get("Content-Encoding"), strings.Join(r.Header["Vary"], ", "), r.Header.Get("Etag")}
			for name, v := range r.Header { // names are sent as they were written
				if strings.EqualFold(name, "ETag") {
					got[2] = v[0]
				}
			}
			if want := [...]string{tt.encoding, tt.vary, tt.etag}; got != want {
				t.Errorf("got %q, want %q\n%s", got, want, site.log)
			}
		})
	}
}

func TestDeflateOptions(t *testing.T) {
	script := `actions = { respond "short but it counts", header.overwrite("Content-Type", "%{req.path}"), setup_debug, deflate { min_size = 1, mime_types = { "/text/*", "/a/b" } } }`
	site := luaScript(t, strings.Replace(script, "setup_debug", "deflate.debug(true)", 1))
	for path, want := range map[string]string{"/text/x": "gzip", "/a/b": "gzip", "/a/bc": "", "/x": ""} {
		if got := site.ask("GET", path, "Accept-Encoding", "gzip").Header.Get("Content-Encoding"); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for _, want := range []string{"compressed with gzip", "the type is not to be compressed: /x"} {
		if !strings.Contains(site.log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	for options, want := range map[string]string{
		`{ level = 1 }`:                   `deflate: unknown option "level"; expected one of encodings, compression_level, `,
		`{ encodings = "lzma" }`:          `deflate: encodings: unknown encoding "lzma"; expected zstd, br, gzip, deflate or bzip2`,
		`{ encodings = 1 }`:               `deflate: encodings: expected a string or a list of strings, got a number`,
		`{ compression_level = 0 }`:       `deflate: compression_level: expected a whole number from 1 to 9, got 0`,
		`{ ["blocksize"] = 0 }`:           `deflate: blocksize: expected a whole number of at least 1, got 0`,
		`{ mime_types = "text/html" }`:    `deflate: mime_types: expected a list of strings, got "text/html"`,
		`{ mime_types = { "html" } }`:     `deflate: mime_types: "html" is no type; `,
		`{ {"min-size", 1}, {1, 2}, }`:    `deflate: expected the name of an option, got 1`,
		`{{"min-size",1},{"min_size",2}}`: `deflate: the option "min_size" is given twice`,
		`"gzip"`:                          `deflate: options: expected a key-value list, got a string`,
	} {
		file := filepath.Join(t.TempDir(), "site.lua")
		if err := os.WriteFile(file, []byte("actions = { deflate "+options+" }"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := runtime.Load(file, runtime.Config{Modules: bindings.Modules()}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", options, err, want)
		}
	}
}

// A big file is compressed while it is sent, HEAD says the same as GET, and a client that
// has a compressed copy is told that it is still good.
func TestDeflateStatic(t *testing.T) {
	site := luaScript(t, `setup.mime_types { [".txt"] = "text/plain" }
actions = { docroot "@DIR@", static(), deflate() }`)
	big := strings.Repeat(deflateText, 2000)
	site.write(t, "small.txt", deflateText)
	site.write(t, "big.txt", big)
	for name, want := range map[string]string{"/small.txt": deflateText, "/big.txt": big} {
		for _, coding := range []string{"gzip", "br", "zstd", "deflate"} {
			get, head := site.ask("GET", name, "Accept-Encoding", coding), site.ask("HEAD", name, "Accept-Encoding", coding)
			if get.Header.Get("Content-Encoding") != coding || decoded(t, get) != want {
				t.Errorf("%s, %s: wrong body", name, coding)
			}
			if fmt.Sprint(get.Header) != fmt.Sprint(head.Header) || get.Header.Get("Accept-Ranges") != "" {
				t.Errorf("%s, %s:\nGET  %v\nHEAD %v", name, coding, get.Header, head.Header)
			}
			if known := get.ContentLength >= 0; known != (name == "/small.txt") {
				t.Errorf("%s, %s: length %d", name, coding, get.ContentLength)
			}
		}
	}
	tag := strings.Join(asWritten(site.ask("GET", "/small.txt", "Accept-Encoding", "br").Header, "ETag"), "")
	r := site.ask("GET", "/small.txt", "Accept-Encoding", "br", "If-None-Match", tag)
	if r.StatusCode != 304 || fmt.Sprint(asWritten(r.Header, "ETag")) != "["+tag+"]" || !strings.HasPrefix(tag, `W/"`) || r.Header.Get("Vary") == "" {
		t.Errorf("%d %v, want %s", r.StatusCode, r.Header, tag)
	}
	r = site.ask("GET", "/small.txt", "Accept-Encoding", "br", "Range", "bytes=4-8")
	if body := text(r); r.StatusCode != 206 || body != "quick" {
		t.Errorf("%d %q", r.StatusCode, body)
	}
	if r = site.ask("GET", "/none.txt", "Accept-Encoding", "br"); r.StatusCode != 404 || !strings.Contains(text(r), "404") {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// Lua handlers and Lua filters: what they make is compressed as one.
func TestDeflateLua(t *testing.T) {
	for name, script := range map[string]string{
		"handler":       `actions = { function(vr) vr:handle_direct(); vr.resp.status = 200; for i = 1, 1000 do vr.out:add("line " .. i .. "\n") end end, deflate() }`,
		"filter before": passFilter + `actions = { function(vr) vr:handle_direct(); vr.resp.status = 200; for i = 1, 1000 do vr.out:add("line " .. i .. "\n") end end, lighty.filter_out(Pass), deflate() }`,
		"filter behind": passFilter + `actions = { function(vr) vr:handle_direct(); vr.resp.status = 200; for i = 1, 1000 do vr.out:add("line " .. i .. "\n") end end, deflate(), lighty.filter_out(Pass) }`,
		"added later":   `actions = { respond(("x"):rep(1000)), deflate(), function(vr) vr.out:reset(); for i = 1, 1000 do vr.out:add("line " .. i .. "\n") end end }`,
	} {
		t.Run(name, func(t *testing.T) {
			site := luaScript(t, script)
			var want strings.Builder
			for i := range 1000 {
				fmt.Fprintf(&want, "line %d\n", i+1)
			}
			for _, coding := range []string{"gzip", "zstd", "br", "deflate", ""} {
				r := site.ask("GET", "/", "Accept-Encoding", coding)
				raw, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(raw))
				if r.Header.Get("Content-Encoding") != coding || decoded(t, r) != want.String() {
					t.Errorf("%s: wrong body\n%s", coding, site.log)
				}
				if coding != "" && len(raw) > want.Len()/2 {
					t.Errorf("%s: %d bytes", coding, len(raw))
				}
			}
		})
	}
}

func TestDeflateFastCGI(t *testing.T) {
	be := startBackend(t)
	site := luaScript(t, fmt.Sprintf(`actions = { fastcgi %q, deflate() }`, be.FCGI))
	for target, want := range map[string]string{
		"/?size=300000&cl=1":     "gzip",
		"/?size=300000":          "gzip",
		"/?size=3000&chunks=3":   "gzip",
		"/?size=20&cl=1":         "", // too small, and it says so
		"/?size=3000&ct=video/x": "",
	} {
		r := site.ask("GET", target, "Accept-Encoding", "gzip")
		size := 0
		fmt.Sscanf(target, "/?size=%d", &size)
		if got := r.Header.Get("Content-Encoding"); got != want || decoded(t, r) != strings.Repeat("x", size) {
			t.Errorf("%s: %q, %v", target, got, r.Header)
		}
	}
	// a body that ends too early must not look whole
	addr := site.listen(t)
	_, r := speak(t, addr, "GET /?size=3000&trunc=5 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("a cut body looks whole")
	}
}

// asWritten reads fields by the name as the server wrote it: net/http would look for Etag.
func asWritten(h http.Header, name string) []string { return h[name] }
