package playground_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"luaserve/bindings"
	"luaserve/playground"
	"luaserve/reference"
	"luaserve/runtime"
	"luaserve/scripts"
)

// server is a playground that listens.
type server struct {
	*playground.Playground
	url string // http://127.0.0.1:1234
	dir string
	at  *httptest.Server
}

// page is the address with the key.
func (s *server) page() string { return s.URL(s.at.Listener.Addr()) }

// here is the directory of the package; playgrounds work in another one.
var here = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()

// serve starts a playground on site.lua in a copy of testdata/site, with another script if
// one is given.
func serve(t *testing.T, script string) *server { return serveAt(t, script, runtime.Sandbox{}) }

func serveAt(t *testing.T, script string, sandbox runtime.Sandbox) *server {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(here, "testdata/site"))); err != nil {
		t.Fatal(err)
	}
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "site.lua"), []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil {
		t.Fatal(err)
	}
	p := playground.New(playground.Config{File: "site.lua", Save: true, Reference: reference.New(bindings.Modules(), plugins...),
		Runtime: runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Sandbox: sandbox, LuaBudget: 3 * time.Second}}) // for busy machines
	t.Cleanup(p.Close)
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return &server{p, s.URL, dir, s}
}

// mostFrequent returns up to n colours.
func mostFrequent(counts map[color.RGBA]int, n int) color.Palette {
	colours := slices.SortedFunc(maps.Keys(counts), func(a, b color.RGBA) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var out color.Palette
	for _, c := range colours[:min(len(colours), n)] {
		out = append(out, c)
	}
	return out
}

// call makes a call of the page and reads the answer; fields are "Name: value".
func (s *server) call(t *testing.T, method, path string, body any, fields ...string) (int, map[string]any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(s.page(), "#")
	r.Header.Set("X-Playground-Token", token)
	r.Header.Set("Content-Type", "application/json")
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := map[string]any{}
	if resp.Header.Get("Content-Type") == "application/json" {
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode, answer
}

func script(text string) map[string]any { return map[string]any{"script": text} }

// What is typed runs no commands unless it was started so: it runs half typed, too.
func TestTypedScriptsRunNoCommands(t *testing.T) {
	const refused = `io.popen is refused at the sandbox level "`
	for name, tt := range map[string]struct {
		sandbox runtime.Sandbox
		want    string
	}{
		"by itself": {runtime.Sandbox{}, refused + "handler"},
		"trusted":   {runtime.Sandbox{Level: runtime.SandboxTrusted}, ""},
		"allowed":   {runtime.Sandbox{Level: runtime.SandboxHandler, Allow: []string{"io.popen"}}, ""},
		"untrusted": {runtime.Sandbox{Level: runtime.SandboxUntrusted}, refused + "untrusted"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveAt(t, "", tt.sandbox)
			mark := filepath.Join(s.dir, "mark")
			for _, typed := range []string{`io.popen("touch ` + mark + `"):close() actions = respond "x"`, `actions = function() io.popen("touch ` + mark + `"):close() end`} {
				os.Remove(mark)
				_, answer := s.call(t, "POST", "/api/run", map[string]any{"script": typed, "request": map[string]any{"url": "http://a/", "method": "GET"}})
				text, err := json.Marshal(answer)
				if err != nil {
					t.Fatal(err)
				}
				want, _ := json.Marshal(tt.want)
				if !strings.Contains(string(text), strings.Trim(string(want), `"`)) {
					t.Errorf("%s\n got %s\nwant %s", typed, text, want)
				}
				if _, err := os.Stat(mark); (err == nil) != (tt.want == "") {
					t.Errorf("%s: the command has run: %v", typed, err == nil)
				}
			}
		})
	}
}

// Only the page of this server, opened with its key, may run scripts.
func TestWhoMayCall(t *testing.T) {
	s := serve(t, "")
	port := s.url[strings.LastIndex(s.url, ":"):]
	for _, c := range []struct {
		what   string
		method string
		path   string
		fields []string
		status int
	}{
		{"the page", "POST", "/api/check", nil, 200},
		{"the page by its name", "POST", "/api/check", []string{"Host: localhost" + port, "Origin: http://localhost" + port}, 200},
		{"the page, as browsers send it", "POST", "/api/check", []string{"Origin: " + s.url, "Sec-Fetch-Site: same-origin"}, 200},
		{"no token", "POST", "/api/check", []string{"X-Playground-Token: "}, 403},
		{"a wrong token", "POST", "/api/check", []string{"X-Playground-Token: guessed"}, 403},
		{"no token, to read", "GET", "/api/script", []string{"X-Playground-Token: "}, 403},
		{"no token, to save", "POST", "/api/save", []string{"X-Playground-Token: "}, 403},
		{"another name for this machine (DNS rebinding)", "POST", "/api/check", []string{"Host: evil.example" + port}, 403},
		{"another name, to read the page", "GET", "/", []string{"Host: evil.example" + port}, 403},
		{"another port", "POST", "/api/check", []string{"Host: 127.0.0.1:1"}, 403},
		{"a host without a port", "POST", "/api/check", []string{"Host: 127.0.0.1"}, 403},
		{"a page of another server", "POST", "/api/check", []string{"Origin: http://evil.example"}, 403},
		{"a page of another port", "POST", "/api/check", []string{"Origin: http://127.0.0.1:1"}, 403},
		{"a page without an origin", "POST", "/api/check", []string{"Origin: null"}, 403},
		{"a page of the same site", "POST", "/api/check", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"a picture in another page", "GET", "/api/script", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"a link from another page", "GET", "/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200},
		{"a form", "POST", "/api/check", []string{"Content-Type: text/plain"}, 415},
		{"a wrong method", "GET", "/api/check", nil, 405},
		{"nothing there", "GET", "/nothing", nil, 404},
	} {
		if status, answer := s.call(t, c.method, c.path, script("actions = respond 'x'"), c.fields...); status != c.status {
			t.Errorf("%s: %d %v, expected %d", c.what, status, answer, c.status)
		}
	}
}

// The page loads nothing from elsewhere and runs nothing that stands in it.
func TestPolicy(t *testing.T) {
	s := serve(t, "")
	get := func() (string, string) {
		resp, err := http.Get(s.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.Get("Content-Security-Policy"), string(body)
	}
	policy, page := get()
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("no %q in %s", want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("unsafe: %s", policy)
	}
	_, token, _ := strings.Cut(s.page(), "#")
	if strings.Contains(page, token) {
		t.Error("whoever gets the page gets the token")
	}
	if again, _ := get(); again == policy {
		t.Error("the nonce is the same twice")
	}
}

// What is wrong with a script, and where.
func TestCheck(t *testing.T) {
	s := serve(t, "")
	for _, c := range []struct {
		script                  string
		severity, file, message string
		line, from, to          float64
	}{
		{"actions = {\n  redirct '/x' }", "error", "site.lua", `unknown action "redirct"; did you mean "redirect"?`, 2, 2, 9},
		{"local s = 'ü' actions = redirct '/x'", "error", "site.lua", `unknown action "redirct"; did you mean "redirect"?`, 1, 24, 31},
		{"local redirct2 = 1; actions = redirct '/x'", "error", "site.lua", `unknown action "redirct"; did you mean "redirect"?`, 1, 30, 37},
		{"actions = {\n respond 'x'\n respond 'y' }", "error", "site.lua", `syntax error near "respond"`, 3, 1, 8},
		{"actions = function(vr)", "error", "site.lua", `syntax error at the end of the file; the "function" of line 1 has no "end"`, 1, 0, 0},
		{"local inside = request.remoteip:ip '10.0.0.0/8'\nactions = when(inside and request.path:prefix '/x', { respond 'x' })", "warning", "site.lua",
			`the condition request.remoteip:ip("10.0.0.0/8") is not used; "and" and "or" do not combine conditions: write all{…} or any{…}`, 1, 0, 0},
		{"lua.plugin 'broken.lua'\nactions = respond 'x'", "error", "broken.lua", `syntax error at the end of the file; the "if" of line 1 has no "end"`, 1, 0, 0},
		{"while true do end", "error", "site.lua", "the time budget for Lua is used up", 1, 0, 0},
	} {
		if err := os.WriteFile(filepath.Join(s.dir, "broken.lua"), []byte("if x then"), 0o644); err != nil {
			t.Fatal(err)
		}
		status, answer := s.call(t, "POST", "/api/check", script(c.script))
		problems, _ := answer["problems"].([]any)
		if status != 200 || len(problems) != 1 {
			t.Errorf("%s: %d %v", c.script, status, answer)
			continue
		}
		want := map[string]any{"severity": c.severity, "file": c.file, "message": c.message, "line": c.line, "from": c.from, "to": c.to}
		if got := problems[0].(map[string]any); !maps.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", c.script, got, want)
		}
		if (answer["tree"] == nil) != (c.severity == "error") {
			t.Errorf("%s: tree %v", c.script, answer["tree"])
		}
	}
}

// drawn is a tree as text: a star where the request was.
func drawn(place map[string]any, indent string) string {
	var b strings.Builder
	children, _ := place["children"].([]any)
	for _, c := range children {
		c := c.(map[string]any)
		mark := "  "
		if c["met"] == true {
			mark = "* "
		}
		if c["dynamic"] == true {
			mark = "+ "
		}
		text := ""
		if c["label"] != nil {
			text += fmt.Sprint(c["label"], ": ")
		}
		if c["else"] == true && c["name"] != "else" {
			text += "else "
		}
		text += fmt.Sprint(c["name"])
		if c["condition"] != nil {
			text += fmt.Sprint(" ", c["condition"])
		}
		if args, ok := c["args"].([]any); ok {
			text += fmt.Sprint(" ", args)
		}
		fmt.Fprintf(&b, "%s%s%s :%v\n%s", mark, indent, text, c["line"], drawn(c, indent+"  "))
	}
	return b.String()
}

func ask(url string) map[string]any {
	return map[string]any{"method": "GET", "url": url, "headers": "", "body": ""}
}

// A request lights the actions that it met, and only those.
func TestRunLightsThePath(t *testing.T) {
	s := serve(t, "")
	for _, c := range []struct {
		script, url, tree string
	}{
		{`actions = {
  header.add("X", "1"),
  when(request.path:prefix "/a", { respond "a" }, when(request.path:prefix "/b", { respond "b" }, { respond "c" })),
}`, "http://x/b", `
* header.add ["X" "1"] :2
* when request.path:prefix("/a") :3
    respond ["a"] :3
* else when request.path:prefix("/b") :3
*   respond ["b"] :3
  else :3
    respond ["c"] :3
`},
		{`local log = header.add("X", "1")
actions = vhost.map { x = { log, log, respond "x" }, y = { log, respond "y" }, default = respond(404) }`, "http://x/", `
* vhost.map :2
*   x: list :<nil>
*     header.add ["X" "1"] :1
*     header.add ["X" "1"] :1
*     respond ["x"] :2
    y: list :<nil>
      header.add ["X" "1"] :1
      respond ["y"] :2
    default: respond [404] :2
`},
		{`actions = { function(vr) vr:enter_action(action.respond "made here") end }`, "http://x/", `
* function :1
+   respond :1
`},
	} {
		status, answer := s.call(t, "POST", "/api/run", map[string]any{"script": c.script, "request": ask(c.url)})
		tree, _ := answer["tree"].(map[string]any)
		if got := "\n" + drawn(tree, ""); status != 200 || got != c.tree {
			t.Errorf("%s: %d\ngot %s\nwant %s", c.script, status, got, c.tree)
		}
	}
}

func TestRun(t *testing.T) {
	s := serve(t, "")
	site, err := os.ReadFile("site.lua")
	if err != nil {
		t.Fatal(err)
	}
	run := func(script string, request map[string]any) (int, map[string]any, map[string]any) {
		status, answer := s.call(t, "POST", "/api/run", map[string]any{"script": script, "request": request})
		result, _ := answer["result"].(map[string]any)
		return status, answer, result
	}
	status, answer, result := run(string(site), ask("http://trac.example.net/version"))
	if status != 200 || result["status"] != 200.0 || answer["reason"] != "OK" || !strings.Contains(fmt.Sprint(result["body"]), `"trac"`) {
		t.Errorf("got %d %v", status, answer)
	}
	if log := fmt.Sprint(answer["log"]); !strings.Contains(log, "level:info message:somebody asks for the version") {
		t.Errorf("log %s", log)
	}
	// relative paths begin at the script
	if _, _, result := run(string(site), ask("http://trac.example.net/style.css")); result["body"] != "h1 { color: teal }\n" {
		t.Errorf("got %v", result)
	}
	if _, answer, result := run("actions = redirct 'x'", ask("http://x/")); result != nil || len(answer["problems"].([]any)) != 1 {
		t.Errorf("a script that cannot be loaded: %v", answer)
	}
	for _, c := range []struct {
		request map[string]any
		message string
	}{
		{map[string]any{"method": "GET", "url": "ftp://x/"}, `has the scheme "ftp"; expected http or https`},
		{map[string]any{"method": "GET", "url": "http://x/", "headers": "no colon"}, `"no colon" is no header field; expected "Name: value"`},
		{map[string]any{"method": "G T", "url": "http://x/"}, `the method "G T" is none`},
	} {
		if status, answer, _ := run("actions = respond 'x'", c.request); status != 422 || !strings.Contains(fmt.Sprint(answer["error"]), c.message) {
			t.Errorf("%v: %d %v", c.request, status, answer)
		}
	}
	// a handler that does not end is ended
	_, _, result = run("actions = function(vr) while true do end end", ask("http://x/"))
	if result["status"] != 500.0 || !strings.Contains(fmt.Sprint(result["decided"]), "the time budget for Lua is used up") {
		t.Errorf("endless: %v", result)
	}
	// what handlers count goes on from request to request, until the script changes
	const counting = "local n = 0 actions = function(vr) n = n + 1 vr:handle_direct() vr.resp.status = 200 vr.out:add(tostring(n)) end"
	for i, text := range []string{counting, counting, counting + " "} {
		if _, _, result := run(text, ask("http://x/")); result["body"] != []string{"1", "2", "1"}[i] {
			t.Errorf("run %d: got %v", i+1, result["body"])
		}
	}
}

// A changed plugin is loaded again, without a change of the script.
func TestPluginIsLoadedAgain(t *testing.T) {
	s := serve(t, "")
	for _, word := range []string{"first", "second one"} {
		plugin := "actions = { say = function() return action.respond(200, '" + word + "') end }"
		if err := os.WriteFile(filepath.Join(s.dir, "say.lua"), []byte(plugin), 0o644); err != nil {
			t.Fatal(err)
		}
		_, answer := s.call(t, "POST", "/api/run", map[string]any{"script": "lua.plugin 'say.lua' actions = say()", "request": ask("http://x/")})
		if body := answer["result"].(map[string]any)["body"]; body != word {
			t.Errorf("got %v, want %s", body, word)
		}
	}
}

func TestSave(t *testing.T) {
	s := serve(t, "actions = respond 'old'")
	if err := os.Chmod("site.lua", 0o640); err != nil {
		t.Fatal(err)
	}
	_, opened := s.call(t, "GET", "/api/script", nil)
	save := func(text string, revision any) (int, map[string]any) {
		return s.call(t, "POST", "/api/save", map[string]any{"script": text, "revision": revision})
	}
	status, first := save("-- new", opened["revision"])
	if text, err := os.ReadFile("site.lua"); status != 200 || err != nil || string(text) != "-- new" {
		t.Errorf("%d %v: %q %v", status, first, text, err)
	}
	if info, err := os.Stat("site.lua"); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
	// somebody else writes it
	if err := os.WriteFile("site.lua", []byte("-- by another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if status, answer := save("-- newer", first["revision"]); status != 409 || !strings.Contains(fmt.Sprint(answer["error"]), "has changed on disk") {
		t.Errorf("%d %v", status, answer)
	}
	if text, _ := os.ReadFile("site.lua"); string(text) != "-- by another" {
		t.Errorf("overwritten: %q", text)
	}
	if left, _ := filepath.Glob(".luaserve-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A pipeline that is large, and one that is endless when each place is drawn, are drawn.
func TestLargePipelines(t *testing.T) {
	s := serve(t, "")
	many := "local all = {} for i = 1, 5000 do all[i] = when(request.path:eq('/' .. i), { respond(200, 'x') }) end actions = all"
	nested := "local a = respond 'x' for i = 1, 40 do a = when(request.path:eq '/x', { a, a }) end actions = a"
	chain := "local a = respond 'x' for i = 1, 3000 do a = when(request.path:eq('/' .. i), { respond(200, 'y') }, a) end actions = a"
	for _, c := range []struct {
		what, path, text string
		places           int
	}{{"5,000 rules", "run", many, 10000}, {"40 levels", "run", nested, 10000}, {"a chain of else", "run", chain, 6000}} {
		status, answer := s.call(t, "POST", "/api/"+c.path, map[string]any{"script": c.text, "request": ask("http://x/4000")})
		if status != 200 {
			t.Errorf("%s: %d %v", c.what, status, answer)
			continue
		}
		if n := strings.Count(drawn(answer["tree"].(map[string]any), ""), "\n"); n < c.places {
			t.Errorf("%s: only %d places", c.what, n)
		}
	}
}
