package bindings

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"luaserve/bindings/cgi"
	"luaserve/runtime"
)

func cgiModule() *runtime.Module {
	return &runtime.Module{
		Name:    "cgi",
		Doc:     "Answers requests by CGI programs (CGI/1.1, RFC 3875).",
		Trusted: []string{"cgi"},
		Actions: []runtime.ActionDef{{
			Name: "cgi", New: newCGI, Backend: runtime.Answers,
			Doc: "Answers the request by a program, a process for each request. Without a program it runs the file that the URL is mapped to; what the URL has behind that file becomes PATH_INFO. " +
				"Such a file must lie below the document root, also behind symbolic links, and be a regular file that may be read and executed: otherwise the answer is 403, or 404 when there is none. " +
				"The program gets the variables of CGI/1.1, PATH and what the options add, and nothing else of the server's environment; the request body on stdin; and the directory that it lies in as working directory. " +
				"What it writes to stderr goes to the log. It is the leader of a process group, which is ended (SIGTERM, and SIGKILL after 5 seconds) when the program is too slow, writes too much or nonsense, and when the client leaves; children in the background of one that ends by itself live on. " +
				"The action returns when the head of the response is there, so that later actions can look at it and change it. " +
				"A program that cannot be run is a 500; one that ends without a head or writes nonsense a 502, one that is too slow a 504, one too many a 503. Behind the head such a fault cuts the response, as does a signal that ends the program; the exit status does not count. " +
				"A Location is sent to the client, also one that begins with a slash. Programs that write the status line themselves (nph-) are not supported, and a query never becomes arguments.",
			Example: "actions = { docroot \"/var/www\",\n" +
				"  when(request.path:prefix \"/cgi-bin/\", { cgi() }),\n" +
				"  cgi { program = { \"/usr/bin/python3\", \"/srv/app.py\" }, timeout = 20, environment = { APP_MODE = \"production\" } } }",
			Params: []runtime.Param{{Name: "program", Type: runtime.TExact, Optional: true,
				Doc:     "absolute path of the program, or a list of it and its arguments, or a table of options",
				Instead: "string|string[]", Options: describeOptions(cgiTable, newCGISetup())}},
		}},
	}
}

// defaultPath is the PATH of programs when the server itself has none.
const defaultPath = "/usr/local/bin:/usr/bin:/bin"

// cgiProgram runs one program, or the file that a request is mapped to.
type cgiProgram struct {
	runner  *cgi.Runner
	argv    []string // nil for the mapped file
	dir     string
	env     []string
	options cgiOptions
}

func newCGI(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	setup := newCGISetup()
	if err := setup.read(args.Value(0)); err != nil {
		return nil, err
	}
	c := &cgiProgram{argv: setup.argv, dir: setup.dir, options: newCGIOptions(b, setup.additions)}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = defaultPath
	}
	c.env = append([]string{"PATH=" + path}, setup.passed...)
	var err error
	c.runner, err = runnerFor(b, setup.config)
	return c, err
}

// runnerFor returns what runs the programs of an action. Actions that are made in handlers,
// perhaps one for each request, share one with those that have the same limits. None of these can
// be forgotten while its programs are counted, so there are only so many.
func runnerFor(b *runtime.Builder, config cgi.Config) (*cgi.Runner, error) {
	run := func() *cgi.Runner {
		r := cgi.NewRunner(config)
		b.OnClose(r.Close)
		return r
	}
	if b.InSite() {
		return run(), nil
	}
	made := b.Shared(runnersKey{}, func() any { return &handlerRunners{by: map[cgi.Config]*cgi.Runner{}} }).(*handlerRunners)
	made.mu.Lock()
	defer made.mu.Unlock()
	if r := made.by[config]; r != nil {
		return r, nil
	}
	if len(made.by) == maxHandlerRunners {
		return nil, fmt.Errorf("handlers have made it with %d different limits already; expected the same limits for each request", maxHandlerRunners)
	}
	r := run()
	made.by[config] = r
	return r, nil
}

// maxHandlerRunners is how many different limits actions made in handlers may have.
const maxHandlerRunners = 64

type runnersKey struct{}

// handlerRunners are those of actions made in handlers.
type handlerRunners struct {
	mu sync.Mutex
	by map[cgi.Config]*cgi.Runner
}

// cgiSetup is what a script says of a program.
type cgiSetup struct {
	config    cgi.Config
	argv      []string
	dir       string
	passed    []string // "name=value" of the server's environment
	additions []environmentEntry
}

func newCGISetup() *cgiSetup { return &cgiSetup{config: cgi.Config{}.WithDefaults()} }

var cgiTable = []option[cgiSetup]{
	{name: "program", typ: "string|string[]", doc: "absolute path of the program, or a list of it and its arguments", set: (*cgiSetup).readProgram},
	secondsOption("timeout", "seconds that it may neither answer nor take the request body, and that it may go on when its answer is complete",
		func(s *cgiSetup) *time.Duration { return &s.config.Timeout }, time.Millisecond, longestTimeout),
	numberOption("max_processes", "how many programs of this action may run at once", func(s *cgiSetup) *int { return &s.config.MaxProcesses }, 1, 1<<20),
	numberOption("max_head_bytes", "length of the response head in bytes; a longer one is a 502", func(s *cgiSetup) *int { return &s.config.MaxHeadBytes }, 1, 1<<30),
	numberOption("max_output_bytes", "length of the response body in bytes; 0 is no limit", func(s *cgiSetup) *int64 { return &s.config.MaxOutputBytes }, 0, 1<<52),
	numberOption("max_stderr_bytes", "how many bytes of stderr are logged for a request", func(s *cgiSetup) *int64 { return &s.config.MaxStderrBytes }, 1, 1<<52),
	{name: "dir", typ: "string", doc: "working directory, an absolute path", set: (*cgiSetup).readDir},
	{name: "pass_env", typ: "string[]", doc: "names of variables that it gets from the server's environment", set: (*cgiSetup).readPassed},
	environmentOption(func(s *cgiSetup) *[]environmentEntry { return &s.additions }),
}

// read reads the argument of the action.
func (s *cgiSetup) read(v runtime.Value) error {
	if v.Kind() == runtime.KindNone {
		return nil
	}
	if list, ok := v.Strings(); ok && !v.IsHash() && len(list) > 0 {
		return s.readProgram(v)
	}
	pairs, ok := v.Pairs()
	if !ok {
		return fmt.Errorf("expected a program, a list of it and its arguments, or a table of options, got %s", v)
	}
	return readOptions(s, cgiTable, pairs)
}

func (s *cgiSetup) readProgram(v runtime.Value) error {
	argv, ok := v.Strings()
	if !ok || len(argv) == 0 || v.IsHash() {
		return fmt.Errorf("expected a path, or a list of it and arguments, got %s", v)
	}
	for _, arg := range argv {
		if strings.IndexByte(arg, 0) >= 0 {
			return fmt.Errorf("%q has a NUL in it", arg)
		}
	}
	if !filepath.IsAbs(argv[0]) {
		return fmt.Errorf("expected an absolute path, got %q", argv[0])
	}
	s.argv = argv
	return nil
}

func (s *cgiSetup) readDir(v runtime.Value) error {
	dir, _ := v.Str()
	if !filepath.IsAbs(dir) || strings.IndexByte(dir, 0) >= 0 {
		return fmt.Errorf("expected an absolute path, got %s", v)
	}
	s.dir = dir
	return nil
}

// readPassed reads names of variables and takes their values from the server.
func (s *cgiSetup) readPassed(v runtime.Value) error {
	names, err := readStrings(v)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := checkVariable(name); err != nil {
			return err
		}
		if value, ok := os.LookupEnv(name); ok {
			s.passed = append(s.passed, name+"="+value)
		}
	}
	return nil
}

// Run starts the program and waits for the head of its response.
func (c *cgiProgram) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	argv := c.argv
	if argv == nil {
		file, err := mappedProgram(vr)
		if err != nil {
			return err
		}
		argv = []string{file}
	}
	_, length, err := cgiBody(vr)
	if err != nil {
		return err
	}
	log, ctx := vr.Log(), vr.Context()
	stderr := func(line string) {
		log.LogAttrs(ctx, slog.LevelError, line, slog.String("backend", argv[0]), slog.String("stream", "stderr"))
	}
	env := c.options.environment(vr, length)
	resp, err := c.runner.Do(ctx, &cgi.Request{
		Program: argv[0], Args: argv[1:], Dir: c.dir, Env: c.env,
		Params: env.params, Body: vr.In, Length: length, Stderr: stderr,
	})
	env.free()
	if err != nil {
		return backendError(argv[0], err)
	}
	for _, field := range resp.Header {
		vr.Response.Header.Insert(field.Name, field.Value)
	}
	vr.HandleBackend(resp.Status, resp.Body)
	return nil
}

// mappedProgram returns the real path of the file that the URL is mapped to, if it is one that
// may be run. Other than for static it must lie below the document root whatever a script has
// set. That it can be opened there link by link, and that the path without links leads to the
// same file, is what keeps a link that changes meanwhile from leading to another program.
func mappedProgram(vr *runtime.VRequest) (string, error) {
	phys := &vr.Physical
	if phys.Path == "" {
		return "", errors.New("there is no document root: put docroot or alias before cgi")
	}
	splitPathInfo(vr)
	f, err := runtime.OpenBelow(phys.DocRoot, phys.Path)
	if err == nil {
		f.Close()
		f, err = phys.Open() // which may be confined besides
	}
	if err != nil {
		return "", &runtime.StatusError{Status: openStatus(err), Err: fmt.Errorf("cgi: %w", err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", runtime.Fail(http.StatusForbidden, "cgi: %s is no regular file", phys.Path)
	}
	file, err := filepath.EvalSymlinks(phys.Path)
	if err == nil {
		file, err = filepath.Abs(file)
	}
	if err != nil {
		return "", &runtime.StatusError{Status: openStatus(err), Err: fmt.Errorf("cgi: %w", err)}
	}
	if there, err := os.Lstat(file); err != nil || !os.SameFile(info, there) {
		return "", runtime.Fail(http.StatusForbidden, "cgi: %s is another file by now", phys.Path)
	}
	const execute = 1 // X_OK of access(2)
	if err := syscall.Access(file, execute); err != nil {
		return "", runtime.Fail(http.StatusForbidden, "cgi: %s may not be executed: %w", phys.Path, err)
	}
	return file, nil
}
