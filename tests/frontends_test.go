package tests

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"luaserve/tests/pki"
)

const frontEndScript = `
	setup.listen "$A"
	setup.openssl { listen = "$B", pemfile = "$DIR/site.pem" }
	setup.mime_types "default"
	lua.plugin "core.lua"
	local function lua(vr)
		if not vr:handle_direct() then return end
		vr.resp.status = 200
		vr.resp.headers:insert("Set-Cookie", "a=1; Path=/")
		vr.resp.headers:insert("Set-Cookie", "b=2")
		vr.resp.headers:insert("x-Odd-CASE", "é")
		vr.out:add((vr.req.headers["Cookie"] or "") .. "|" .. (vr.req.headers["X-Two"] or "") .. "|" .. (vr["in"]:read() or ""))
	end
	actions = {
		when(request.path:eq "/lua", lua),
		when(request.path:eq "/fails", function(vr) error("on purpose") end),
		when(request.path:prefix "/status/", { map("%{req.path}", {
			["/status/204"] = respond(204), ["/status/205"] = respond(205), ["/status/404"] = respond(404), ["/status/503"] = respond(503, "busy") }) }),
		when(request.path:eq "/moved", redirect "/elsewhere?x=1"),
		when(request.path:eq "/vars", respond "%{req.method} %{req.host} %{req.raw_path} %{req.query} %{req.length}"),
		when(request.path:prefix "/app", core.wsgi("/app", { fastcgi "$FCGI" })),
		when(request.path:prefix "/proxied", proxy "$HTTP"),
		when(request.path:eq "/once", { action.keepalive.requests(1), respond "once" }),
		docroot "$DIR/htdocs", index { "index.html" }, dirlist(), static(),
	}`

// frontEndRequests is what the front ends must answer in the same way.
var frontEndRequests = []struct {
	name, method, path, body string
	header                   http.Header
	stream                   bool // the body has no length
	want                     int
}{
	{name: "file", path: "/file.txt", want: 200},
	{name: "index", path: "/", want: 200},
	{name: "large file", path: "/large.bin", want: 200},
	{name: "HEAD", method: "HEAD", path: "/file.txt", want: 200},
	{name: "range", path: "/file.txt", header: http.Header{"Range": {"bytes=2-4"}}, want: 206},
	{name: "ranges", path: "/large.bin", header: http.Header{"Range": {"bytes=99999999-"}}, want: 416},
	{name: "not modified", path: "/file.txt", header: http.Header{"If-Modified-Since": {"Fri, 01 Jan 2100 00:00:00 GMT"}}, want: 304},
	{name: "missing file", path: "/none", want: 404},
	{name: "directory", path: "/dir", want: 301},
	{name: "wrong method", method: "PUT", path: "/file.txt", body: "x", want: 405},
	{name: "variables", path: "/vars?a=b%20c&d", want: 200},
	{name: "escapes", path: "/vars?%41=%2f/../x", want: 200},
	{name: "Lua", path: "/lua", header: http.Header{"Cookie": {"x=1; y=2"}, "X-Two": {"one", "two"}}, want: 200},
	{name: "Lua and a body", method: "POST", path: "/lua", body: "hello", want: 200},
	{name: "Lua and a stream", method: "POST", path: "/lua", body: "hello", stream: true, want: 200},
	{name: "Lua fails", path: "/fails", want: 500},
	{name: "no content", path: "/status/204", want: 204},
	{name: "reset content", path: "/status/205", want: 205},
	{name: "not found", path: "/status/404", want: 404},
	{name: "HEAD of an error", method: "HEAD", path: "/status/404", want: 404},
	{name: "busy", path: "/status/503", want: 503},
	{name: "redirect", path: "/moved", want: 301},
	{name: "FastCGI", path: "/app/x?only=SCRIPT_NAME,PATH_INFO,QUERY_STRING,REQUEST_URI,REQUEST_METHOD,HTTP_X_TWO,HTTP_HOST,CONTENT_LENGTH", header: http.Header{"X-Two": {"one", "two"}}, want: 200},
	{name: "FastCGI, length", path: "/app/x?body=hello&cl=1", want: 200},
	{name: "FastCGI, status and headers", path: "/app/x?status=418&h=Set-Cookie:%20a%3D1&h=Set-Cookie:%20b%3D2&h=X-Lower:%20y&h=Connection:%20close&h=Keep-Alive:%20timeout%3D9&body=teapot", want: 418},
	{name: "FastCGI, HEAD", method: "HEAD", path: "/app/x?body=hello&cl=1", want: 200},
	{name: "FastCGI, upload", method: "POST", path: "/app/x?stdin=1", body: strings.Repeat("upload ", 50000), want: 200},
	{name: "FastCGI, stream", method: "POST", path: "/app/x?stdin=1", body: strings.Repeat("stream ", 50000), stream: true, want: 200},
	{name: "FastCGI, pieces", path: "/app/x?size=300000&chunks=20", want: 200},
	{name: "proxy", method: "POST", path: "/proxied?stdin=1", body: "hello", want: 200},
	{name: "proxy, stream", method: "POST", path: "/proxied?stdin=1", body: "hello", stream: true, want: 200},
	{name: "one request", path: "/once", want: 200},
	{name: "POST without a body", method: "POST", path: "/vars", want: 200},
	{name: "GET with a body", path: "/vars", body: "x", want: 400},
	{name: "OPTIONS", method: "OPTIONS", path: "/file.txt", want: 405},
	{name: "NUL in the path", path: "/a%00b", want: 404},
	{name: "path up and away", path: "/../../etc/passwd", want: 404},
	{name: "long target", path: "/" + strings.Repeat("x", 9000), want: 414},
	{name: "many fields", path: "/file.txt", header: http.Header{"X": slices.Repeat([]string{"y"}, 110)}, want: 431},
}

// The same request gets the same answer over HTTP/1.1, HTTP/1.1 with TLS, and HTTP/2.
func TestFrontEndsAgree(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	for name, size := range map[string]int{"file.txt": 10, "index.html": 3, "large.bin": 1 << 20, "dir/a": 1} {
		if err := writeOld(dir+"/htdocs/"+name, bytes.Repeat([]byte("0123456789"), size/10+1)[:size]); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI, "$HTTP", b.HTTP).Replace(frontEndScript))
	clients := []struct {
		name, origin, proto string
		client              *http.Client
	}{
		{"HTTP/1.1", "http://site.example", "HTTP/1.1", tlsClient(t, r.addr(0), nil, false)},
		{"HTTP/1.1 with TLS", "https://site.example", "HTTP/1.1", tlsClient(t, r.addr(1), trusting(ca.Pool()), false)},
		{"HTTP/2", "https://site.example", "HTTP/2.0", tlsClient(t, r.addr(1), trusting(ca.Pool()), true)},
	}
	for _, q := range frontEndRequests {
		t.Run(q.name, func(t *testing.T) {
			var first string
			for i, c := range clients {
				req, err := http.NewRequestWithContext(t.Context(), q.method, c.origin+q.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if q.body != "" {
					req.Body, req.ContentLength = io.NopCloser(strings.NewReader(q.body)), int64(len(q.body))
				}
				if q.stream {
					req.ContentLength = -1
				}
				maps.Copy(req.Header, q.header)
				req.Header.Set("User-Agent", "test")
				resp, err := c.client.Do(req)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				text := describeAnswer(t, resp)
				if resp.StatusCode != q.want || resp.Proto != c.proto {
					t.Errorf("%s: %s %d, want %s %d", c.name, resp.Proto, resp.StatusCode, c.proto, q.want)
				}
				// what a script says of the scheme must differ
				if text = strings.ReplaceAll(text, "https://", "http://"); i == 0 {
					first = text
				} else if text != first {
					t.Errorf("%s differs from %s:\n%s--- from\n%s", c.name, clients[0].name, text, first)
				}
			}
		})
	}
}

// describeAnswer is an answer without what belongs to the connection or the moment.
func describeAnswer(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("reading the body: %v", err)
	}
	var b strings.Builder
	for _, name := range []string{"Date", "Connection"} {
		resp.Header.Del(name)
	}
	for _, name := range slices.Sorted(maps.Keys(resp.Header)) {
		fmt.Fprintf(&b, "%s: %q\n", name, resp.Header[name])
	}
	if len(body) > 1000 {
		body = fmt.Appendf(nil, "%s … %d bytes", body[:20], len(body))
	}
	return "length " + strconv.FormatInt(resp.ContentLength, 10) + "\n" + b.String() + "\n" + string(body) + "\n"
}

// A client can tell an answer that is incomplete, over each of them.
func TestFrontEndsCutIncompleteAnswers(t *testing.T) {
	b := startBackend(t)
	dir := t.TempDir()
	ca := pki.Authority(t, "CA")
	ca.Server(t, "site.example").Write(t, dir+"/site.pem")
	if err := os.Mkdir(dir+"/htdocs", 0o700); err != nil {
		t.Fatal(err)
	}
	r := run(t, strings.NewReplacer("$DIR", dir, "$FCGI", b.FCGI, "$HTTP", b.HTTP).Replace(frontEndScript))
	for _, c := range []struct {
		origin string
		client *http.Client
	}{
		{"http://site.example", tlsClient(t, r.addr(0), nil, false)},
		{"https://site.example", tlsClient(t, r.addr(1), trusting(ca.Pool()), false)},
		{"https://site.example", tlsClient(t, r.addr(1), trusting(ca.Pool()), true)},
	} {
		// the application promises more than it sends, or dies
		for _, path := range []string{"/app/x?body=half&trunc=1000", "/app/x?size=100000&chunks=5&exit=1"} {
			resp, err := c.client.Get(c.origin + path)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil && resp.StatusCode == http.StatusOK {
				t.Errorf("%s %s: the client cannot tell that the answer is incomplete", c.origin, path)
			}
		}
	}
}
