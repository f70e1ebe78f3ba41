package bindings_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// held is what a memcached has under a key, asked without the code under test.
type held struct {
	value string
	ttl   int // seconds that are left, -1 for ever
	flags int
	ok    bool
}

func ask(t *testing.T, address, key string) (h held) {
	t.Helper()
	network, path, unix := "tcp", address, false
	if path, unix = strings.CutPrefix(address, "unix:"); unix {
		network = "unix"
	}
	c, err := net.Dial(network, path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "mg %s v t f\r\n", key)
	br := bufio.NewReader(c)
	line, err := br.ReadString('\n')
	if err != nil || line == "EN\r\n" {
		return h
	}
	var size int
	if _, err := fmt.Sscanf(line, "VA %d t%d f%d", &size, &h.ttl, &h.flags); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	value := make([]byte, size)
	if _, err := io.ReadFull(br, value); err != nil {
		t.Fatal(err)
	}
	h.value, h.ok = string(value), true
	return h
}

func TestMemcached(t *testing.T) {
	for name, path := range map[string]string{"tcp": "", "unix": filepath.Join(t.TempDir(), "mc")} {
		t.Run(name, func(t *testing.T) {
			m := backend.StartMemcached(t, path)
			site := luaScript(t, strings.ReplaceAll(`setup.mime_types { [".txt"] = "text/plain" }
local page = { server = "@MC@", key = "%{req.host}%{req.path}", ttl = 60, flags = 7 }
actions = { memcached.lookup(page, header.add("X-Memcached", "hit"), { docroot "@DIR@", static(), header.add("X-Memcached", "miss"), memcached.store(page) }) }`, "@MC@", m.Address))
			site.write(t, "a.txt", "first")
			for i, want := range []string{"miss", "hit", "hit"} {
				r := site.get("http://host/a.txt")
				if got := text(r); got != "first" || r.StatusCode != 200 || r.Header.Get("X-Memcached") != want || r.Header.Get("Content-Type") != "text/plain" || r.ContentLength != 5 {
					t.Errorf("%d: %d %q %v", i, r.StatusCode, got, r.Header)
				}
				site.write(t, "a.txt", "second")
			}
			h := ask(t, m.Address, "host/a.txt")
			if h.value != "first" || h.flags != 7 || h.ttl < 1 || h.ttl > 60 {
				t.Errorf("stored: %+v", h)
			}
			if got := text(site.get("http://other/a.txt")); got != "second" {
				t.Errorf("another key: %q", got)
			}
		})
	}
}

// Long ttls, which memcached would take for dates of 1970, and none at all.
func TestMemcachedTTL(t *testing.T) {
	m := backend.StartMemcached(t, "")
	const late = 5 // the clock of memcached goes in steps and may be behind
	for ttl, want := range map[string][2]int{"5184000": {5184000 - 600, 5184000 + late}, "0": {-1, -1}, "nil": {1, 30}} {
		site := luaScript(t, fmt.Sprintf(`actions = { respond "x", memcached.store { server = %q, key = "k%s", ttl = %s } }`, m.Address, ttl, ttl))
		site.get("/")
		if h := ask(t, m.Address, "k"+ttl); !h.ok || h.ttl < want[0] || h.ttl > want[1] || h.flags != 0 {
			t.Errorf("ttl %s: %+v", ttl, h)
		}
	}
}

// What is stored and what is not. The key is the path; the backend answers as the query says.
func TestMemcachedStore(t *testing.T) {
	m, be := backend.StartMemcached(t, ""), startBackend(t)
	const lua = `
local Upper = {}; Upper.__index = Upper
function Upper:new(vr) return setmetatable({}, self) end
function Upper:handle(vr, outq, inq) outq:add(inq:read():upper()); inq:skip_all(); outq.is_closed = inq.is_closed end
local function gone(vr) vr.resp.status = 410 end
`
	const app = `fastcgi "@FCGI@"`
	x := strings.Repeat("x", 100)
	for _, tt := range []struct{ name, actions, method, query, want string }{
		{"an answer", app + `, S`, "GET", "body=hello", "hello"},
		{"with its length", app + `, S`, "GET", "body=hello&cl=1", "hello"},
		{"in pieces", app + `, S`, "GET", "body=hello&chunks=3", "hello"},
		{"over HTTP", `proxy "@HTTP@", S`, "GET", "body=hello&te=1", "hello"},
		{"empty", `respond "", S`, "GET", "", ""},
		{"for all", app + `, S`, "GET", "body=hello&h=Cache-Control: public, max-age=60&h=Vary: Accept", "hello"},
		{"as long as it may be", app + `, S`, "GET", "size=100", x},
		{"a header that was removed", app + `, header.remove "Set-Cookie", S`, "GET", "body=hello&h=Set-Cookie: a=b", "hello"},
		{"behind a filter", app + `, lighty.filter_out(Upper), S`, "GET", "body=hello&cl=1", "HELLO"},
		{"before a filter", app + `, S, lighty.filter_out(Upper)`, "GET", "body=hello", "hello"},
		{"before deflate", app + `, S, deflate { ["min-size"] = 0 }`, "GET", "body=hello", "hello"},
		{"twice", app + `, S, S`, "GET", "body=hello", "hello"},

		{"HEAD", app + `, S`, "HEAD", "body=hello", "<none>"},
		{"POST", app + `, S`, "POST", "body=hello", "<none>"},
		{"nobody answered", `S`, "GET", "", "<none>"},
		{"not found", app + `, S`, "GET", "body=hello&status=404", "<none>"},
		{"another success", app + `, S`, "GET", "body=hello&status=203", "<none>"},
		{"a status of later", app + `, S, gone`, "GET", "body=hello", "<none>"},
		{"an error of later", app + `, S, function(vr) error "broken" end`, "GET", "body=hello", "<none>"},
		{"an error while it is sent", app + `, lighty.filter_out { new = function() return {} end }, S`, "GET", "body=hello", "<none>"},
		{"a cookie", app + `, S`, "GET", "body=hello&h=Set-Cookie: a=b", "<none>"},
		{"private", app + `, S`, "GET", "body=hello&h=Cache-Control: max-age=60, Private", "<none>"},
		{"no-store", app + `, S`, "GET", "body=hello&h=Cache-Control: public&h=cache-control: no-store", "<none>"},
		{"private fields", app + `, S`, "GET", `body=hello&h=Cache-Control: private="a"`, "<none>"},
		{"encoded", app + `, S`, "GET", "body=hello&h=Content-Encoding: br", "<none>"},
		{"behind deflate", app + `, deflate { ["min-size"] = 0 }, S`, "GET", "body=hello", "<none>"},
		{"too long", app + `, S`, "GET", "size=101", "<none>"},
		{"too long, as it says", app + `, S`, "GET", "size=101&cl=1", "<none>"},
		{"too long, in pieces", app + `, S`, "GET", "size=300&chunks=3", "<none>"},
		{"cut", app + `, S`, "GET", "body=hello&trunc=5", "<none>"},
		{"cut over HTTP", `proxy "@HTTP@", S`, "GET", "body=hello&trunc=5", "<none>"},
		{"cut over SCGI", `scgi "@SCGI@", S`, "GET", "body=hello&trunc=5", "<none>"},
		{"another length than it says", `respond "hello", header.add("Content-Length", "9"), S`, "GET", "", "<none>"},
		{"no answer", app + `, S`, "GET", "exit=1", "<none>"},
	} {
		key := strings.Map(func(r rune) rune {
			if r == ' ' || r == ',' {
				return '-'
			}
			return r
		}, tt.name)
		script := lua + "local S = memcached.store { server = \"@MC@\", maxsize = 100 }\nactions = { " + tt.actions + " }"
		site := luaScript(t, strings.NewReplacer("@MC@", m.Address, "@FCGI@", be.FCGI, "@HTTP@", be.HTTP, "@SCGI@", be.SCGI).Replace(script))
		r := httptest.NewRequest(tt.method, "http://host/"+key, nil)
		r.URL.RawQuery = strings.ReplaceAll(tt.query, " ", "%20")
		r.RequestURI = r.URL.RequestURI()
		r.Header.Set("Accept-Encoding", "gzip")
		site.aborted(r)
		got := "<none>"
		if h := ask(t, m.Address, "/"+key); h.ok {
			got = h.value
		}
		if got != tt.want {
			t.Errorf("%s: stored %q, want %q\n%s", tt.name, got, tt.want, site.log)
		}
	}
}

// aborted sends a request whose answer may be cut.
func (s *luaSite) aborted(r *http.Request) {
	defer func() {
		if e := recover(); e != nil && !errors.Is(e.(error), http.ErrAbortHandler) {
			panic(e)
		}
	}()
	s.do(r)
}

// goneClient is a client that goes away after the first piece of the body.
type goneClient struct{ *httptest.ResponseRecorder }

func (goneClient) Write(p []byte) (int, error) { return 0, errors.New("the client is gone") }

func TestMemcachedClientGone(t *testing.T) {
	m, be := backend.StartMemcached(t, ""), startBackend(t)
	site := luaScript(t, fmt.Sprintf(`actions = { fastcgi %q, memcached.store { server = %q, key = "k", maxsize = 1000000 } }`, be.FCGI, m.Address))
	func() {
		defer func() { recover() }()
		site.ServeHTTP(goneClient{httptest.NewRecorder()}, httptest.NewRequest("GET", "/?size=500000", nil))
		t.Error("the answer was not cut")
	}()
	if ask(t, m.Address, "k").ok {
		t.Error("half of an answer was stored")
	}
	site.get("/?size=500000")
	if h := ask(t, m.Address, "k"); len(h.value) != 500000 {
		t.Errorf("stored: %d bytes", len(h.value))
	}
}

// Two stores have a key each, and each its own bound; what passes them stays as it is.
func TestMemcachedTwoStores(t *testing.T) {
	m, other := backend.StartMemcached(t, ""), backend.StartMemcached(t, "")
	body := strings.Repeat("0123456789", 20000)
	site := luaScript(t, strings.NewReplacer("@MC@", m.Address, "@OTHER@", other.Address).Replace(`actions = { docroot "@DIR@", static(),
  memcached.store { server = "@MC@", key = "a", maxsize = 200000 }, memcached.store { server = "@MC@", key = "b", maxsize = 199999 }, memcached.store { server = "@OTHER@", key = "c", maxsize = 300000 } }`))
	site.write(t, "a", body)
	if r := site.get("/a"); text(r) != body {
		t.Error("the body was changed")
	}
	for i, h := range []held{ask(t, m.Address, "a"), ask(t, m.Address, "b"), ask(t, other.Address, "c"), ask(t, other.Address, "a")} {
		if want := [...]int{200000, 0, 200000, 0}[i]; len(h.value) != want || want > 0 && h.value != body {
			t.Errorf("%d: %d bytes are stored, want %d", i, len(h.value), want)
		}
	}
}

// What is too long to be stored is sent as it would be without.
func TestMemcachedTooLong(t *testing.T) {
	be := startBackend(t)
	site := luaScript(t, fmt.Sprintf(`actions = { fastcgi %q, memcached.store { server = "127.0.0.1:1", maxsize = 100 } }`, be.FCGI))
	if r := site.get("/?size=101&cl=1"); r.ContentLength != 101 || len(text(r)) != 101 || strings.Contains(site.log.String(), "ERROR") {
		t.Errorf("length %d\n%s", r.ContentLength, site.log)
	}
}

// A handled request is neither hit nor miss; values that are too large are a miss.
func TestMemcachedLookup(t *testing.T) {
	m := backend.StartMemcached(t, "")
	set := func(key, value string) {
		luaScript(t, fmt.Sprintf(`actions = { respond %q, memcached.store { server = %q, key = %q, maxsize = 2000000 } }`, value, m.Address, key)).get("/")
	}
	set("/small", "12345")
	set("/large", strings.Repeat("x", 6))
	for script, want := range map[string]string{
		`memcached.lookup(o, H, M)`:                                                             "/small:12345 hit, /large:xxxxxx hit, /none: miss",
		`respond "r", memcached.lookup(o, H, M)`:                                                "/small:r , /large:r , /none:r ",
		`memcached.lookup(o5, H, M)`:                                                            "/small:12345 hit, /large: miss, /none: miss",
		`memcached.lookup(o), memcached.lookup(o, H)`:                                           "/small:12345 , /large:xxxxxx , /none: ",
		`memcached.lookup(o, nil, M), respond "r"`:                                              "/small:12345 , /large:xxxxxx , /none:r miss",
		`memcached.lookup { o, { H, H }, { M } }`:                                               "/small:12345 hit, /large:xxxxxx hit, /none: miss",
		`when(request.path:ne "/small", { memcached.lookup(o, H) }), memcached.lookup(o, H, M)`: "/small:12345 hit, /large:xxxxxx hit, /none: miss",
	} {
		site := luaScript(t, fmt.Sprintf(`local H, M = header.overwrite("X", "hit"), header.overwrite("X", "miss")
local o = { server = %q }
local o5 = { server = %q, maxsize = 5 }
actions = { %s, when(request.is_handled:isnot(), { respond "" }) }`, m.Address, m.Address, script))
		var got []string
		for _, path := range []string{"/small", "/large", "/none"} {
			r := site.get(path)
			got = append(got, path+":"+text(r)+" "+r.Header.Get("X"))
		}
		if all := strings.Join(got, ", "); all != want {
			t.Errorf("%s:\n got %s\nwant %s\n%s", script, all, want, site.log)
		}
	}
}

// brokenMemcached is a server that gets a line and then does what a test says.
func brokenMemcached(t *testing.T, serve func(c net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				br := bufio.NewReader(c)
				if _, err := br.ReadString('\n'); err == nil {
					serve(c)
				}
				io.Copy(io.Discard, br) // a close now could overtake the answer
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// Whatever is wrong with the server: the answer is that of a miss, and there is one line in
// the log, not one a request.
func TestMemcachedBroken(t *testing.T) {
	say := func(text string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, text) } }
	hangUp := func(text string) func(net.Conn) {
		return func(c net.Conn) { io.WriteString(c, text); c.(*net.TCPConn).CloseWrite() }
	}
	for name, tt := range map[string]struct {
		serve func(c net.Conn)
		log   string
	}{
		"no answer":         {hangUp(""), "closed the connection before the end"},
		"half a line":       {hangUp("VALUE /"), "closed the connection before the end"},
		"half a value":      {hangUp("VALUE / 0 1000 1\r\nhello"), "closed the connection before the end"},
		"no end":            {hangUp("VALUE / 0 5 1\r\nhello\r\n"), "closed the connection before the end"},
		"garbage":           {say("SSH-2.0-OpenSSH_9.2\r\n"), "unexpected line"},
		"a huge value":      {say("VALUE / 0 9000000000 1\r\n"), "more than 1048576"},
		"another key":       {say("VALUE /secret 0 5 1\r\nhello\r\nEND\r\n"), "the answer is for the key"},
		"slow":              {say(""), "no progress"},
		"slow in its value": {say("VALUE / 0 5 1\r\nhel"), "no progress"},
		"an error":          {say("SERVER_ERROR out of memory\r\n"), "SERVER_ERROR out of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := brokenMemcached(t, tt.serve)
			site := luaScript(t, fmt.Sprintf(`local o = { server = %q }
actions = { memcached.lookup(o, header.add("X", "hit"), { header.add("X", "miss"), respond "made" }), memcached.store(o) }`, address))
			for range 4 {
				if r := site.get("/"); text(r) != "made" || r.StatusCode != 200 || r.Header.Get("X") != "miss" {
					t.Errorf("%d %v", r.StatusCode, r.Header)
				}
			}
			log := site.log.String()
			if strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, tt.log) {
				t.Errorf("log, want %q once:\n%s", tt.log, log)
			}
		})
	}
}

// A server that is restarted is found again.
func TestMemcachedRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mc")
	m := backend.StartMemcached(t, path)
	site := luaScript(t, fmt.Sprintf(`local o = { server = %q }
actions = { memcached.lookup(o, header.add("X", "hit")), respond "made", memcached.store(o) }`, m.Address))
	hits := func() bool { site.get("/"); return site.get("/").Header.Get("X") == "hit" }
	if !hits() {
		t.Fatal("no hit before")
	}
	m.Stop()
	if r := site.get("/"); text(r) != "made" || r.StatusCode != 200 {
		t.Errorf("without a server: %d", r.StatusCode)
	}
	backend.StartMemcached(t, path)
	for deadline := time.Now().Add(time.Minute); !hits(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no hit after the restart\n%s", site.log)
		}
	}
}

func TestMemcachedConcurrent(t *testing.T) {
	m := backend.StartMemcached(t, "")
	site := luaScript(t, fmt.Sprintf(`local o = { server = %q }
actions = { memcached.lookup(o), respond "this is %%{req.path}", memcached.store(o) }`, m.Address))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 40 {
				path := fmt.Sprintf("/%d", (i+j)%10)
				if got := text(site.get(path)); got != "this is "+path {
					t.Errorf("%s: got %q", path, got)
				}
			}
		})
	}
	all.Wait()
	if strings.Contains(site.log.String(), "level=ERROR") {
		t.Errorf("log:\n%s", site.log)
	}
}
