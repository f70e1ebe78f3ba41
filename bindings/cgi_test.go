package bindings_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cgiReport is a program that tells what it was told.
const cgiReport = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s|%s|%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\" \"$PATH_TRANSLATED\" \"$(pwd)\"\n"

// cgiTree makes a document root with programs and other things in it, and a program beside it.
func cgiTree(t *testing.T) (dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"www/report.sh": cgiReport, "www/sub/report.sh": cgiReport, "www/plain.txt": "text",
		"secret.sh": "#!/bin/sh\nprintf 'X: y\\n\\nsecret'\n", "secret/report.sh": "#!/bin/sh\nprintf 'X: y\\n\\nsecret'\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o755)
		if strings.HasSuffix(name, ".txt") {
			mode = 0o644
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"in": "sub/report.sh", "in-abs": filepath.Join(dir, "www/report.sh"), "in-dir": "sub",
		"out": "../secret.sh", "out-abs": filepath.Join(dir, "secret.sh"), "out-dir": "../secret", "dangling": "nowhere", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(dir, "www", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "www/fifo"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Which file of the document root runs, and which is refused.
func TestCGIMapped(t *testing.T) {
	dir := cgiTree(t)
	root := dir + "/www"
	const plain = `actions = { docroot "@TREE@/www", cgi() }`
	tests := []struct {
		script, target string
		status         int
		body           string
	}{
		{plain, "/report.sh", 200, "/report.sh|||" + root},
		{plain, "/report.sh/a%20b/c?q", 200, "/report.sh|/a b/c|" + root + "/a b/c|" + root},
		{plain, "/sub/report.sh/", 200, "/sub/report.sh|/|" + root + "/|" + root + "/sub"},
		{plain, "/in", 200, "/in|||" + root + "/sub"},
		{plain, "/in-abs", 200, "/in-abs|||" + root},
		{plain, "/in-dir/report.sh/x", 200, "/in-dir/report.sh|/x|" + root + "/x|" + root + "/sub"},
		{`actions = { docroot "@TREE@/www", pathinfo(), cgi() }`, "/report.sh/x", 200, "/report.sh|/x|" + root + "/x|" + root},
		{`actions = { docroot "@TREE@/www", cgi {} }`, "/report.sh", 200, "/report.sh|||" + root},
		{`actions = { docroot "@TREE@/www", cgi { dir = "/" } }`, "/report.sh", 200, "/report.sh|||/"},
		{`actions = { alias { ["/run"] = "@TREE@/www/report.sh" }, cgi() }`, "/run", 200, "/run|||" + root},
		{`actions = { docroot "@TREE@/www", respond "early", cgi() }`, "/report.sh", 200, "early"},
		{plain, "/none", 404, ""},
		{plain, "/none/report.sh", 404, ""},
		{plain, "/dangling", 404, ""},
		{plain, "/", 403, ""},
		{plain, "/sub", 403, ""},
		{plain, "/plain.txt", 403, ""},
		{plain, "/plain.txt/report.sh", 403, ""},
		{plain, "/fifo", 403, ""},
		{plain, "/loop", 403, ""},
		{plain, "/out", 403, ""},
		{plain, "/out/x", 403, ""},
		{plain, "/out-abs", 403, ""},
		{plain, "/out-dir/report.sh", 403, ""},
		{plain, "/../secret.sh", 404, ""},
		{plain, "/%2e%2e/secret.sh", 404, ""},
		{plain, "/sub/..%2f..%2fsecret.sh", 404, ""},
		{plain, "/" + strings.Repeat("x", 300), 414, ""},
		{`actions = { docroot "@TREE@/www", function(vr) vr.phys.path = "@TREE@/secret.sh" end, cgi() }`, "/x", 403, ""},
		{`actions = { docroot "@TREE@/www", function(vr) vr.phys.path = "@TREE@/www/../secret.sh" end, cgi() }`, "/x", 403, ""},
		{`actions = { function(vr) vr.phys.path = "@TREE@/secret.sh" end, cgi() }`, "/x", 403, ""},
		{`actions = cgi()`, "/report.sh", 500, ""},
	}
	for _, tt := range tests {
		site := luaScript(t, strings.ReplaceAll(tt.script, "@TREE@", dir))
		r := site.get(tt.target)
		if body := text(r); r.StatusCode != tt.status || r.StatusCode == 200 && body != tt.body || strings.Contains(body, "secret") {
			t.Errorf("%s: %s: got %d, %q, want %d, %q\n%s", tt.script, tt.target, r.StatusCode, body, tt.status, tt.body, site.log)
		}
	}
}

// A link that leads in and out by turns never has a program run that lies outside.
func TestCGISwapRace(t *testing.T) {
	dir := cgiTree(t)
	site := luaScript(t, `actions = { docroot "`+dir+`/www", cgi() }`)
	stop, stopped := make(chan struct{}), make(chan struct{})
	link := dir + "/www/turns"
	os.Symlink("sub", link)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			os.Symlink([]string{"sub", "../secret", dir + "/www/sub", dir + "/secret"}[i%4], link+".new")
			os.Rename(link+".new", link)
		}
	}()
	seen := map[int]int{}
	for i := 0; i < 100 || (seen[200] == 0 || seen[403] == 0) && i < 5000; i++ {
		r := site.get("/turns/report.sh")
		seen[r.StatusCode]++
		if body := text(r); strings.Contains(body, "secret") {
			t.Fatalf("ran what lies outside: %d %q", r.StatusCode, body)
		}
	}
	close(stop)
	<-stopped
	if seen[200] == 0 || seen[403] == 0 || len(seen) > 2 {
		t.Errorf("statuses %v", seen)
	}
}

func TestCGIRequests(t *testing.T) {
	t.Setenv("GIVEN", "given")
	t.Setenv("HIDDEN", "hidden")
	const upper = `
local Upper = {}; Upper.__index = Upper
function Upper:new(vr) return setmetatable({}, self) end
function Upper:handle(vr, outq, inq) local s = inq:read(); if s and #s > 0 then outq:add("<" .. s:upper() .. ">") end; outq.is_closed = inq.is_closed end
`
	// says makes a program that prints what sh makes of a text
	says := func(text string) string {
		return `cgi { program = { "/bin/sh", "-c", [[printf 'X: y\n\n'; printf %s "` + text + `"]], "sh", "an arg" }, environment = { A = "a=b", B = "%{req.path}" }, pass_env = { "GIVEN", "NOT_SET" } }`
	}
	const echo = `cgi { program = { "/bin/sh", "-c", [[printf 'X: y\n\n'; echo $CONTENT_LENGTH; cat]] } }`
	tests := []struct{ name, script, method, target, body, want string }{
		{"values", "actions = " + says("$REQUEST_METHOD $SCRIPT_NAME $QUERY_STRING $SERVER_PROTOCOL $GATEWAY_INTERFACE"), "DELETE", "/x%20y?q=1", "", "DELETE /x y q=1 HTTP/1.1 CGI/1.1"},
		{"options", "actions = " + says("$A $GIVEN ${NOT_SET-unset} ${HIDDEN-unset}"), "GET", "/", "", "a=b given unset unset"},
		{"path", "actions = " + says("$PATH"), "GET", "/", "", os.Getenv("PATH")},
		{"arguments", "actions = " + says("$# $1"), "GET", "/?search", "", "1 an arg"},
		{"own environment", `actions = { env.set("A", "1"), env.set("CONTENT_LENGTH", "7"), env.set("SCRIPT_NAME", "/s"), ` + says("$A $CONTENT_LENGTH $SCRIPT_NAME") + " }", "POST", "/", "abc", "a=b 3 /s"},
		{"body", "actions = " + echo, "POST", "/", "hello", "5\nhello"},
		{"no body", "actions = " + echo, "GET", "/", "", "\n"},
		{"long body", "actions = " + echo, "POST", "/", strings.Repeat("x", 300_000), "300000\n" + strings.Repeat("x", 300_000)},
		{"filtered body", upper + `actions = { function(vr) vr:add_filter_in(Upper:new(vr)) end, ` + echo + " }", "POST", "/", "hello", "7\n<HELLO>"},
		{"mounted", `lua.plugin "core.lua"; actions = core.wsgi("/s", ` + says("$SCRIPT_NAME $PATH_INFO") + ")", "GET", "/s/path", "", "/s /path"},
		{"handled before", `actions = { respond "early", ` + echo + " }", "GET", "/", "", "early"},
		{"a list", `actions = cgi { "/bin/sh", "-c", [[printf 'X: y\n\n%s' "$0"]], "zero" }`, "GET", "/", "", "zero"},
		{"several arguments", `actions = cgi("/bin/sh", "-c", [[printf 'X: y\n\nbody']])`, "GET", "/", "", "body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, tt.script)
			if got := text(site.do(httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))); got != tt.want {
				t.Errorf("got %.200q, want %.200q\n%s", got, tt.want, site.log)
			}
		})
	}
}

// The faults of programs as a client sees them.
func TestCGIFaults(t *testing.T) {
	tests := []struct {
		name, script, options string
		status                int
		body                  string
		cut                   bool
		log                   string
	}{
		{"fine", `printf 'X: y\n\nbody'`, "", 200, "body", false, ""},
		{"own error", `printf 'Status: 503\n\nown'`, "", 503, "own", false, ""},
		{"exits at once", `echo why >&2; exit 1`, "", 502, "", false, "exit status 1"},
		{"no head", `echo body`, "", 502, "", false, "before the end of its answer"},
		{"head of 70 KB", `printf 'X: '; head -c 70000 /dev/zero | tr '\0' y; printf '\n\n'`, "", 502, "", false, "larger than 65536 bytes"},
		{"longer head than allowed", `printf 'X: yyyyyyyyyyyyyyyyyyyyyyyyyy\n\n'`, "max_head_bytes = 20", 502, "", false, "larger than 20 bytes"},
		{"bad status", `printf 'Status: abc\n\n'`, "", 502, "", false, "bad Status"},
		{"killed in the body", `printf 'X: y\n\nbody'; kill -9 $$`, "", 200, "body", true, "signal: killed"},
		{"writes for ever", `printf 'X: y\n\n'; exec tr '\0' y </dev/zero`, "max_output_bytes = 100000", 200, strings.Repeat("y", 100_000), true, "longer than 100000 bytes"},
		{"sleeps for ever", `sleep 60`, "timeout = 0.1", 504, "", false, "no progress for 100ms"},
		{"sleeps in the body", `printf 'X: y\n\nbody'; sleep 60`, "timeout = 1", 200, "body", true, "no progress"},
		{"child keeps stdout", `printf 'X: y\n\nbody'; sleep 60 & echo $! >$1/child`, "", 200, "body", false, ""},
		{"10 MB of stderr", `head -c 10000000 /dev/zero | tr '\0' x >&2; printf 'X: y\n\nbody'`, "max_stderr_bytes = 9", 200, "body", false, "(9999991 bytes more on stderr)"},
		{"no such directory", `exit`, `dir = "/none"`, 500, "", false, "working directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := luaScript(t, fmt.Sprintf(`actions = { cgi { program = { "/bin/sh", "-c", [[%s]], "sh", "@DIR@" }, %s }, header.overwrite("X-After", "1") }`, tt.script, tt.options))
			addr := site.listen(t)
			var resp *http.Response
			for range 5 {
				var err error
				if resp, err = http.Get("http://" + addr + "/"); err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				// where no 504 is wanted the machine stood still before the program came to its body
				if resp.StatusCode != 504 || tt.status == 504 {
					break
				}
			}
			body, err := io.ReadAll(resp.Body)
			plain := tt.body != "" // not an error page
			if tt.cut && strings.HasPrefix(tt.body, string(body)) {
				body = []byte(tt.body) // what comes right before a cut may be lost with it
			}
			if resp.StatusCode != tt.status || (err != nil) != tt.cut || plain && string(body) != tt.body || plain != (resp.Header.Get("X-After") == "1") {
				t.Errorf("got %s, %.100q, %v, X-After %q", resp.Status, body, err, resp.Header.Get("X-After"))
			}
			if child, err := os.ReadFile(site.dir + "/child"); err == nil {
				var pid int
				fmt.Sscan(string(child), &pid)
				syscall.Kill(pid, syscall.SIGKILL)
			}
			waitFor(t, func() bool { return strings.Contains(site.log.String(), tt.log) }, "the log does not tell %q:\n%s", tt.log, site.log)
		})
	}
}

func waitFor(t *testing.T, ok func() bool, format string, args ...any) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf(format, args...)
}

// fileText waits for a file that a program writes.
func fileText(t *testing.T, name string) string {
	t.Helper()
	var text []byte
	waitFor(t, func() bool { text, _ = os.ReadFile(name); return len(text) > 0 }, "there is no %s", name)
	return strings.TrimSpace(string(text))
}

func wantGone(t *testing.T, pid string) {
	t.Helper()
	waitFor(t, func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ") // its new parent's
	}, "process %s lives on", pid)
}

// A client that leaves ends the program and its children, and the program's place is free.
func TestCGIClientLeaves(t *testing.T) {
	for name, script := range map[string]string{
		"before the head": `sleep 60`,
		"in the body":     `printf 'X: y\n\nbody'; sleep 60`,
		"while it writes": `printf 'X: y\n\n'; cat /dev/zero`,
	} {
		t.Run(name, func(t *testing.T) {
			site := luaScript(t, `actions = cgi { max_processes = 1, dir = "@DIR@", program = { "/bin/sh", "-c", [[test $QUERY_STRING && echo && exit; sleep 60 & echo $! >child; echo $$ >pid; `+script+`]] } }`)
			addr := site.listen(t)
			ctx, cancel := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
					io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
					<-ctx.Done()
					resp.Body.Close()
				}
			}()
			pid := fileText(t, site.dir+"/pid")
			if name == "before the head" {
				if r := site.get("/?x"); r.StatusCode != 503 {
					t.Errorf("beside the only program that may run: %d", r.StatusCode)
				}
			}
			cancel()
			wantGone(t, pid)
			wantGone(t, fileText(t, site.dir+"/child"))
			waitFor(t, func() bool { return site.get("/?x").StatusCode == 200 }, "the place is not free")
		})
	}
}

// Closing a site ends what its programs still do.
func TestCGIClose(t *testing.T) {
	site := luaScript(t, `actions = cgi { dir = "@DIR@", program = { "/bin/sh", "-c", [[echo $$ >pid; printf 'X: y\n\n'; exec >&-; sleep 60]] } }`)
	if r := site.get("/"); r.StatusCode != 200 {
		t.Errorf("status %d", r.StatusCode)
	}
	pid := fileText(t, site.dir+"/pid")
	site.Close()
	if _, err := os.Stat("/proc/" + pid); err == nil {
		t.Error("the program lives on, or nobody waited for it")
	}
	if r := site.get("/"); r.StatusCode != 503 {
		t.Errorf("behind the end: status %d", r.StatusCode)
	}
}

// A balancer gives what one action has no place for to the next.
func TestCGIBalanced(t *testing.T) {
	site := luaScript(t, `actions = balance.rr {
  cgi { max_processes = 1, dir = "@DIR@", program = { "/bin/sh", "-c", [[echo $$ >pid; printf 'X: y\n\n'; read line]] } },
  respond "other",
}`)
	body, w := io.Pipe()
	r := httptest.NewRequest("POST", "/", body)
	r.ContentLength = 5
	first := make(chan int)
	go func() { first <- site.do(r).StatusCode }()
	fileText(t, site.dir+"/pid")
	for range 3 {
		if got := text(site.get("/")); got != "other" {
			t.Errorf("got %q", got)
		}
	}
	io.WriteString(w, "line\n")
	if status := <-first; status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestCGIArguments(t *testing.T) {
	for arg, want := range map[string]string{
		`"app.sh"`:                            `expected an absolute path, got "app.sh"`,
		`""`:                                  `expected an absolute path, got ""`,
		`{ "app.sh", "x" }`:                   `expected an absolute path, got "app.sh"`,
		`"/a\0b"`:                             `has a NUL in it`,
		`5`:                                   `expected a program, a list of it and its arguments, or a table of options, got 5`,
		`{ program = 5 }`:                     `program: expected a path, or a list of it and arguments, got 5`,
		`{ program = {} }`:                    `program: expected a path`,
		`{ program = { "/a", 5 } }`:           `program: expected a path`,
		`{ program = { a = "/b" } }`:          `program: expected a path`,
		`{ programm = "/a" }`:                 `unknown option "programm"; did you mean "program"?`,
		`{ program = "/a", timeout = 0 }`:     `timeout: expected seconds from 0.001 to 86400, got 0`,
		`{ timeout = "5" }`:                   `timeout: expected seconds from 0.001 to 86400, got "5"`,
		`{ timeout = 1e300 }`:                 `timeout: expected seconds`,
		`{ max_processes = 0 }`:               `max_processes: expected a whole number`,
		`{ max_head_bytes = -1 }`:             `max_head_bytes: expected a whole number`,
		`{ max_output_bytes = 1.5 }`:          `max_output_bytes: expected a whole number`,
		`{ max_stderr_bytes = 0 }`:            `max_stderr_bytes: expected a whole number`,
		`{ dir = "here" }`:                    `dir: expected an absolute path, got "here"`,
		`{ dir = 1 }`:                         `dir: expected an absolute path, got 1`,
		`{ environment = "A=1" }`:             `environment: expected a table of names and values`,
		`{ environment = { ["A=B"] = "1" } }`: `environment: expected the name of a variable, got "A=B"`,
		`{ environment = { A = 1 } }`:         `environment: expected a name and a string, got "A" = 1`,
		`{ environment = { A = "\0" } }`:      `environment: expected a name and a string`,
		`{ pass_env = "HOME" }`:               `pass_env: expected a list of strings`,
		`{ pass_env = { "A=B" } }`:            `pass_env: expected the name of a variable, got "A=B"`,
	} {
		if err := loadError(t, "actions = cgi("+arg+")"); err == nil || !strings.Contains(err.Error(), ":1: cgi: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("cgi(%s): got %v, want %q", arg, err, want)
		}
	}
}
