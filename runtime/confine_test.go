package runtime_test

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
)

// guestDir makes a directory for untrusted code, "in", and beside it what the code must not
// reach: the directory "site" with the file "secret". In "in" is "www" with the file "public",
// and links that lead out.
func guestDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "guest") // short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, err := range []error{
		os.MkdirAll(dir+"/in/www/sub", 0o700), os.MkdirAll(dir+"/site/sub", 0o700), os.Mkdir(dir+"/in-site", 0o700),
		os.WriteFile(dir+"/in/www/public", []byte("public"), 0o600),
		os.WriteFile(dir+"/site/secret", []byte("secret"), 0o600),
		os.WriteFile(dir+"/site/users", []byte("alice:secret\n"), 0o600),
		os.WriteFile(dir+"/site/code.lua", []byte(`actions = respond "secret"`), 0o600),
		os.WriteFile(dir+"/in/code.lua", []byte(`actions = respond "own code"`), 0o600),
		os.WriteFile(dir+"/in-site/secret", []byte("secret"), 0o600),
		os.Symlink("../site", dir+"/in/out"),
		os.Symlink(dir+"/site", dir+"/in/abs"),
		os.Symlink("../../site/secret", dir+"/in/www/secret"),
		os.Symlink("../code.lua", dir+"/in/www/outside-docroot"),
		os.Symlink("../site/s.sock", dir+"/in/l.sock"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/in/s.sock", "/site/s.sock"} {
		l, err := net.Listen("unix", dir+name)
		if err != nil {
			t.Fatal(err)
		}
		backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "backend of "+strings.Split(name, "/")[1])
		})}
		go backend.Serve(l)
		t.Cleanup(func() { backend.Close() })
	}
	return dir
}

// guest is a site that runs a file of somebody else at a level.
func guest(t *testing.T, dir, level string, allow []string, code string) *site {
	t.Helper()
	file := filepath.Join(t.TempDir(), "guest.lua")
	if err := os.WriteFile(file, []byte(say+strings.ReplaceAll(code, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("sandbox = %q", level)
	if level == "untrusted" {
		options += fmt.Sprintf(`, root = "%s/in", allow = { "%s" }`, dir, strings.Join(allow, `", "`))
	}
	log := &logBuffer{}
	p, err := runtime.Load(writeScript(t, fmt.Sprintf("actions = { lua.handler(%q, { %s }), static() }", file, options)),
		runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return &site{p, log}
}

// TestAllowedPathsAreConfined allows untrusted code what takes paths: they lie in its directory
// all the same, links resolved. In the columns are the status and the body, or a part of the
// log, of each level. The path of the request is /public, unless the row has another.
func TestAllowedPathsAreConfined(t *testing.T) {
	const (
		public, secret = "200 public", "200 secret"
		outside        = "it is outside of the directory that the script is confined to: DIR/in"
	)
	any := func(want string) [3]string { return [3]string{want, want, want} }
	but := func(want, untrusted string) [3]string { return [3]string{want, want, untrusted} }
	for _, tt := range []struct {
		allow, path, code string
		want              [3]string
	}{
		{"docroot", "/public", `actions = docroot "DIR/in/www"`, any(public)},
		{"docroot", "/secret", `actions = docroot "DIR/site"`, but(secret, outside)},
		{"docroot", "/secret", `actions = docroot "DIR/in/../site"`, but("400", outside)},
		{"docroot", "/secret", `actions = docroot "DIR/in/out"`, but(secret, outside)},
		{"docroot", "/secret", `actions = docroot "DIR/in/abs"`, but(secret, outside)},
		{"docroot", "/secret", `actions = docroot "DIR/in-site"`, but(secret, outside)},
		{"docroot", "/secret", `actions = docroot "/"`, but("404", outside)},
		{"docroot", "/secret", `actions = docroot "site"`, but("404", "expected an absolute path")},
		{"docroot", "/secret", `actions = docroot("DIR/in/none", "DIR/site")`, but(secret, outside)},
		{"docroot", "/secret", `actions = docroot "DIR/in/www"`, any("403")}, // a link out of the document root
		{"docroot", "/out/secret", `actions = docroot "DIR/in"`, any("403")},
		{"docroot", "/abs/secret", `actions = docroot "DIR/in"`, any("403")},
		{"docroot", "/outside-docroot", `actions = docroot "DIR/in/www"`, any("403")}, // though within the directory of the script
		{"docroot", "/public", `actions = docroot "DIR/%{req.query}/www"`, any(public)},
		{"docroot", "/secret", `actions = docroot "DIR/%{req.header[Site]}"`, but(secret, outside)},
		{"docroot", "/public", `actions = docroot "DIR/in%{req.header[X]}/www"`, any(public)},
		{"docroot", "/secret", `actions = docroot "DIR/in%{req.header[Sibling]}"`, but(secret, outside)},
		{"docroot", "/public", `actions = docroot "DIR/in/%{req.header[Dir]}"`, any(public)},
		{"docroot", "/secret", `actions = docroot "DIR/in/%{req.header[Link]}"`, but(secret, outside)},
		{"docroot", "/secret", `actions = docroot "%{req.header[Root]}"`, but(secret, outside)},
		{"docroot", "/public", `actions = function(vr) vr:enter_action(action.docroot("DIR/in/www")) end`, any(public)},
		{"docroot", "/secret", `actions = function(vr) vr:enter_action(action.docroot("DIR/site")) end`, but(secret, outside)},
		{"alias", "/a/secret", `actions = alias { ["/a"] = "DIR/site" }`, but(secret, outside)},
		{"alias", "/a/secret", `actions = alias { ["/a"] = "DIR/in/%{req.header[Link]}" }`, but(secret, outside)},
		{"alias", "/a/public", `actions = alias { ["/a"] = "DIR/in/www" }`, any(public)},
		{"userdir", "/~site/secret", `actions = userdir "DIR/*"`, but(secret, outside)},
		{"userdir", "/~www/public", `actions = userdir "DIR/in/*"`, any(public)},
		{"userdir", "/~out/secret", `actions = userdir "DIR/in/*"`, but(secret, outside)},
		{"userdir", "/~root/x", `actions = userdir "public_html"`, any("403")},
		{"vr.phys", "/", `actions = function(vr) vr.phys.doc_root = "DIR/site" vr.phys.path = "DIR/site/secret" end`, but(secret, outside)},
		{"vr.phys", "/", `actions = function(vr) vr.phys.path = "DIR/site/secret" end`, but(secret, outside)},
		{"vr.phys", "/", `actions = function(vr) vr.phys.path = "DIR/in/out/secret" end`, but(secret, outside)},
		{"vr.phys", "/", `actions = function(vr) vr.phys.path = "DIR/in/www/public" end`, any(public)},
		{"vr.phys", "/", `actions = function(vr) vr.phys.doc_root = "DIR/in/www" vr.phys.path = "DIR/in/www/secret" end`, but("403", outside)},

		// what is looked at must not tell of files outside either
		{"docroot", "/secret", `actions = { docroot "DIR/in/out", when(physical.exists, respond "exists", respond "missing") }`, but("200 exists", outside)},
		{"docroot", "/out/secret", `actions = { docroot "DIR/in", when(physical.exists, respond "exists", respond "missing") }`, but("200 exists", "200 missing")},
		{"docroot", "/out/sub", `actions = { docroot "DIR/in", when(physical.is_dir, respond "exists", respond "missing") }`, but("200 exists", "200 missing")},

		{"fastcgi", "/", `actions = fastcgi { socket = "unix:DIR/site/s.sock", read_timeout = 0.2 }`, but("504", outside)},
		{"scgi", "/", `actions = scgi { socket = "unix:DIR/site/s.sock", read_timeout = 0.2 }`, but("504", outside)},
		{"proxy", "/", `actions = proxy "unix:DIR/in/s.sock"`, any("200 backend of in")},
		{"proxy", "/", `actions = proxy "unix:DIR/site/s.sock"`, but("200 backend of site", outside)},
		{"proxy", "/", `actions = proxy { socket = "unix:DIR/site/s.sock" }`, but("200 backend of site", outside)},
		{"proxy", "/", `actions = proxy "unix:DIR/in/out/s.sock"`, but("200 backend of site", outside)},
		{"proxy", "/", `actions = proxy "unix:DIR/in/l.sock"`, but("200 backend of site", outside)},
		{"proxy", "/", `actions = function(vr) vr:enter_action(action.proxy("unix:DIR/site/s.sock")) end`, but("200 backend of site", outside)},
		{"memcached", "/", `actions = { memcached.lookup { server = "unix:DIR/site/s.sock" }, respond "asked" }`, but("200 asked", outside)},
		{"memcached", "/", `actions = function(vr) memcached.new("unix:DIR/site/s.sock") say(vr, "made") end`, but("200 made", outside)},

		{"auth", "/", `actions = { auth.plain { method = "basic", realm = "x", file = "DIR/site/users" } }`, but("401", outside)},
		{"cache", "/", `actions = { respond "kept", cache.disk.etag "DIR/site/new" }`, but("200 kept", outside)},
		{"accesslog", "/", `actions = { action.accesslog("DIR/site/new.log"), respond "logged" }`, but("200 logged", outside)},
		{"log", "/", `actions = { action.log { default = "DIR/site/new.log" }, respond "logged" }`, but("200 logged", outside)},
		{"lua.handler", "/", `actions = lua.handler "DIR/site/code.lua"`, but("200 secret", outside)},
		{"lua.handler", "/", `actions = lua.handler "DIR/in/out/code.lua"`, but("200 secret", outside)},
		{"lua.handler", "/", `actions = lua.handler("DIR/in/code.lua", { sandbox = "trusted" })`, [3]string{"200 own code", "cannot give", "hands on what it may do, and nothing else"}},
		{"lua.handler", "/", `actions = lua.handler("DIR/in/code.lua", { allow = { "os.execute" } })`, [3]string{"200 own code", "cannot allow os.execute", "hands on what it may do, and nothing else"}},
		{"lua.handler", "/", `actions = lua.handler "DIR/in/code.lua"`, any("200 own code")},
	} {
		t.Run(tt.allow+" "+tt.code, func(t *testing.T) {
			dir := guestDir(t)
			for i, level := range levels {
				s := guest(t, dir, level, []string{tt.allow}, tt.code)
				r := httptest.NewRequest("GET", "http://host"+tt.path+"?in", nil)
				for name, value := range map[string]string{"Dir": "www", "Link": "out", "Site": "site", "Sibling": "-site", "Root": dir + "/site"} {
					r.Header.Set(name, value)
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				got := fmt.Sprintf("%d %s", w.Code, w.Body)
				want := strings.ReplaceAll(tt.want[i], "DIR", dir)
				if !strings.HasPrefix(got, want) && (w.Code < 400 || !strings.Contains(s.log.String(), want)) {
					t.Errorf("%s: %.100q, want %q\n%s", level, got, want, s.log)
				}
				if _, err := os.Stat(dir + "/site/new.log"); err == nil && level == "untrusted" {
					t.Error("a file was made outside")
				}
				os.Remove(dir + "/site/new.log")
			}
		})
	}
}

// A link that is put in the way when the script is loaded and has been checked leads nowhere.
func TestConfinedPathsFollowNoNewLinks(t *testing.T) {
	for name, tt := range map[string]struct {
		allow      []string
		code, path string
		before     int
	}{
		"docroot":           {[]string{"docroot"}, `actions = docroot "DIR/in/www"`, "/secret", 403},
		"socket":            {[]string{"proxy"}, `actions = proxy "unix:DIR/in/www/s.sock"`, "/", 503},
		"handler file":      {[]string{"lua.handler"}, `actions = lua.handler("DIR/in/www/code.lua", { ttl = 1 })`, "/", 500},
		"users":             {[]string{"auth"}, `actions = { auth.plain { method = "basic", realm = "x", file = "DIR/in/www/users", ttl = 1 }, respond(200, "in") }`, "/", 401},
		"physical.path":     {[]string{"vr.phys"}, `actions = function(vr) vr.phys.path = "DIR/in/www/secret2" end`, "/", 404},
		"the compressed":    {[]string{"cache"}, `actions = { respond "kept", header.add("ETag", "x"), cache.disk.etag "DIR/in/www/cache" }`, "/", 200},
		"the document root": {[]string{"docroot"}, `actions = { docroot "DIR/in/%{req.header[Dir]}" }`, "/secret", 403},
	} {
		t.Run(name, func(t *testing.T) {
			dir := guestDir(t)
			if name == "users" {
				if err := os.WriteFile(dir+"/in/www/users", []byte("bob:x\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s := guest(t, dir, "untrusted", tt.allow, tt.code)
			ask := func() (int, string) {
				r := httptest.NewRequest("GET", "http://host"+tt.path, nil)
				r.Header.Set("Dir", "www")
				r.SetBasicAuth("alice", "secret")
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				return w.Code, w.Body.String()
			}
			if status, body := ask(); status != tt.before {
				t.Fatalf("before: %d %q\n%s", status, body, s.log)
			}
			if err := os.Rename(dir+"/in/www", dir+"/in/away"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../site", dir+"/in/www"); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"secret2"} {
				if err := os.WriteFile(dir+"/site/"+name, []byte("secret"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if status, body := ask(); strings.Contains(body, "secret") || strings.Contains(body, "backend of site") || status == 200 && body != "kept" {
				t.Errorf("the link was followed: %d %q", status, body)
			}
			if _, err := os.Stat(dir + "/site/cache"); err == nil {
				t.Error("something was written outside")
			}
		})
	}
}

// The document root is swapped with a link that leads out as fast as it goes, between the look
// at it and the opening too.
func TestConfinedDocrootSwapRace(t *testing.T) {
	dir := guestDir(t)
	for name, text := range map[string]string{"/in/www/f": "public", "/site/f": "secret"} {
		if err := os.WriteFile(dir+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := guest(t, dir, "untrusted", []string{"docroot"}, `actions = docroot "DIR/in/%{req.header[Dir]}"`)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			os.Symlink([]string{"www", "../site"}[i%2], dir+"/in/d.new")
			os.Rename(dir+"/in/d.new", dir+"/in/d")
		}
	}()
	seen := map[string]int{}
	for range 5000 {
		r := httptest.NewRequest("GET", "http://host/f", nil)
		r.Header.Set("Dir", "d")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		what := fmt.Sprint(w.Code)
		if w.Code == 200 {
			what = w.Body.String()
		}
		seen[what]++
	}
	close(stop)
	<-stopped
	if seen["secret"] > 0 || seen["public"] == 0 || seen["403"] == 0 {
		t.Errorf("answers: %v", seen)
	}
}
