package tests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"luaserve/tests/backend"
)

// A transcript in the documentation is a block of http:
//
//	> GET /old HTTP/1.1
//	> Host: example.net
//	>
//	< HTTP/1.1 301 Moved Permanently
//	< Location: http://example.net/new
//
//	$ touch /srv/maintenance
//
// A request is sent on a connection of its own; {Location} in it stands for that field of the
// answer before. Of the answer the status line, the fields that are listed and the body, if
// there is one, must be as written; … stands for anything, and "< (no Location)" for a field
// that must not be there. Behind $ is a command for a shell.
//
// Files and sockets below /var, /srv, /run and /etc are in a directory of the test. Scripts
// find the test's application at every socket below /run (FastCGI; SCGI where the name begins
// so), HTTP servers at 127.0.0.1:3000 and 3001, and one that only speaks WebSocket at 3002.

// services are the applications behind the scripts of the documentation.
type services struct {
	app, other *backend.Backend
	webSocket  string // host:port
}

func startServices(t *testing.T) *services {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(echoWebSocket))
	t.Cleanup(echo.Close)
	return &services{app: startBackend(t), other: startBackend(t), webSocket: echo.Listener.Addr().String()}
}

// echoWebSocket accepts a WebSocket and waits until the client closes it.
func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered with the error
	}
	defer c.CloseNow()
	for err == nil {
		var kind websocket.MessageType
		var data []byte
		if kind, data, err = c.Read(context.Background()); err == nil {
			err = c.Write(context.Background(), kind, data)
		}
	}
}

// place is where the scripts of one section run.
type place struct {
	*site
	services *services
}

var (
	absolutePath = regexp.MustCompile(`(^|["':= ])(/(?:var|usr|srv|run|etc)\b)`)
	socketPath   = regexp.MustCompile(`unix:(/[^"]*/run/([\w.-]+))`)
	queryPath    = regexp.MustCompile(`=(/(?:var|srv)/)`)
	lastField    = regexp.MustCompile(`\{([\w-]+)\}`)
)

// runSection makes the files of a section, loads its scripts, and runs those with transcripts.
func runSection(t *testing.T, sec *section, sv *services) {
	p := &place{site: &site{root: shortDir(t)}, services: sv}
	for _, dir := range []string{"/var/www", "/var/cache", "/srv", "/run", "/etc"} {
		if err := os.MkdirAll(p.root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range sec.files {
		if err := writeOld(p.root+f[0], []byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	for _, ex := range sec.examples {
		if len(ex.transcripts) == 0 {
			if err := loadExample(t, p.relocate(t, ex.script)); err != nil {
				t.Errorf("%s:%d: %v\n%s", sec.page, ex.line, err, ex.script)
			}
			continue
		}
		p.serve(t, fmt.Sprintf("%s:%d", sec.page, ex.line), ex)
	}
}

// serve runs the script of an example and all its transcripts.
func (p *place) serve(t *testing.T, at string, ex *docExample) {
	t.Helper()
	p.port = freePort(t)
	script := strings.ReplaceAll(p.relocate(t, ex.script), "127.0.0.1:8080", fmt.Sprintf("127.0.0.1:%d", p.port))
	if !strings.Contains(script, "setup.listen") {
		script += fmt.Sprintf("\nsetup.listen '127.0.0.1:%d'\n", p.port)
	}
	config := filepath.Join(p.root, "site.lua")
	if err := os.WriteFile(config, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	stop, err := startSite(t, config, log)
	if err != nil {
		t.Errorf("%s: %v\n%s", at, err, ex.script)
		return
	}
	var last *answer
	for _, text := range ex.transcripts {
		for _, x := range exchanges(text) {
			if x.command != "" {
				cmd := exec.CommandContext(t.Context(), "sh", "-ec", p.relocate(t, x.command))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %s: %v %s", at, x.command, err, out)
				}
				continue
			}
			if last, err = p.exchange(x, last); err != nil {
				t.Errorf("%s: %s\n%v\nlog:\n%s", at, x.request, err, log)
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// relocate puts the test's files, sockets and addresses in the place of those in a script.
func (p *place) relocate(t *testing.T, text string) string {
	t.Helper()
	text = absolutePath.ReplaceAllString(text, "${1}"+p.root+"${2}")
	for _, m := range socketPath.FindAllStringSubmatch(text, -1) {
		socket := p.services.app.FCGI
		if strings.HasPrefix(m[2], "scgi") {
			socket = p.services.app.SCGI
		}
		if err := os.MkdirAll(filepath.Dir(m[1]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(strings.TrimPrefix(socket, "unix:"), m[1]); err != nil && !errors.Is(err, os.ErrExist) {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer("127.0.0.1:3000", p.services.app.HTTP, "127.0.0.1:3001", p.services.other.HTTP,
		"127.0.0.1:3002", p.services.webSocket).Replace(text)
}

// exchangeText is a request with its answer, or a command.
type exchangeText struct {
	command, request string
	answer           []string // lines; those of the body behind an empty one
}

// exchanges reads a transcript.
func exchanges(text string) []*exchangeText {
	var out []*exchangeText
	var now *exchangeText
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			now = nil
			continue
		}
		mark, rest := line[:1], strings.TrimPrefix(line[1:], " ")
		if now == nil || mark == "$" || mark == ">" && now.answer != nil {
			now = &exchangeText{}
			out = append(out, now)
		}
		switch mark {
		case "$":
			now.command = rest
			now = nil
		case ">":
			now.request += rest + "\n"
		case "<":
			now.answer = append(now.answer, rest)
		}
	}
	return out
}

// exchange sends a request and holds the answer against what the transcript has.
func (p *place) exchange(x *exchangeText, last *answer) (*answer, error) {
	if x.request == "" || len(x.answer) == 0 {
		return nil, fmt.Errorf("a request without an answer, or the reverse: %q", x.answer)
	}
	request := queryPath.ReplaceAllString(x.request, "="+p.root+"$1")
	request = lastField.ReplaceAllStringFunc(request, func(m string) string { return last.last(strings.Trim(m, "{}")) })
	c, err := dial(p.port)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	if !strings.Contains(request, "\n\n") {
		request += "\n"
	}
	c.send([]byte(wireRequest(request)))
	got := c.readAnswer(methodOf(request))
	return got, p.compare(got, x.answer)
}

// compare says where an answer differs from the lines of a transcript.
func (p *place) compare(got *answer, want []string) error {
	var wrong []string
	differs := func(what, got, want string) {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
		if got = strings.ReplaceAll(got, p.root, ""); !regexp.MustCompile("(?s)^" + pattern + "$").MatchString(got) {
			wrong = append(wrong, fmt.Sprintf("%s: got %q, want %q", what, got, want))
		}
	}
	differs("status", fmt.Sprintf("%s %d %s", got.version, got.status, got.reason), want[0])
	for i, line := range want[1:] {
		if line == "" {
			differs("body", strings.TrimSuffix(string(got.body), "\n"), strings.Join(want[i+2:], "\n"))
			break
		}
		if name, absent := strings.CutPrefix(line, "(no "); absent {
			differs(line, strings.Join(got.values(strings.TrimSuffix(name, ")")), ", "), "")
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		differs(name, strings.Join(got.values(name), ", "), value)
	}
	if wrong != nil {
		return fmt.Errorf("%s\nthe answer: %s\n%s", strings.Join(wrong, "\n"), got.describe(), got.body)
	}
	return nil
}
