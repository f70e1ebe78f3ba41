package tests

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/tools/txtar"

	"luaserve/tests/backend"
)

var update = flag.Bool("update", false, "write what the scenarios expect anew from what the server does")

// TestScenario runs testdata/scenarios/*.txtar. The sections of such a file:
//
//	site.lua       the script; it listens on "127.0.0.1:$PORT"
//	NN-name.http   a request: head, empty line, body. Requests run in the order of their names.
//	               Content-Length is added where there is a body and no framing
//	NN-name.want   the answer to it, see canonical
//	load-error     instead of requests: why the script is refused
//	log            lines that the log must contain, in any order
//	other names    files, below $DIR beside site.lua
//
// In Lua files and requests $DIR, $PORT, $FCGI, $SCGI, $HTTP (the backend), $MEMCACHED (a real one, see
// [backend.Missing]) and $DEAD (a socket that nobody listens on) are replaced; in answers, errors and
// logs they stand for those values.
// Scenarios always run in this process, whatever LUASERVE_CONFORMANCE_CMD says.
func TestScenario(t *testing.T) {
	paths, err := filepath.Glob("testdata/scenarios/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	b := startBackend(t)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			runScenario(t, path, b)
		})
	}
}

func runScenario(t *testing.T, path string, b *backend.Backend) {
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sc := newScenario(t, ar, b)
	log := &logBuffer{}
	stop, err := startSite(t, sc.config, log)
	if err != nil {
		if len(sc.requests) > 0 {
			t.Fatalf("the script is refused: %v\n%s", err, log)
		}
		sc.check(t, "load-error", "", withNewline(sc.unexpand(err.Error())))
	} else {
		if sc.section("load-error") != nil {
			t.Error("the script must be refused, but the server runs")
		}
		for _, name := range sc.requests {
			sc.check(t, strings.TrimSuffix(name, ".http")+".want", name, sc.canonical(sc.ask(t, name)))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	sc.checkLog(t, log.String())
	if *update && sc.changed {
		if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if t.Failed() {
		t.Logf("log of the server:\n%s", log)
	}
}

// scenario is an archive and the site made of it.
type scenario struct {
	*site
	ar       *txtar.Archive
	requests []string // names of the .http sections
	changed  bool     // ar is to be written
}

// special matches the sections that are not files of the site.
var special = regexp.MustCompile(`^(\d\d-[^/]*\.(http|want)|load-error|log)$`)

// newScenario writes the files of the archive into a directory of its own.
func newScenario(t *testing.T, ar *txtar.Archive, b *backend.Backend) *scenario {
	t.Helper()
	sc := &scenario{site: newSite(t, b), ar: ar}
	dir := sc.root + "/dir"
	sc.config = dir + "/site.lua"
	sc.values = [][2]string{
		{"$FCGI", b.FCGI},
		{"$SCGI", b.SCGI},
		{"$HTTP", b.HTTP},
		{"$DEAD", deadBackend(b)},
		{"$DIR", dir},
		{"$PORT", strconv.Itoa(sc.port)},
	}
	if bytes.Contains(txtar.Format(ar), []byte("$MEMCACHED")) {
		sc.values = append(sc.values, [2]string{"$MEMCACHED", backend.StartMemcached(t, "").Address})
	}
	for _, f := range ar.Files {
		if special.MatchString(f.Name) {
			if strings.HasSuffix(f.Name, ".http") {
				sc.requests = append(sc.requests, f.Name)
			}
			continue
		}
		if !filepath.IsLocal(f.Name) {
			t.Fatalf("file %q is not below the directory of the scenario", f.Name)
		}
		data := string(f.Data)
		if strings.HasSuffix(f.Name, ".lua") {
			data = sc.expand(data)
		}
		if err := writeOld(filepath.Join(dir, f.Name), []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(sc.requests)
	return sc
}

// section returns the section called name, nil if there is none.
func (sc *scenario) section(name string) *txtar.File {
	for i := range sc.ar.Files {
		if sc.ar.Files[i].Name == name {
			return &sc.ar.Files[i]
		}
	}
	return nil
}

// check compares got with the section called name; with -update it writes the section, a new one
// behind the section called after.
func (sc *scenario) check(t *testing.T, name, after, got string) {
	t.Helper()
	f := sc.section(name)
	if f != nil && string(f.Data) == got {
		return
	}
	switch {
	case *update && f != nil:
		f.Data = []byte(got)
	case *update:
		i := slices.IndexFunc(sc.ar.Files, func(f txtar.File) bool { return f.Name == after })
		if i < 0 {
			i = len(sc.ar.Files) - 1
		}
		sc.ar.Files = slices.Insert(sc.ar.Files, i+1, txtar.File{Name: name, Data: []byte(got)})
	case f == nil:
		t.Errorf("there is no section %s (-update writes it); got:\n%s", name, got)
	default:
		t.Errorf("%s differs\n--- got\n%s--- want\n%s", name, got, f.Data)
	}
	sc.changed = true
}

// checkLog looks for the lines of the section log.
func (sc *scenario) checkLog(t *testing.T, log string) {
	t.Helper()
	f := sc.section("log")
	if f == nil {
		return
	}
	log = sc.unexpand(log)
	for line := range strings.Lines(string(f.Data)) {
		if line = strings.TrimSpace(line); !strings.Contains(log, line) {
			t.Errorf("the log does not contain %q", line)
		}
	}
}

// ask sends the request in the section called name, on a connection of its own.
func (sc *scenario) ask(t *testing.T, name string) *answer {
	t.Helper()
	text := sc.expand(string(sc.section(name).Data))
	c, err := dial(sc.port)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	c.send([]byte(wireRequest(text)))
	return c.readAnswer(methodOf(text))
}

// wireRequest makes a request of text with plain newlines. The newline that ends the section is
// not a part of the body.
func wireRequest(text string) string {
	head, body, _ := strings.Cut(text, "\n\n")
	head = strings.TrimSuffix(head, "\n")
	body = strings.TrimSuffix(body, "\n")
	lower := strings.ToLower(head)
	switch {
	case strings.Contains(lower, "\ntransfer-encoding:"):
		body = strings.ReplaceAll(body+"\n", "\n", "\r\n") // chunks are lines here
	case body != "" && !strings.Contains(lower, "\ncontent-length:"):
		head += fmt.Sprintf("\nContent-Length: %d", len(body))
	}
	return strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
}

// volatile headers differ from run to run.
var volatile = []string{"ETag", "Expires", "Last-Modified", "Server"}

// canonical is an answer as text: status line, headers sorted by name without Date, an empty line,
// the body without its framing. What differs from run to run is named instead: <etag>, $DIR.
func (sc *scenario) canonical(a *answer) string {
	var out strings.Builder
	for _, status := range a.interim {
		fmt.Fprintf(&out, "<interim %d>\n", status)
	}
	if a.status == 0 || a.malformed != "" {
		fmt.Fprintf(&out, "<%s>\n", a.describe())
		return out.String()
	}
	body := sc.unexpand(string(a.body))
	headers := slices.Clone(a.headers)
	slices.SortStableFunc(headers, func(a, b field) int {
		return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name))
	})
	fmt.Fprintf(&out, "%s %d %s\n", a.version, a.status, a.reason)
	for _, f := range headers {
		value := sc.unexpand(f.value)
		same := func(name string) bool { return strings.EqualFold(f.name, name) }
		switch {
		case same("Date"):
			continue
		case slices.ContainsFunc(volatile, same), same("Content-Length") && body != string(a.body):
			value = "<" + strings.ToLower(f.name) + ">"
		}
		fmt.Fprintf(&out, "%s: %s\n", f.name, value)
	}
	out.WriteString("\n")
	switch {
	case body == "":
	case !utf8.ValidString(body) || bytes.ContainsRune([]byte(body), 0) || len(txtar.Parse([]byte(body)).Files) > 0:
		fmt.Fprintf(&out, "<%d bytes>\n", len(a.body)) // cannot stand in a text archive
	default:
		out.WriteString(withNewline(body))
	}
	if a.truncated {
		out.WriteString("<truncated>\n")
	}
	if a.timeout {
		fmt.Fprintf(&out, "<nothing more within %v>\n", limit)
	}
	return out.String()
}

func withNewline(s string) string {
	if !strings.HasSuffix(s, "\n") {
		s += "\n"
	}
	return s
}
