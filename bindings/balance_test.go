package bindings_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/runtime"
)

// loadError loads a script and returns what speaks against it.
func loadError(t *testing.T, script string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.lua")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := runtime.Load(file, runtime.Config{Modules: bindings.Modules(), Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		p.Close()
	}
	return err
}

// Who gets which of the requests; each backend answers with a letter.
func TestBalanceOrder(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"round robin", `balance.rr { respond "a", respond "b", respond "c" }`, "abcabca"},
		{"several arguments", `balance.rr(respond "a", respond "b")`, "abababa"},
		{"one backend", `balance.rr(respond "a")`, "aaaaaaa"},
		{"lists as backends", `balance.rr { { header.add("X", "1"), respond "a" }, { respond "b" } }`, "abababa"},
		{"functions as backends", `(function() local a = respond "a"; return balance.rr { function(vr) vr:enter_action(a) end, respond "b" } end)()`, "abababa"},
		{"shortest queue, all idle", `balance.sqf { respond "a", respond "b" }`, "aaaaaaa"},
		{"dead ones between", `balance.rr { proxy "unix:@DIR@/x", respond "b", scgi "unix:@DIR@/x", fastcgi "unix:@DIR@/x", respond "e" }`, "bebebeb"},
		{"shortest queue with a dead one", `balance.sqf { proxy "unix:@DIR@/x", respond "b" }`, "bbbbbbb"},
		{"nested", `balance.rr { balance.rr { backends = { proxy "unix:@DIR@/x", scgi "unix:@DIR@/x" }, wait = 0 }, respond "b" }`, "bbbbbbb"},
		{"handled before", `{ respond "e", balance.rr { respond "a" } }`, "eeeeeee"},
		{"with debug", `{ balance.debug(true), balance.rr { respond "a" } }`, "aaaaaaa"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, "actions = "+tt.script)
			got := ""
			for range tt.want {
				got += text(site.get("/"))
			}
			if got != tt.want {
				t.Errorf("got %q, want %q\n%s", got, tt.want, site.log)
			}
		})
	}
}

func TestBalanceArguments(t *testing.T) {
	for script, want := range map[string]string{
		`balance.rr {}`:                                                                      "balance.rr: the list of backends is empty",
		`balance.rr()`:                                                                       "balance.rr: the list of backends is empty",
		`balance.sqf "x"`:                                                                    "balance.sqf: expected a list of actions, got a string",
		`balance.rr { respond "a", "b" }`:                                                    "balance.rr: entry 2: expected an action, got a string",
		`balance.rr { a = respond "a" }`:                                                     `balance.rr: unknown option "a"; expected one of backends, `,
		`balance.hash { respond "a" }`:                                                       "balance.hash: key: expected a string (pattern), got an action",
		`balance.hash("%{req.pth}", respond "a")`:                                            `key: pattern "%{req.pth}": unknown variable "req.pth"; did you mean "request.path"?`,
		`balance.hash "%{req.path}"`:                                                         "balance.hash: backends is missing; expected balance.hash(key, backends)",
		`balance.hash("x", respond "a", respond "b")`:                                        "balance.hash: expected balance.hash(key, backends), got 3 arguments",
		`balance.rr { backends = respond "a", tires = 2 }`:                                   `balance.rr: unknown option "tires"; did you mean "tries"?`,
		`balance.rr { tries = 2 }`:                                                           `balance.rr: the option "backends" is missing; expected an action, or a list`,
		`balance.rr({ respond "a" }, { tries = 2 })`:                                         `balance.rr: entry 2: unknown option "tries"; expected one of action, name, weight`,
		`balance.rr { backends = {} }`:                                                       "balance.rr: backends: the list of backends is empty",
		`balance.rr { backends = { a = respond "a" } }`:                                      "balance.rr: backends: expected a list of actions, got a table with names",
		`balance.rr { { action = "a" } }`:                                                    "balance.rr: entry 1: action: expected an action, got a string",
		`balance.rr { { weight = 2 } }`:                                                      `balance.rr: entry 1: the option "action" is missing`,
		`balance.rr { { action = respond "a", weight = 0 } }`:                                "balance.rr: entry 1: weight: expected a whole number from 1 to 100, got 0",
		`balance.rr { { action = respond "a", wieght = 1 } }`:                                `balance.rr: entry 1: unknown option "wieght"; did you mean "weight"?`,
		`balance.rr { { action = respond "a", name = 1 } }`:                                  "balance.rr: entry 1: name: expected a string, got 1",
		`balance.rr { backends = respond "a", tries = 0 }`:                                   "balance.rr: tries: expected a whole number from 1 to 100, got 0",
		`balance.rr { backends = respond "a", wait = -1 }`:                                   "balance.rr: wait: expected seconds from 0 to 3600, got -1",
		`balance.rr { backends = respond "a", pause = 5, max_pause = 2 }`:                    "balance.rr: max_pause: expected at least the pause, 5 seconds, got 2",
		`balance.rr { backends = respond "a", check = true }`:                                "balance.rr: check: expected a table of options, got a boolean",
		`balance.rr { backends = respond "a", check = { path = "health" } }`:                 `balance.rr: check: path: expected a path that begins with "/", got "health"`,
		`balance.rr { backends = respond "a", check = { intervall = 5 } }`:                   `balance.rr: check: unknown option "intervall"; did you mean "interval"?`,
		`balance.rr { backends = respond "a", check = {} }`:                                  "balance.rr: check: entry 1: there is no single address to connect to; give a path",
		`balance.rr { backends = { { action = { proxy "h:1", scgi "h:2" } } }, check = {} }`: "balance.rr: check: entry 1: there is no single address",
	} {
		err := loadError(t, "actions = "+script)
		if err == nil || !strings.Contains(err.Error(), "site.lua:1: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", script, err, want)
		}
	}
}

// fullFastCGI is an application that refuses every request as overloaded (FastCGI 5.5).
func fullFastCGI(t *testing.T) (addr string) {
	return rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
		r.ReadByte()
		c.Write([]byte{1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0})
		io.Copy(io.Discard, r)
	})
}

// Which failures lead to another backend. The one behind it answers with the request body.
func TestBalanceFailover(t *testing.T) {
	be := startBackend(t)
	breaks := rawUpstream(t, func(_ net.Conn, r *bufio.Reader) { r.ReadByte() })
	full := fullFastCGI(t)
	large := strings.Repeat("x", 300_000)
	tests := []struct {
		name, first, method, body string
		status                    int
	}{
		{"proxy, refused", `proxy "unix:@DIR@/x"`, "GET", "", 200},
		{"proxy, refused, with a body", `proxy "unix:@DIR@/x"`, "POST", "abc", 200},
		{"proxy, refused, with a large body", `proxy "unix:@DIR@/x"`, "POST", large, 200},
		{"scgi, refused, with a body", `scgi "unix:@DIR@/x"`, "POST", "abc", 200},
		{"scgi, refused, with a large body", `scgi "unix:@DIR@/x"`, "POST", large, 200},
		{"fastcgi, refused, with a body", `fastcgi "unix:@DIR@/x"`, "POST", "abc", 200},
		{"fastcgi, refused, with a large body", `fastcgi "unix:@DIR@/x"`, "POST", large, 200},
		{"two that refuse", `balance.rr { backends = { fastcgi "unix:@DIR@/x", scgi "unix:@DIR@/x" }, wait = 0 }`, "POST", "abc", 200},
		{"overloaded", `fastcgi "@FULL@"`, "GET", "", 200},
		{"overloaded, with a body", `fastcgi "@FULL@"`, "POST", "abc", 200},
		{"overloaded, with a large body", `fastcgi "@FULL@"`, "POST", large, 503},
		{"the request was sent", `proxy "@BREAKS@"`, "GET", "", 200},
		{"the request was sent, fastcgi", `fastcgi "@BREAKS@"`, "DELETE", "", 200},
		{"the request was sent, scgi", `scgi "@BREAKS@"`, "HEAD", "", 200},
		{"the request was sent, with a body that may come twice", `proxy "@BREAKS@"`, "PUT", "abc", 200},
		{"the request was sent, with a large body that may come twice", `proxy "@BREAKS@"`, "PUT", large, 502},
		{"the request was sent, with a body", `proxy "@BREAKS@"`, "POST", "abc", 502},
		{"the request was sent without a body", `proxy "@BREAKS@"`, "POST", "", 502},
		{"nested, the request was sent", `balance.rr { backends = proxy "@BREAKS@", tries = 1 }`, "GET", "", 200},
		{"nested, the request was sent, with a body", `balance.rr { backends = proxy "@BREAKS@", tries = 1 }`, "POST", "abc", 502},
		{"an error of a script", `function(vr) error("no") end`, "GET", "", 500},
		{"the application's own 503", `respond(503)`, "GET", "", 503},
		{"a body that runs through a filter", `{ function(vr) vr:add_filter_in(Pass:new(vr)) end, scgi "unix:@DIR@/x" }`, "POST", "abc", 200},
		{"a large one", `{ function(vr) vr:add_filter_in(Pass:new(vr)) end, scgi "unix:@DIR@/x" }`, "POST", large, 200},
	}
	for _, tt := range tests {
		for _, second := range []string{be.FCGI, be.SCGI} {
			action := "fastcgi"
			if second == be.SCGI {
				action = "scgi"
			}
			t.Run(tt.name+", then "+action, func(t *testing.T) {
				first := strings.NewReplacer("@FULL@", full, "@BREAKS@", breaks).Replace(tt.first)
				site := luaScript(t, fmt.Sprintf("%s\nactions = balance.rr { %s, %s %q }", passFilter, first, action, second))
				r := httptest.NewRequest(tt.method, "/?stdin=1", strings.NewReader(tt.body))
				if tt.method != "GET" {
					r.Header.Set("Content-Length", strconv.Itoa(len(tt.body)))
				}
				resp := site.do(r)
				body := text(resp)
				if resp.StatusCode != tt.status || tt.status == 200 && body != tt.body {
					t.Errorf("got %d, %.100q\n%s", resp.StatusCode, body, site.log)
				}
			})
		}
	}
}

// A body of unknown length moves on as long as it is untouched, or short. FastCGI reads a
// short one before it connects.
func TestBalanceChunked(t *testing.T) {
	be := startBackend(t)
	large := strings.Repeat("x", 300_000)
	for _, tt := range []struct {
		first, body string
		status      int
	}{
		{"proxy", "abc", 200}, {"scgi", "abc", 200}, {"fastcgi", "abc", 200},
		{"proxy", large, 200}, {"scgi", large, 200}, {"fastcgi", large, 200},
	} {
		site := luaScript(t, fmt.Sprintf(`actions = balance.rr { %s "unix:@DIR@/x", proxy %q }`, tt.first, be.HTTP))
		resp, err := http.Post("http://"+site.listen(t)+"/?stdin=1", "text/plain", io.MultiReader(strings.NewReader(tt.body)))
		if err != nil {
			t.Fatal(err)
		}
		body := text(resp)
		resp.Body.Close()
		if resp.StatusCode != tt.status || tt.status == 200 && body != tt.body {
			t.Errorf("%s, %d bytes: got %d, %.100q\n%s", tt.first, len(tt.body), resp.StatusCode, body, site.log)
		}
	}
}

// When no backend can be reached the answer is a 503, and the log says why.
func TestBalanceAllDead(t *testing.T) {
	for script, want := range map[string]string{
		`balance.rr { backends = { proxy "unix:@DIR@/x", fastcgi "unix:@DIR@/y" }, fails = 1, max_pause = 1, wait = 0 }`:                            "no backend can take the request; the last failure: ",
		`balance.sqf { backends = scgi "unix:@DIR@/x", fails = 1, max_pause = 1, backlog = 0 }`:                                                     "scgi: backend unix:",
		`balance.least_time { backends = scgi "unix:@DIR@/x", fails = 1, wait = 0.05, pause = 0.02, max_pause = 0.02 }`:                             "no backend took the request in time; the last failure: ",
		`balance.rr { backends = { balance.rr { backends = proxy "unix:@DIR@/x", fails = 1, max_pause = 1, wait = 0 } }, max_pause = 1, wait = 0 }`: "no backend can take the request; the last failure: ",
	} {
		site := luaScript(t, "actions = "+script)
		for range 3 {
			if r := site.get("/"); r.StatusCode != 503 || r.Header.Get("Retry-After") != "1" {
				t.Errorf("status %d, Retry-After %q", r.StatusCode, r.Header.Get("Retry-After"))
			}
		}
		log := site.log.String()
		if !strings.Contains(log, want) || strings.Count(log, "backend left out") < strings.Count(script, "unix:") {
			t.Errorf("log:\n%s", log)
		}
	}
}

// A backend that is back gets requests again, also those that waited for it.
func TestBalanceRecovers(t *testing.T) {
	site := luaScript(t, `actions = balance.rr { backends = proxy "unix:@DIR@/x", pause = 0.01, max_pause = 0.01, wait = 60 }`)
	waiting := make(chan string)
	go func() { waiting <- text(site.get("/")) }()
	await(t, "the backend is left out", func() bool { return strings.Contains(site.log.String(), "backend left out") })
	l, err := net.Listen("unix", filepath.Join(site.dir, "x"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "back") })}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	if first, second := <-waiting, text(site.get("/")); first+second != "backback" {
		t.Errorf("got %q, %q", first, second)
	}
	if !strings.Contains(site.log.String(), "backend works again") {
		t.Errorf("log:\n%s", site.log)
	}
}

// Requests in progress count until their response was passed on.
func TestBalanceShortestQueue(t *testing.T) {
	arrived, answer := make(chan string), make(chan bool)
	var list []string
	for _, name := range []string{"a", "b", "c"} {
		up := rawUpstream(t, func(c net.Conn, r *bufio.Reader) {
			for strings.HasPrefix(readHead(r), "GET") {
				arrived <- name
				<-answer
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		list = append(list, fmt.Sprintf("proxy %q", up))
	}
	site := luaScript(t, "actions = balance.sqf { "+strings.Join(list, ", ")+" }")
	var wg sync.WaitGroup
	got := ""
	for range 7 {
		wg.Go(func() { site.get("/") })
		got += <-arrived
	}
	if got != "abcabca" {
		t.Errorf("got %q", got)
	}
	for range 7 {
		answer <- true
	}
	wg.Wait()
	for range 3 { // all idle again
		wg.Go(func() { site.get("/") })
		if name := <-arrived; name != "a" {
			t.Errorf("got %q", name)
		}
		answer <- true
		wg.Wait()
	}
}

// await waits until something is true.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
