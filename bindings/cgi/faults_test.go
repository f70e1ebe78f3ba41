package cgi

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

const (
	// patience is a timeout within which a shell starts, unless the machine stands still.
	patience = time.Second
	short    = 100 * time.Millisecond
)

// What programs do wrong, and what comes of it. Each script leaves its number in the file pid,
// and must be gone when all is over.
func TestFaults(t *testing.T) {
	tests := []struct {
		name, script string
		config       Config
		op           string
		kind         upstream.Kind
		text         string
		body         string // what came before the fault
	}{
		{"exits at once", `exit 3`, Config{}, "head", upstream.BadResponse, "the program ended (exit status 3) before the end of its answer", ""},
		{"half a head", `printf 'X: y\n'`, Config{}, "head", upstream.BadResponse, "ended (exit status 0)", ""},
		{"closes its output", `exec >&-; sleep 60`, Config{}, "head", upstream.BadResponse, "closed its output", ""},
		{"is killed", `kill -9 $$`, Config{}, "head", upstream.BadResponse, "ended (signal: killed)", ""},
		{"bogus line", `printf 'bogus\n\n'; sleep 60`, Config{}, "head", upstream.BadResponse, "without a colon", ""},
		{"no parsed header", `printf 'HTTP/1.1 200 OK\nX: y\n\n'`, Config{}, "head", upstream.BadResponse, "without a colon", ""},
		{"status abc", `printf 'Status: abc\n\n'; sleep 60`, Config{}, "head", upstream.BadResponse, "bad Status", ""},
		{"status 100", `printf 'Status: 100\n\n'`, Config{}, "head", upstream.BadResponse, `bad Status: "100"`, ""},
		{"head of 70 KB", `printf 'X: '; head -c 70000 /dev/zero | tr '\0' y; sleep 60`, Config{}, "head", upstream.BadResponse, "larger than 65536", ""},
		{"head without end", `while :; do echo 'X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy'; done`, Config{MaxHeadBytes: 1000}, "head", upstream.BadResponse, "larger than 1000", ""},
		{"sleeps for ever", `sleep 60`, Config{Timeout: patience}, "head", upstream.Timeout, "no progress for 1s", ""},
		{"sleeps for ever, deaf", `trap '' TERM; sleep 60`, Config{Timeout: patience, Grace: short}, "head", upstream.Timeout, "no progress", ""},
		{"stops itself", `kill -STOP $$`, Config{Timeout: patience, Grace: short}, "head", upstream.Timeout, "no progress", ""},
		{"killed in the body", `printf 'X: y\n\nbody'; kill -9 $$`, Config{}, "body", upstream.BadResponse, "signal: killed", "body"},
		{"terminated in the body", `printf 'X: y\n\nbody'; kill $$`, Config{}, "body", upstream.BadResponse, "signal: terminated", "body"},
		{"body too short", `printf 'Content-Length: 8\n\nbody'`, Config{}, "body", upstream.BadResponse, "ended (exit status 0)", "body"},
		{"body stops", `printf 'X: y\n\nbody'; sleep 60`, Config{Timeout: patience}, "body", upstream.Timeout, "no progress", "body"},
		{"writes for ever", `printf 'X: y\n\n'; exec tr '\0' y </dev/zero`, Config{MaxOutputBytes: 100_000}, "body", upstream.BadResponse, "longer than 100000 bytes", strings.Repeat("y", 100_000)},
		{"announces too much", `printf 'Content-Length: 100001\n\nbody'; sleep 60`, Config{MaxOutputBytes: 100_000}, "head", upstream.BadResponse, "longer than 100000 bytes", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, "echo $$ >pid; "+tt.script, tt.config)
			var body string
			err := p.again(tt.op, func() (err error) {
				_, body, err = p.fetch(guard(t), p.request("GET", ""))
				return err
			}, "pid")
			wantError(t, err, tt.op, tt.kind, tt.text)
			if body != tt.body {
				t.Errorf("got %d bytes: %.100q", len(body), body)
			}
			if lost := strings.Contains(err.Error(), "before the end"); lost != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v: %v", err, lost)
			}
			p.idle(t)
			p.gone(t, "pid")
		})
	}
}

// A program that cannot be started is not the client's fault, and holds no place.
func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": "#!/bin/sh\n", "no-interpreter": "#!/none/sh\n", "no-format": "text\n"} {
		mode := os.FileMode(0o755)
		if name == "plain" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, program, dir string
		cause              error
		kind               upstream.Kind
		text               string
	}{
		{"missing", dir + "/none", "", syscall.ENOENT, upstream.Misconfigured, "/none: start: fork/exec"},
		{"not executable", dir + "/plain", "", syscall.EACCES, upstream.Misconfigured, "permission denied"},
		{"a directory", dir, "", syscall.EACCES, upstream.Misconfigured, "permission denied"},
		{"without its interpreter", dir + "/no-interpreter", "", syscall.ENOENT, upstream.Misconfigured, "no such file"},
		{"of no format", dir + "/no-format", "", syscall.ENOEXEC, upstream.Misconfigured, "exec format error"},
		{"in a directory that is missing", "/bin/sh", dir + "/none", syscall.ENOENT, upstream.Misconfigured, "working directory: stat"},
	}
	runner := NewRunner(Config{MaxProcesses: 1})
	defer runner.Close()
	for _, tt := range tests {
		body := strings.NewReader("abc")
		_, err := runner.Do(guard(t), &Request{Program: tt.program, Dir: tt.dir, Body: body, Length: 3})
		wantError(t, err, "start", tt.kind, tt.text)
		if e, _ := errors.AsType[*Error](err); e.Sent || !errors.Is(err, tt.cause) || body.Len() != 3 {
			t.Errorf("%s: %v, sent %v, %d bytes of the body left", tt.name, err, e.Sent, body.Len())
		}
	}
	_, err := runner.Do(guard(t), &Request{Program: "/bin/true", Env: []string{"A=" + strings.Repeat("x", 1<<18)}})
	wantError(t, err, "start", upstream.BadRequest, "argument list too long")
}

// No room for a process is another matter than a program that is missing.
func TestStartKind(t *testing.T) {
	for _, scarce := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if kind := startKind(&os.PathError{Op: "fork/exec", Path: "/x", Err: scarce}); kind != upstream.Unavailable {
			t.Errorf("%v: %v", scarce, kind)
		}
	}
}

// A whole group is ended, not only its leader.
func TestGroup(t *testing.T) {
	const family = `echo $$ >pid; sleep 60 & echo $! >child; `
	for name, script := range map[string]string{
		"waits":         family + `wait`,
		"deaf child":    `echo $$ >pid; (trap '' TERM; sleep 60; sleep 60) & echo $! >child; wait`,
		"deaf parent":   `trap : TERM; ` + family + `while :; do wait; done`,
		"no head, ends": family + `printf 'bogus\n\n'; sleep 60`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, script, Config{Timeout: patience, Grace: short})
			err := p.again("head", func() error {
				_, _, err := p.fetch(guard(t), p.request("GET", ""))
				return err
			}, "pid", "child")
			if err == nil {
				t.Error("there was an answer")
			}
			p.gone(t, "pid")
			p.gone(t, "child")
		})
	}
}

// A program that may not be signalled as a group any more is still ended.
func TestLeavesItsGroup(t *testing.T) {
	t.Parallel()
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("perl is not installed")
	}
	p := newProgram(t, ``, Config{Timeout: patience, Grace: short})
	r := p.request("GET", "")
	r.Program, r.Args = perl, []string{"-e", `open F, ">pid"; print F $$; close F; setpgrp(0, getpgrp(getppid())) or die; sleep 60`}
	err = p.again("head", func() error {
		_, err := p.Do(guard(t), r)
		return err
	}, "pid")
	wantError(t, err, "head", upstream.Timeout, "no progress")
	p.idle(t)
	p.gone(t, "pid")
}

// A child that keeps the streams open holds up neither the answer nor the server, and lives on.
func TestChildKeepsStreams(t *testing.T) {
	t.Parallel()
	p := newProgram(t, `printf 'X: y\n\nbody'; sleep 60 & echo $! >child`, Config{})
	_, body, err := p.fetch(guard(t), p.request("POST", strings.Repeat("x", 1<<20)))
	if body != "body" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	p.killLater(t, "child")
	p.idle(t)
	if !alive(p.wrote(t, "child")) {
		t.Error("the child was ended")
	}
}

// What a child still writes when its program has ended belongs to the answer.
func TestChildWritesOn(t *testing.T) {
	t.Parallel()
	p := newProgram(t, `printf 'X: y\n\nbo'; (sleep .05; printf dy) &`, Config{})
	var body string
	var err error
	for range 5 { // when the machine stands still the time for that is over before the child has written
		if _, body, err = p.fetch(guard(t), p.request("GET", "")); body != "bo" || err != nil {
			break
		}
	}
	if body != "body" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

// A program that went away can be read to its end, however slow the client is.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	p := newProgram(t, `printf 'X: y\n\n'; head -c 50000 /dev/zero; sleep 60 & echo $! >child`, Config{})
	resp, err := p.Do(guard(t), p.request("GET", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p.idle(t)
	p.killLater(t, "child")
	time.Sleep(linger + short)
	if n, err := io.Copy(io.Discard, resp.Body); n != 50_000 || err != nil {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestStderr(t *testing.T) {
	t.Run("lines", func(t *testing.T) {
		p := newProgram(t, `echo one >&2; printf 'X: y\n\n'; printf 'two\nthree' >&2`, Config{})
		if _, _, err := p.fetch(guard(t), p.request("GET", "")); err != nil {
			t.Fatal(err)
		}
		if !settled(func() bool { return strings.Join(p.lines(), ",") == "one,two,three" }) {
			t.Errorf("got %q", p.lines())
		}
	})
	t.Run("10 MB", func(t *testing.T) {
		p := newProgram(t, `head -c 10000000 /dev/zero | tr '\0' x >&2; printf 'X: y\n\nbody'`, Config{})
		if _, body, err := p.fetch(guard(t), p.request("GET", "")); body != "body" || err != nil {
			t.Fatalf("got %q, %v", body, err)
		}
		last := func() string { return append([]string{""}, p.lines()...)[len(p.lines())] }
		if !settled(func() bool { return last() == "(9934464 bytes more on stderr)" }) {
			t.Errorf("the last line is %.100q", last())
		}
		if n := len(strings.Join(p.lines(), "")) - len(last()); n != 64<<10 {
			t.Errorf("%d bytes were passed on", n)
		}
	})
}

// A request body that fails is not the program's fault, and is not taken for the whole.
func TestBodyFails(t *testing.T) {
	broken := errors.New("the client went away")
	for _, tt := range []struct {
		name string
		n    int
		err  error
		want error
	}{
		{"at once", 0, broken, broken},
		{"short", 2, broken, broken},
		{"long", 100_000, broken, broken},
		{"ends early", 2, io.EOF, io.ErrUnexpectedEOF},
		{"long, ends early", 100_000, io.EOF, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProgram(t, `trap '' TERM; cat >got; echo whole >whole`, Config{Grace: short})
			r := p.request("POST", "")
			r.Body = io.MultiReader(strings.NewReader(strings.Repeat("x", tt.n)), failing{tt.err})
			r.Length = 200_000
			_, err := p.Do(guard(t), r)
			wantError(t, err, "upload", upstream.BadRequest, tt.want.Error())
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
			p.idle(t)
			if _, err := os.Stat(filepath.Join(p.dir, "whole")); err == nil {
				t.Error("the program took a part for the whole")
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A program is not blamed for the time in which it waits for the client.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	p := newProgram(t, `printf 'X: y\n\n'; cat`, Config{Timeout: patience})
	var body string
	err := p.again("", func() (err error) {
		r := p.request("POST", "")
		r.Body, r.Length = io.MultiReader(strings.NewReader("a"), &slow{r: strings.NewReader("b")}), 2
		_, body, err = p.fetch(guard(t), r)
		return err
	})
	if body != "ab" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

// slow is a client that lets others wait.
type slow struct{ r io.Reader }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(2500 * time.Millisecond)
	return s.r.Read(p)
}

// A program that does not take its input is stopped like one that gives no output.
func TestInputNotTaken(t *testing.T) {
	t.Parallel()
	p := newProgram(t, `sleep 60`, Config{Timeout: short, Grace: short})
	_, err := p.Do(guard(t), p.request("POST", strings.Repeat("x", 1<<20)))
	wantError(t, err, "head", upstream.Timeout, "no progress")
}

// A client that leaves ends the group.
func TestCancel(t *testing.T) {
	for name, tt := range map[string]struct{ script, body string }{
		"in the head":              {`sleep 60`, ""},
		"in the body":              {`printf 'X: y\n\nbody'; sleep 60`, ""},
		"in the upload":            {`sleep 60`, strings.Repeat("x", 1<<20)},
		"while it writes on":       {`printf 'X: y\n\n'; exec cat /dev/zero`, ""},
		"when the program is deaf": {`trap '' TERM; sleep 60`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, `sleep 60 & echo $! >child; echo $$ >pid; `+tt.script, Config{Grace: short})
			ctx, cancel := context.WithCancel(guard(t))
			go func() {
				p.wrote(t, "pid")
				time.Sleep(10 * time.Millisecond)
				cancel()
			}()
			resp, err := p.Do(ctx, p.request("POST", tt.body))
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			wantError(t, err, "wait", upstream.Canceled, "context canceled")
			p.idle(t)
			p.gone(t, "pid")
			p.gone(t, "child")
		})
	}
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(guard(t))
		cancel()
		p := newProgram(t, `sleep 60`, Config{Grace: short})
		_, err := p.Do(ctx, p.request("GET", ""))
		wantError(t, err, "wait", upstream.Canceled, "context canceled")
	})
	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(guard(t), short)
		defer cancel()
		p := newProgram(t, `sleep 60`, Config{Grace: short})
		_, err := p.Do(ctx, p.request("GET", ""))
		wantError(t, err, "wait", upstream.Timeout, "deadline exceeded")
	})
}

// A program whose answer is not wanted any more may end what it does, but not go on for ever.
func TestBehindTheAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		method, script string
		config         Config
		ends           bool // by itself
	}{
		"HEAD":             {"HEAD", `printf 'X: y\n\n'; head -c 500000 /dev/zero; echo yes >done`, Config{}, true},
		"closed":           {"GET", `printf 'X: y\n\n'; head -c 500000 /dev/zero; echo yes >done`, Config{}, true},
		"output closed":    {"HEAD", `printf 'X: y\n\n'; exec >&-; sleep .1; echo yes >done`, Config{}, true},
		"HEAD, for ever":   {"HEAD", `printf 'X: y\n\n'; cat /dev/zero; sleep 60`, Config{Grace: short}, false},
		"closed, for ever": {"GET", `printf 'X: y\n\n'; cat /dev/zero; sleep 60`, Config{Grace: short}, false},
		"sleeps":           {"HEAD", `printf 'X: y\n\n'; sleep 60`, Config{Timeout: patience, Grace: short}, false},
		"sleeps, closed":   {"HEAD", `printf 'X: y\n\n'; exec >&-; sleep 60`, Config{Timeout: patience, Grace: short}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, "echo $$ >pid; "+tt.script, tt.config)
			var resp *fcgi.Response
			err := p.again("", func() (err error) {
				resp, err = p.Do(guard(t), p.request(tt.method, ""))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			resp.Body.Close()
			if tt.method == "GET" {
				_, err = resp.Body.Read(make([]byte, 1))
				wantError(t, err, "body", upstream.Canceled, "was closed")
			}
			if tt.ends {
				p.wrote(t, "done")
			}
			p.idle(t)
			p.gone(t, "pid")
		})
	}
}

// Whatever a program answers, what is passed on is a clean response.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("Content-Length: 4\n\nbody"), false)
	f.Add([]byte("Status: 304 X\r\nX: y\r\n\r\n"), true)
	f.Add([]byte("Location: /x\n\n"), false)
	ended := exec.Command("/bin/true")
	if err := ended.Run(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte, head bool) {
		p := &process{cmd: ended, ended: make(chan struct{}), reaped: true}
		close(p.ended)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p.stdout = r
		go func() {
			w.Write(raw)
			w.Close()
		}()
		x := &exchange{process: p, config: &Config{MaxHeadBytes: 4 << 10, MaxOutputBytes: 1000}, ctx: t.Context(), unwatch: func() bool { return true }}
		req := newProgram(t, "", Config{}).request(map[bool]string{false: "GET", true: "HEAD"}[head], "")
		resp, err := x.run(req)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		for _, f := range resp.Header {
			if strings.ContainsAny(f.Name+f.Value, "\r\n\x00") {
				t.Errorf("%q: %q", f.Name, f.Value)
			}
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Status < 200 || len(body) > 1000 || head && len(body) > 0 || err == nil && resp.Length >= 0 && !req.bodiless(resp.Status) && int64(len(body)) != resp.Length {
			t.Errorf("status %d, %d bytes of %d, %v", resp.Status, len(body), resp.Length, err)
		}
	})
}
