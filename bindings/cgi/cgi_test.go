package cgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

// TestMain checks, when all tests were good, that nothing is left of their programs: no
// goroutine, no descriptor, no process that was not waited for.
func TestMain(m *testing.M) {
	before := descriptors()
	code := m.Run()
	if code == 0 {
		left := ""
		if !settled(func() bool { left = leftovers(before); return left == "" }) {
			fmt.Println(left)
			code = 1
		}
	}
	os.Exit(code)
}

func leftovers(before int) string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:goruntime.Stack(stacks, true)]
	if i := strings.Index(string(stacks), "cgi.(*"); i >= 0 {
		return fmt.Sprintf("a goroutine is left: %.200s", stacks[i:])
	}
	if n := descriptors(); n > before {
		return fmt.Sprintf("%d descriptors are open, there were %d", n, before)
	}
	if _, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
		return "there are child processes"
	}
	return ""
}

// descriptors counts pipes: what the test binary opens for itself is of other kinds.
func descriptors() int {
	n := 0
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}

// settled waits until ok, for a time that is only long enough to be sure.
func settled(ok func() bool) bool {
	for range 2000 {
		if ok() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// program is a shell script with the runner that runs it.
type program struct {
	*Runner
	script string
	dir    string // working directory of the script, and its home for files

	mu     sync.Mutex
	stderr []string
}

func newProgram(t testing.TB, script string, config Config) *program {
	t.Helper()
	p := &program{Runner: NewRunner(config), script: script, dir: t.TempDir()}
	t.Cleanup(func() {
		p.Close()
		if t.Failed() {
			t.Logf("stderr: %.300q", p.lines())
		}
	})
	return p
}

// request is a run of the script. $1 is the directory.
func (p *program) request(method, body string) *Request {
	return &Request{
		Program: "/bin/sh", Args: []string{"-c", p.script, "sh", p.dir}, Dir: p.dir,
		Env:    []string{"PATH=/usr/bin:/bin"},
		Params: []fcgi.Param{{Name: "REQUEST_METHOD", Value: method}},
		Body:   strings.NewReader(body), Length: int64(len(body)),
		Stderr: func(line string) {
			p.mu.Lock()
			p.stderr = append(p.stderr, line)
			p.mu.Unlock()
		},
	}
}

func (p *program) lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.stderr)
}

// wrote waits for a file that the script writes, and returns its text.
func (p *program) wrote(t testing.TB, name string) string {
	t.Helper()
	var text []byte
	if !settled(func() bool { text, _ = os.ReadFile(filepath.Join(p.dir, name)); return len(text) > 0 }) {
		t.Fatalf("the program did not write %s", name)
	}
	return strings.TrimSpace(string(text))
}

// idle waits until no program runs any more.
func (p *program) idle(t testing.TB) {
	t.Helper()
	if !settled(func() bool { p.Runner.mu.Lock(); defer p.Runner.mu.Unlock(); return len(p.running) == 0 }) {
		t.Fatal("a program runs on")
	}
}

// gone waits until the process whose number is in a file has ended; one that only its new
// parent has to wait for has.
func (p *program) gone(t testing.TB, file string) {
	t.Helper()
	pid := p.wrote(t, file)
	if !settled(func() bool { return !alive(pid) }) {
		t.Errorf("the process in %s lives on", file)
	}
}

func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// killLater ends a process of a test that is meant to outlive its program.
func (p *program) killLater(t testing.TB, file string) {
	pid, err := strconv.Atoi(p.wrote(t, file))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
}

func guard(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// fetch does a request and reads the body.
func (p *program) fetch(ctx context.Context, r *Request) (*fcgi.Response, string, error) {
	resp, err := p.Do(ctx, r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// again runs a program up to five times, as long as it is stopped by the timeout before it has
// written its files, or come to the operation op: then the machine stood still, and the program
// could not do its part.
func (p *program) again(op string, run func() error, files ...string) (err error) {
	for range 5 {
		err = run()
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Kind != upstream.Timeout || e.Op == op && !slices.ContainsFunc(files, p.lacks) {
			break
		}
	}
	return err
}

// lacks reports whether the script has not written a file yet.
func (p *program) lacks(name string) bool {
	text, _ := os.ReadFile(filepath.Join(p.dir, name))
	return len(text) == 0
}

func wantError(t testing.TB, err error, op string, kind upstream.Kind, text string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %v, want an Error", err)
	}
	if e.Op != op || e.Kind != kind || !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v (%s, %v), want %s, %v, %q", err, e.Op, e.Kind, op, kind, text)
	}
}

func TestAnswers(t *testing.T) {
	long := strings.Repeat("y", 60_000)
	tests := []struct {
		name, method, body, script string
		status                     int
		header, want               string
	}{
		{"plain", "GET", "", `printf 'Content-Type: a/b\n\nbody'`, 200, "Content-Type: a/b\n", "body"},
		{"CRLF", "GET", "", `printf 'Status: 404 Nope\r\nX: y\r\n\r\nbody'`, 404, "X: y\n", "body"},
		{"empty body", "GET", "", `printf 'X: y\n\n'`, 200, "X: y\n", ""},
		{"redirect", "GET", "", `printf 'Location: http://x/\n\n'`, 302, "Location: http://x/\n", ""},
		{"local redirect", "GET", "", `printf 'Location: /x\n\n'`, 302, "Location: /x\n", ""},
		{"length", "GET", "", `printf 'Content-Length: 4\n\nbody'`, 200, "Content-Length: 4\n", "body"},
		{"longer than its length", "GET", "", `printf 'Content-Length: 4\n\nbody and more'`, 200, "Content-Length: 4\n", "body"},
		{"duplicates", "GET", "", `printf 'A: 1\na: 2\n\n'`, 200, "A: 1\na: 2\n", ""},
		{"line of 60 KB", "GET", "", `printf 'X: '; head -c 60000 /dev/zero | tr '\0' y; printf '\n\nbody'`, 200, "X: " + long + "\n", "body"},
		{"HEAD", "HEAD", "", `printf 'Content-Length: 4\n\nbody'`, 200, "Content-Length: 4\n", ""},
		{"204 with a body", "GET", "", `printf 'Status: 204\n\nbody'`, 204, "", ""},
		{"304", "GET", "", `printf 'Status: 304\nContent-Length: 9\n\n'`, 304, "Content-Length: 9\n", ""},
		{"bad exit status", "GET", "", `printf 'X: y\n\nbody'; exit 3`, 200, "X: y\n", "body"},
		{"pieces", "GET", "", `printf 'X: '; sleep .05; printf 'y\n\nbo'; sleep .05; printf dy`, 200, "X: y\n", "body"},
		{"output closed early", "GET", "", `printf 'X: y\n\nbody'; exec >&-; sleep .05`, 200, "X: y\n", "body"},
		{"input", "POST", "hello", `printf 'X: y\n\n'; cat`, 200, "X: y\n", "hello"},
		{"large, both ways at once", "POST", strings.Repeat("0123456789abcdef", 1<<18), `printf 'X: y\n\n'; cat`, 200, "X: y\n", strings.Repeat("0123456789abcdef", 1<<18)},
		{"input not taken", "POST", strings.Repeat("x", 5<<20), `printf 'Status: 413\n\nno'`, 413, "", "no"},
		{"input closed", "POST", strings.Repeat("x", 5<<20), `exec <&-; printf 'X: y\n\nbody'`, 200, "X: y\n", "body"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProgram(t, tt.script, Config{})
			resp, body, err := p.fetch(guard(t), p.request(tt.method, tt.body))
			if err != nil {
				t.Fatal(err)
			}
			var header strings.Builder
			for _, f := range resp.Header {
				header.WriteString(f.Name + ": " + f.Value + "\n")
			}
			if resp.Status != tt.status || header.String() != tt.header || body != tt.want {
				t.Errorf("got %d, %.100q, %.100q (%d bytes)", resp.Status, header.String(), body, len(body))
			}
			if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("behind the end: %d, %v", n, err)
			}
		})
	}
}

// What a program finds: an environment of what it was given and nothing else, three streams, its
// directory.
func TestSurroundings(t *testing.T) {
	t.Setenv("SECRET", "1")
	inherited, err := syscall.Dup(0) // not closed on exec, as what a parent leaves open
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(inherited)
	tests := []struct {
		name, script string
		change       func(r *Request)
		want         string
	}{
		{"environment", `tr '\0' '\n' </proc/$$/environ`, func(r *Request) {
			r.Env = []string{"PATH=/bin:/usr/bin", "A=1", "B=b=c"}
			r.Params = []fcgi.Param{{Name: "A", Value: "2"}, {Name: "E", Value: ""}, {Name: "CONTENT_LENGTH", Value: "7"}}
		}, "PATH=/bin:/usr/bin\nB=b=c\nA=2\nE=\n"},
		{"length of the body", `echo $CONTENT_LENGTH`, func(r *Request) { r.Body, r.Length = strings.NewReader("abc and more"), 3 }, "3\n"},
		{"no body", `readlink /proc/$$/fd/0`, nil, "/dev/null\n"},
		{"nobody listens", `echo lost >&2; readlink /proc/$$/fd/2`, func(r *Request) { r.Stderr = nil }, "/dev/null\n"},
		{"streams", `ls /proc/$$/fd; exit`, nil, "0\n1\n2\n"},
		{"directory of the program", `pwd`, func(r *Request) { r.Dir = "" }, "/bin\n"},
		{"arguments", `shift; printf '<%s>' "$@"`, func(r *Request) { r.Args = append(r.Args, "a b", "", "$c") }, "<a b><><$c>"},
		{"group of its own", `read a b c d group rest </proc/$$/stat; test $group = $$ && echo yes`, nil, "yes\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newProgram(t, `printf 'X: y\n\n'; `+tt.script, Config{})
			r := p.request("GET", "")
			if tt.change != nil {
				tt.change(r)
			}
			if tt.name == "directory of the program" {
				if at, err := filepath.EvalSymlinks("/bin"); err == nil && at != "/bin" {
					tt.want = at + "\n"
				}
			}
			if _, body, err := p.fetch(guard(t), r); err != nil || body != tt.want {
				t.Errorf("got %q, %v, want %q", body, err, tt.want)
			}
		})
	}
	for _, p := range []fcgi.Param{{Name: "A\x00B"}, {Name: "A=B"}, {Name: ""}, {Name: "A", Value: "1\x00B"}} {
		_, err := NewRunner(Config{}).Do(guard(t), &Request{Program: "/bin/true", Params: []fcgi.Param{p}})
		wantError(t, err, "request", upstream.BadRequest, "variable")
	}
}

// What a program writes is read no faster than it is wanted.
func TestBackpressure(t *testing.T) {
	p := newProgram(t, `printf 'X: y\n\n'; head -c 2000000 /dev/zero; echo yes >written`, Config{})
	resp, err := p.Do(guard(t), p.request("GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.Sleep(100 * time.Millisecond) // long enough to write it all, if that were possible
	if _, err := os.Stat(filepath.Join(p.dir, "written")); err == nil {
		t.Error("the program could write everything")
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != 2_000_000 || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
	p.wrote(t, "written")
}

func TestMaxProcesses(t *testing.T) {
	p := newProgram(t, `echo $$ >pid; printf 'X: y\n\n'; cat`, Config{MaxProcesses: 1})
	r, w := io.Pipe()
	first := p.request("POST", "")
	first.Body, first.Length = r, 1
	resp, err := p.Do(guard(t), first)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Do(guard(t), p.request("GET", ""))
	wantError(t, err, "start", upstream.Unavailable, "too many programs are running: 1")
	if e, _ := errors.AsType[*Error](err); e.Sent {
		t.Error("the error says that the program may have begun")
	}
	w.Write([]byte("x"))
	if body, err := io.ReadAll(resp.Body); string(body) != "x" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	p.idle(t)
	if _, _, err := p.fetch(guard(t), p.request("GET", "")); err != nil {
		t.Error(err)
	}
}

// Many programs at once, some of which are left early.
func TestManyAtOnce(t *testing.T) {
	p := newProgram(t, `printf 'X: y\n\n'; cat`, Config{MaxProcesses: 100})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			body := strings.Repeat(strconv.Itoa(i%10), 100_000)
			resp, err := p.Do(guard(t), p.request("POST", body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if i%5 == 0 {
				return
			}
			if got, err := io.ReadAll(resp.Body); string(got) != body || err != nil {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	all.Wait()
}

func TestClose(t *testing.T) {
	p := newProgram(t, `echo $$ >pid; sleep 60`, Config{})
	failed := make(chan error)
	go func() {
		_, err := p.Do(guard(t), p.request("GET", ""))
		failed <- err
	}()
	p.wrote(t, "pid")
	p.Close()
	wantError(t, <-failed, "wait", upstream.Unavailable, "the server is ending")
	if alive(p.wrote(t, "pid")) {
		t.Error("the program lives on")
	}
	_, err := p.Do(guard(t), p.request("GET", ""))
	wantError(t, err, "start", upstream.Unavailable, "the server is ending")
}
