package bindings_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"luaserve/tests/backend"
)

// startBackend starts an application that answers as the query string says.
func startBackend(t *testing.T) *backend.Backend {
	t.Helper()
	dir, err := os.MkdirTemp("", "be")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := backend.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestSCGIRequests(t *testing.T) {
	be := startBackend(t)
	const upper = `
local Upper = {}; Upper.__index = Upper
function Upper:new(vr) return setmetatable({}, self) end
function Upper:handle(vr, outq, inq) local s = inq:read(); if s and #s > 0 then outq:add("<" .. s:upper() .. ">") end; outq.is_closed = inq.is_closed end
`
	tests := []struct{ name, script, method, target, body, want string }{
		{"names", `actions = scgi "@SCGI@"`, "GET", "/x?names=1", "", "CONTENT_LENGTH\nSERVER_SOFTWARE\nSERVER_NAME\nGATEWAY_INTERFACE\nREMOTE_PORT\nREMOTE_ADDR\n" +
			"SCRIPT_NAME\nPATH_INFO\nSCRIPT_FILENAME\nDOCUMENT_ROOT\nREQUEST_URI\nQUERY_STRING\nREQUEST_METHOD\nREDIRECT_STATUS\nSERVER_PROTOCOL\nREQUEST_SCHEME\nHTTP_HOST\nSCGI\n"},
		{"values", `actions = scgi "@SCGI@"`, "GET", "/x%20y?only=CONTENT_LENGTH,SCGI,REQUEST_URI,SCRIPT_NAME,HTTP_HOST", "",
			"CONTENT_LENGTH=0\nSCGI=1\nREQUEST_URI=/x%20y?only=CONTENT_LENGTH,SCGI,REQUEST_URI,SCRIPT_NAME,HTTP_HOST\nSCRIPT_NAME=/x y\nHTTP_HOST=example.com\n"},
		{"own environment", `actions = { env.set("A", "1"), env.set("SCGI", "9"), env.set("CONTENT_LENGTH", "7"), env.set("SCRIPT_NAME", "/s"), scgi "@SCGI@" }`,
			"POST", "/?only=A,SCGI,CONTENT_LENGTH,SCRIPT_NAME", "abc", "A=1\nSCGI=1\nCONTENT_LENGTH=3\nSCRIPT_NAME=/s\n"},
		{"body", `actions = scgi "@SCGI@"`, "POST", "/?stdin=1", "hello", "hello"},
		{"long body", `actions = scgi "@SCGI@"`, "POST", "/?stdinlen=1", strings.Repeat("x", 300_000), "300000"},
		{"mounted", `lua.plugin "core.lua"; actions = core.wsgi("/s", { scgi "@SCGI@" })`, "GET", "/s/path?only=SCRIPT_NAME,PATH_INFO", "", "SCRIPT_NAME=/s\nPATH_INFO=/path\n"},
		{"filtered body", upper + `actions = { function(vr) vr:add_filter_in(Upper:new(vr)) end, scgi "@SCGI@" }`, "POST", "/?stdin=1", "hello", "<HELLO>"},
		{"length of a filtered body", upper + `actions = { function(vr) vr:add_filter_in(Upper:new(vr)) end, scgi "@SCGI@" }`, "POST", "/?only=CONTENT_LENGTH", "hello", "CONTENT_LENGTH=7\n"},
		{"handled before", `actions = { respond "early", scgi "@SCGI@" }`, "GET", "/", "", "early"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, strings.ReplaceAll(tt.script, "@SCGI@", be.SCGI))
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			if got := text(site.do(r)); got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, site.log)
			}
		})
	}
}

// A chunked body is buffered, because SCGI wants its length first.
func TestSCGIChunked(t *testing.T) {
	site := luaScript(t, `actions = scgi "`+startBackend(t).SCGI+`"`)
	_, r := speak(t, site.listen(t), "POST /?stdin=1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "abcde" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestSCGIAnswers(t *testing.T) {
	addr := luaScript(t, `actions = { scgi "`+startBackend(t).SCGI+`", header.overwrite("X-After", "1") }`).listen(t)
	tests := []struct {
		name, method, target string
		status               int
		body                 string
		cut                  bool
	}{
		{"plain", "GET", "/?body=x", 200, "x", false},
		{"status", "GET", "/?status=404%20Nope&body=n", 404, "n", false},
		{"pieces", "GET", "/?body=abcdef&chunks=3", 200, "abcdef", false},
		{"large", "GET", "/?size=300000", 200, strings.Repeat("x", 300_000), false},
		{"HEAD", "HEAD", "/?body=abc&cl=1", 200, "", false},
		{"no content", "GET", "/?status=204", 204, "", false},
		{"own error", "GET", "/?status=503&body=own", 503, "own", false},
		{"no answer", "GET", "/?exit=1", 502, "", false},
		{"half a head", "GET", "/?halfhdr=1", 502, "", false},
		{"nonsense", "GET", "/?raw=nonsense%0a%0a", 502, "", false},
		{"body too short", "GET", "/?body=abc&trunc=5", 200, "abc", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest(tt.method, "http://"+addr+tt.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || (err != nil) != tt.cut || tt.status != 502 && string(body) != tt.body {
				t.Errorf("got %d, %.100q, %v", resp.StatusCode, body, err)
			}
			if after := resp.Header.Get("X-After"); (after == "1") != (tt.status != 502) {
				t.Errorf("X-After: %q", after)
			}
		})
	}
}

func TestBackendAddresses(t *testing.T) {
	for _, action := range []string{"scgi", "proxy"} {
		for arg, want := range map[string]string{
			`"no address"`: `backend address "no address"`,
			`"/run/x"`:     `write "unix:/run/x"`,
			`"unix:"`:      "has no path",
			`"host:99999"`: "not between 1 and 65535",
			`5`:            "expected an address or a table of options, got a number",
			``:             `the option "socket" is missing`,
		} {
			if err := loadError(t, "actions = "+action+"("+arg+")"); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s(%s): got %v, want %q", action, arg, err, want)
			}
		}
	}
	site := luaScript(t, `actions = scgi "unix:@DIR@/none"`)
	if r := site.get("/"); r.StatusCode != 503 {
		t.Errorf("status %d", r.StatusCode)
	}
}
