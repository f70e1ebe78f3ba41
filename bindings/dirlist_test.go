package bindings

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// linkPattern finds the links of the entries: name and text.
var linkPattern = regexp.MustCompile(`<td class="name"><a href="\./([^"]*)"><bdi>(.*?)</bdi>`)

// listed returns the names in a page, decoded, in their order; directories end with "/".
func listed(t *testing.T, page string) []string {
	t.Helper()
	var names []string
	for _, m := range linkPattern.FindAllStringSubmatch(page, -1) {
		path, _, _ := strings.Cut(m[1], "?")
		name, err := url.PathUnescape(path)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

var dirlistFiles = map[string]string{
	"www/b.txt":       strings.Repeat("b", 2000),
	"www/A.html":      "a",
	"www/c":           strings.Repeat("c", 300),
	"www/.hidden":     "",
	"www/backup~":     "",
	"www/old.bak":     "",
	"www/tmp-1":       "",
	"www/HEADER.txt":  "a <header>",
	"www/README.txt":  "a <readme>",
	"www/sub/x":       "",
	"www/Zoo/x":       "",
	"secret/s":        "secret",
	"www/deep/er/x.c": "",
}

func newDirlistSite(t testing.TB, options string) *staticSite {
	t.Helper()
	s, err := loadStatic(t, `setup.mime_types { [".txt"] = "text/plain", [".html"] = "text/html" }
actions = { docroot "@ROOT@", dirlist(`+options+`), static() }`, dirlistFiles)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDirlistEntries(t *testing.T) {
	for _, c := range []struct{ options, query, want string }{
		{"", "", "deep/ sub/ Zoo/ A.html b.txt c HEADER.txt old.bak README.txt tmp-1"},
		{"{ hide_dotfiles = false, ['hide-tildefiles'] = false }", "", "deep/ sub/ Zoo/ .hidden A.html b.txt backup~ c HEADER.txt old.bak README.txt tmp-1"},
		{"{ hide_directories = true, exclude_suffix = { '.bak', '.txt' }, exclude_prefix = { 'tmp' } }", "", "A.html c"},
		{"{ hide_header = true, hide_readme = true }", "", "deep/ sub/ Zoo/ A.html b.txt c old.bak tmp-1"},
		{"", "?sort=name&order=desc", "Zoo/ sub/ deep/ tmp-1 README.txt old.bak HEADER.txt c b.txt A.html"},
		{"{ hide_directories = true }", "?sort=size", "old.bak tmp-1 A.html HEADER.txt README.txt c b.txt"},
		{"{ hide_directories = true }", "?sort=size&order=desc", "b.txt c HEADER.txt README.txt A.html old.bak tmp-1"},
		{"{ hide_directories = true, sort = 'size' }", "", "old.bak tmp-1 A.html HEADER.txt README.txt c b.txt"},
		{"{ hide_directories = true, sort = 'size' }", "?sort=type", "c old.bak tmp-1 A.html b.txt HEADER.txt README.txt"},
		{"", "?sort=%22%3E%3Cscript%3E&order=%zz", "deep/ sub/ Zoo/ A.html b.txt c HEADER.txt old.bak README.txt tmp-1"},
	} {
		s := newDirlistSite(t, c.options)
		r := s.ask("GET", "/"+c.query)
		if got := strings.Join(listed(t, r.Body.String()), " "); got != c.want || r.Code != 200 {
			t.Errorf("%s %s: %d\n got %s\nwant %s", c.options, c.query, r.Code, got, c.want)
		}
	}
}

func TestDirlistAnswers(t *testing.T) {
	s := newDirlistSite(t, "")
	for _, c := range []struct {
		method, target string
		status         int
		location       string
	}{
		{"GET", "/", 200, ""},
		{"HEAD", "/", 200, ""},
		{"GET", "/sub", 301, "http://host/sub/"},
		{"GET", "/sub?sort=size", 301, "http://host/sub/?sort=size"},
		{"GET", "//sub", 301, "http://host//sub/"},
		{"GET", "/deep/er/", 200, ""},
		{"GET", "/c", 200, ""}, // by static
		{"GET", "/none/", 404, ""},
		{"GET", "/c/", 404, ""},
		{"PUT", "/c", 405, ""}, // by static
	} {
		r := s.ask(c.method, c.target)
		if r.Code != c.status || r.Header().Get("Location") != c.location {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.target, r.Code, r.Header().Get("Location"), c.status, c.location)
		}
	}
	get, head := s.ask("GET", "/"), s.ask("HEAD", "/")
	if get.Header().Get("Content-Type") != "text/html; charset=utf-8" || fmt.Sprint(get.Header()) != fmt.Sprint(head.Header()) || head.Body.Len() > 0 {
		t.Errorf("GET %v\nHEAD %v", get.Header(), head.Header())
	}
	tag := get.Header().Get("ETag")
	if r := s.ask("GET", "/", "If-None-Match", tag); r.Code != http.StatusNotModified || r.Body.Len() > 0 || tag == "" {
		t.Errorf("%d %q", r.Code, tag)
	}
	// the size of a file changes, its directory does not
	if err := os.WriteFile(filepath.Join(s.root, "c"), []byte("longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := s.ask("GET", "/", "If-None-Match", tag); r.Code != 200 {
		t.Errorf("status %d for a list that changed", r.Code)
	}
}

func TestDirlistPage(t *testing.T) {
	s := newDirlistSite(t, `{ include_header = true, css = 'https://x/"><script>.css', content_type = "text/html" }`)
	r := s.ask("GET", "/")
	page := r.Body.String()
	for _, want := range []string{`<pre id="header">a &lt;header&gt;</pre>`, `<pre id="readme">a &lt;readme&gt;</pre>`, `href="https://x/&#34;&gt;&lt;script&gt;.css"`,
		`title="2000 bytes">2.0 KiB<`, `>2001-09-09<span> 01:46<`, `<td class="type">text/html<`, `<footer>luaserve`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s\n%s", want, page)
		}
	}
	for _, unwanted := range []string{"<script", "<style", "Parent directory"} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %s\n%s", unwanted, page)
		}
	}
	if r.Header().Get("Content-Type") != "text/html" {
		t.Errorf("type %q", r.Header().Get("Content-Type"))
	}
	page = s.ask("GET", "/deep/er/?sort=size&order=desc").Body.String()
	for _, want := range []string{`<a href="../../?sort=size&amp;order=desc">/</a><a href="../?sort=size&amp;order=desc">deep/</a>er/`, `<a href="../?sort=size&amp;order=desc">Parent directory</a>`, `aria-sort="descending"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s\n%s", want, page)
		}
	}
	s = newDirlistSite(t, `{ include_readme = true, encode_readme = false }`)
	if page := s.ask("GET", "/").Body.String(); !strings.Contains(page, `<div id="readme">a <readme></div>`) || strings.Contains(page, "a &lt;header") {
		t.Errorf("%s", page)
	}
	if err := os.WriteFile(filepath.Join(s.root, "README.txt"), make([]byte, maxIncluded+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if page := s.ask("GET", "/").Body.String(); strings.Contains(page, `id="readme"`) {
		t.Error("a README.txt that is too long is shown")
	}
}

// Names are what strangers choose: none may leave its place in the page.
func TestDirlistHostileNames(t *testing.T) {
	s := newDirlistSite(t, "{ hide_dotfiles = false, hide_tildefiles = false }")
	names := []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `javascript:alert(1)`, `a'b"c`, `&lt;`, `100%`, `%2e%2e`, `a?b#c`, `a;b`, `http:`,
		"new\nline", "tab\there", "bad\xff\xfeutf8", "gpj.\u202eexe", `back\slash`, `{{.}}`, "日本語", " space ", "-->", "..."}
	dir := filepath.Join(s.root, "sub")
	for _, name := range names {
		if strings.Contains(name, "/") {
			name = strings.ReplaceAll(name, "/", "\u2215")
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, `<b>"dir`), 0o700); err != nil {
		t.Fatal(err)
	}
	page := s.ask("GET", "/sub/").Body.String()
	got := listed(t, page)
	if len(got) != len(names) { // two more, and two that no URL leads to
		t.Errorf("%d entries: %q", len(got), got)
	}
	for _, unwanted := range []string{"<script", "<img", "<b>", "\n\u202e", "\u202e", "new\nline", "\xff", `href="javascript`, `href="http`} {
		if strings.Contains(page, unwanted) {
			t.Errorf("the page has %q", unwanted)
		}
	}
	// each link leads to its file
	for _, m := range linkPattern.FindAllStringSubmatch(page, -1) {
		name, _ := url.PathUnescape(m[1])
		if strings.HasSuffix(name, "/") || name == "x" {
			continue
		}
		if r := s.ask("GET", "/sub/"+m[1]); r.Code != 200 || r.Body.String() != name {
			t.Errorf("%s: %d %q", m[1], r.Code, r.Body)
		}
	}
	page = s.ask("GET", "/sub/%3Cb%3E%22dir/").Body.String()
	if strings.Contains(page, "<b>") || !strings.Contains(page, "<title>Index of /sub/&lt;b&gt;&#34;dir/</title>") {
		t.Errorf("%s", page)
	}
}

// Nothing outside of the document root is listed, nor told of.
func TestDirlistConfinement(t *testing.T) {
	s := newDirlistSite(t, "")
	confined := filepath.Join(s.root, "sub")
	for name, target := range map[string]string{
		"in": "../c", "in-abs": filepath.Join(s.root, "c"), "in-dir": "../deep", "dir-abs": filepath.Join(s.root, "deep"),
		"out": "../../secret/s", "out-abs": filepath.Join(s.dir, "secret/s"), "out-dir": "../../secret", "dangling": "nowhere", "loop": "loop", "device": "/dev/zero",
		"HEADER.txt": "../../secret/s", "README.txt": "../../secret/s",
	} {
		if err := os.Symlink(target, filepath.Join(confined, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(confined, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.ask("GET", "/sub/")
	if got := strings.Join(listed(t, r.Body.String()), " "); got != "dir-abs/ in-dir/ in in-abs x" || strings.Contains(r.Body.String(), "secret") {
		t.Errorf("%d %s", r.Code, got)
	}
	for target, want := range map[string]int{"/sub/in-dir/": 200, "/sub/dir-abs/": 200, "/sub/out-dir/": 403, "/sub/out-dir": 403, "/sub/fifo/": 404, "/sub/loop/": 404, "/../secret/": 404, "/..%2fsecret/": 404} {
		r := s.ask("GET", target)
		if r.Code != want && !(target == "/sub/loop/" && r.Code == 403) || strings.Contains(r.Body.String(), "./s\"") {
			t.Errorf("%s: %d, want %d", target, r.Code, want)
		}
	}
}

// TestDirlistSwapRace swaps a directory for a link that leads out while it is listed.
func TestDirlistSwapRace(t *testing.T) {
	s := newDirlistSite(t, "")
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		d := filepath.Join(s.root, "d")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			os.Symlink([]string{"deep", "../secret"}[i%2], d+".new")
			os.Rename(d+".new", d)
		}
	}()
	seen := map[int]int{}
	both := func() bool { return seen[200] > 0 && seen[403] > 0 }
	for begun := time.Now(); time.Since(begun) < 500*time.Millisecond || !both() && time.Since(begun) < 20*time.Second; {
		r := s.ask("GET", "/d/")
		seen[r.Code]++
		if names := listed(t, r.Body.String()); slices.Contains(names, "s") {
			t.Fatalf("lists what lies outside: %q", names)
		}
	}
	close(stop)
	<-stopped
	if !both() {
		t.Errorf("the race was not run: statuses %v", seen)
	}
}

func TestDirlistBounded(t *testing.T) {
	s := newDirlistSite(t, "{ max_entries = 600, debug = true }")
	for i := range 1300 {
		if err := os.WriteFile(filepath.Join(s.root, "sub", fmt.Sprint("f", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page := s.ask("GET", "/sub/").Body.String()
	if n := len(listed(t, page)); n != 600 || !strings.Contains(page, "only 600 entries were looked at") {
		t.Errorf("%d entries", n)
	}
	if !strings.Contains(s.log.String(), "entries=600 cut=true") {
		t.Errorf("log: %s", s.log)
	}
	if page := s.ask("GET", "/").Body.String(); strings.Contains(page, "were looked at") {
		t.Error("a short list says that it was cut")
	}
}

func TestDirlistErrors(t *testing.T) {
	for options, want := range map[string]string{
		`{ hide = true }`:             `dirlist: unknown option "hide"; expected one of sort, css, hide_dotfiles, `,
		`{ ["hide-dotfiles"] = "x" }`: `dirlist: hide_dotfiles: expected true or false, got "x"`,
		`{ sort = "age" }`:            `dirlist: sort: expected "name", "modified", "size" or "type", got "age"`,
		`{ exclude_suffix = ".bak" }`: `dirlist: exclude_suffix: expected a list of strings, got ".bak"`,
		`{ exclude_suffix = { "" } }`: `dirlist: exclude_suffix: an entry is empty`,
		`{ content_type = "a\nb" }`:   `dirlist: content_type: expected a string`,
		`{ max_entries = 0 }`:         `dirlist: max_entries: expected a whole number from 1 to 1000000, got 0`,
		`"x"`:                         `dirlist: options: expected a key-value list, got a string`,
	} {
		if _, err := loadStatic(t, `actions = { dirlist `+options+` }`, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", options, err, want)
		}
	}
}

func TestHumanSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KiB", 1024: "1.0 KiB", 1536: "1.5 KiB", 10239: "10 KiB", 1023999: "1.0 MiB", 1 << 20: "1.0 MiB",
		500 << 20: "500 MiB", 1 << 40: "1.0 TiB", 1<<63 - 1: "8 EiB"} {
		if got := humanSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
