package bindings

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

var userdirFiles = map[string]string{
	"home/lighty/public_html/index.html":     "lighty's page\n",
	"home/lighty/public_html/foo.html":       "lighty's foo\n",
	"home/lighty/public_html/sub/index.html": "lighty's sub\n",
	"home/lighty/private":                    "private\n",
	"home/x/public_html/index.html":          "x's page\n",
	"home/toor/public_html/index.html":       "toor's page\n",
	"home/eve/own":                           "eve\n",
	"web/lighty/foo.html":                    "web foo\n",
	"web/root/foo.html":                      "root's foo\n",
	"users/l/li/lighty/foo.html":             "letters\n",
	"users/x/x/x/foo.html":                   "one letter\n",
	"www/~bad.name/foo.html":                 "a file of the docroot\n",
	"www/~lighty/foo.html":                   "left alone\n",
	"www/foo.html":                           "front\n",
	"secret/s":                               "secret\n",
}

// newUserdirSite makes users with homes in the site's directory.
func newUserdirSite(t *testing.T, call string) *staticSite {
	t.Helper()
	s, err := loadStatic(t, `setup.mime_types { [".html"] = "text/html" }
actions = { docroot "@ROOT@", `+call+`, header.add("X-Docroot", "%{phys.docroot}"), header.add("X-Path", "%{req.path}"), index "index.html", static() }`, userdirFiles)
	if err != nil {
		t.Fatal(err)
	}
	system := lookupUser
	t.Cleanup(func() { lookupUser = system })
	lookupUser = func(name string) (*user.User, error) {
		u := &user.User{Uid: "1000", HomeDir: filepath.Join(s.dir, "home", name)}
		switch name {
		case "lighty", "x", "eve":
		case "toor":
			u.Uid = "0"
		case "homeless":
			u.HomeDir = ""
		case "broken":
			return nil, errors.New("the directory service is down")
		default:
			return nil, user.UnknownUserError(name)
		}
		return u, nil
	}
	return s
}

func TestUserdir(t *testing.T) {
	const home, web = `userdir "public_html"`, `userdir "@DIR@/web/*/"`
	for _, c := range []struct {
		call, target string
		status       int
		body         string // or where it is redirected to; "" is not compared
	}{
		{home, "/~lighty/foo.html", 200, "lighty's foo\n"},
		{home, "/~lighty/", 200, "lighty's page\n"},
		{home, "/~lighty", 301, "http://host/~lighty/"},
		{home, "/~lighty/sub", 301, "http://host/~lighty/sub/"},
		{home, "/~lighty/sub?a=b", 301, "http://host/~lighty/sub/?a=b"},
		{home, "/~lighty/sub/", 200, "lighty's sub\n"},
		{home, "/%7elighty/foo.html", 200, "lighty's foo\n"},
		{home, "/~lighty/../private", 404, ""},
		{home, "/~lighty/..%2fprivate", 404, ""},
		{home, "/~lighty/none", 404, ""},
		{home, "/~x/", 200, "x's page\n"},
		{home, "/~unknown/", 404, ""},
		{home, "/~unknown", 404, ""},
		{home, "/~homeless/", 404, ""},
		{home, "/~broken/", 500, ""},
		{home, "/~root/", 403, ""},
		{home, "/~toor/", 403, ""},
		{home, "/~eve/s", 403, ""}, // see below
		{home, "/~/", 404, ""},
		{home, "/~bad.name/foo.html", 200, "a file of the docroot\n"},
		{home, "/~../secret/s", 404, ""},
		{home, "/foo.html", 200, "front\n"},
		{home + `, set_status(200)`, "/~lighty/foo.html", 200, "lighty's foo\n"},
		{`userdir "public_html/"`, "/~lighty/foo.html", 200, "lighty's foo\n"},
		{web, "/~lighty/foo.html", 200, "web foo\n"},
		{web, "/~root/foo.html", 200, "root's foo\n"}, // only homes are kept from root, as in lighttpd2
		{web, "/~none/foo.html", 404, ""},
		{`userdir "@DIR@/web"`, "/~lighty/foo.html", 200, "web foo\n"},
		{`userdir "@DIR@/users/$1/$1$2/*/"`, "/~lighty/foo.html", 200, "letters\n"},
		{`userdir "@DIR@/users/$1/$1$2/*/"`, "/~x/foo.html", 200, "one letter\n"},
		{`userdir("public_html", { exclude = { "lighty", "y" } })`, "/~lighty/foo.html", 200, "left alone\n"},
		{`userdir("public_html", { exclude = { "y" } })`, "/~lighty/foo.html", 200, "lighty's foo\n"},
		{`userdir("public_html", { include = { "x" } })`, "/~lighty/foo.html", 200, "left alone\n"},
		{`userdir("public_html", { include = { "x" } })`, "/~x/", 200, "x's page\n"},
		{`userdir("public_html", { include = { "x" }, exclude = { "x" } })`, "/~x/", 404, ""},
		{`userdir("public_html", { include = { "x" } }), ` + web, "/~lighty/foo.html", 200, "web foo\n"},
	} {
		s := newUserdirSite(t, strings.ReplaceAll(c.call, ", set_status(200)", ""))
		if err := os.Symlink("../../secret", filepath.Join(s.dir, "home/eve/public_html")); err != nil {
			t.Fatal(err)
		}
		r := s.ask("GET", c.target)
		got := r.Body.String()
		if r.Code == 301 {
			got = r.Header().Get("Location")
		}
		if r.Code != c.status || c.body != "" && got != c.body || strings.Contains(got, "secret") {
			t.Errorf("%s: %s: %d %q, want %d %q\n%s", c.call, c.target, r.Code, got, c.status, c.body, s.log)
		}
	}
}

// What later actions see.
func TestUserdirMapping(t *testing.T) {
	s := newUserdirSite(t, `userdir "public_html"`)
	r := s.ask("GET", "/~lighty/foo.html")
	if root, path := r.Header().Get("X-Docroot"), r.Header().Get("X-Path"); root != s.dir+"/home/lighty/public_html/" || path != "/foo.html" {
		t.Errorf("%q %q", root, path)
	}
	// links of a user stay in the user's document root
	for name, target := range map[string]string{"up": "../private", "out": filepath.Join(s.dir, "secret/s"), "in": "foo.html"} {
		if err := os.Symlink(target, filepath.Join(s.dir, "home/lighty/public_html", name)); err != nil {
			t.Fatal(err)
		}
	}
	for target, want := range map[string]int{"/~lighty/up": 403, "/~lighty/out": 403, "/~lighty/in": 200} {
		if r := s.ask("GET", target); r.Code != want {
			t.Errorf("%s: %d, want %d", target, r.Code, want)
		}
	}
	// a link inside of the home is the user's own business
	if err := os.Rename(filepath.Join(s.dir, "home/x/public_html"), filepath.Join(s.dir, "home/x/site")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("site", filepath.Join(s.dir, "home/x/public_html")); err != nil {
		t.Fatal(err)
	}
	if r := s.ask("GET", "/~x/"); r.Code != 200 {
		t.Errorf("status %d", r.Code)
	}
}

// Users are looked up once in a while, and the memory for it is bounded.
func TestUserdirCache(t *testing.T) {
	s := newUserdirSite(t, `userdir "public_html"`)
	asked := 0
	inner := lookupUser
	lookupUser = func(name string) (*user.User, error) { asked++; return inner(name) }
	var answers []*httptest.ResponseRecorder
	for range 3 {
		answers = append(answers, s.ask("GET", "/~lighty/"), s.ask("GET", "/~unknown/"), s.ask("GET", "/~root/"))
	}
	if asked != 2 || answers[6].Code != 200 || answers[7].Code != 404 || answers[8].Code != 403 {
		t.Errorf("%d lookups, %d %d %d", asked, answers[6].Code, answers[7].Code, answers[8].Code)
	}
	var h homes
	for i := range 3 * maxHomes {
		if _, err := h.find(fmt.Sprint("user", i)); err != nil || len(h.known) > maxHomes {
			t.Fatalf("%d homes, %v", len(h.known), err)
		}
	}
}

func TestUserdirErrors(t *testing.T) {
	for call, want := range map[string]string{
		`userdir ""`:                         `userdir: path: the path is empty`,
		`userdir "../x"`:                     `userdir: path: "../x" leads upwards or has control characters`,
		`userdir(1)`:                         `userdir: path: expected a string, got a number`,
		`userdir()`:                          `userdir: path is missing; expected userdir(path, [options])`,
		`userdir("x", { allow = { "y" } })`:  `userdir: unknown option "allow"; expected one of exclude, include`,
		`userdir("x", { include = "y" })`:    `userdir: include: expected a list of strings, got "y"`,
		`userdir("x", { exclude = { 1 } })`:  `userdir: exclude: expected a list of strings, got {1}`,
		`userdir("x", { include = { "" } })`: `userdir: include: an entry is empty`,
	} {
		if _, err := loadStatic(t, `actions = { `+call+` }`, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", call, err, want)
		}
	}
}
