package bindings

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"luaserve/runtime"
)

// guardSite is a script that is asked without a network.
type guardSite struct {
	*runtime.Program
	dir string
	log *bytes.Buffer
}

// loadGuard loads a script in which @DIR@ stands for the directory of the files.
func loadGuard(t testing.TB, script string, files map[string]string, more ...*runtime.Module) (*guardSite, error) {
	t.Helper()
	s := &guardSite{dir: t.TempDir(), log: &bytes.Buffer{}}
	for name, text := range files {
		s.write(t, name, text)
	}
	s.write(t, "site.lua", strings.ReplaceAll(script, "@DIR@", s.dir))
	p, err := runtime.Load(filepath.Join(s.dir, "site.lua"), runtime.Config{
		Modules: append(Modules(), more...),
		Log:     slog.New(slog.NewTextHandler(s.log, nil)),
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { p.Close() })
	s.Program = p
	return s, nil
}

func newGuard(t testing.TB, script string, files map[string]string, more ...*runtime.Module) *guardSite {
	t.Helper()
	s, err := loadGuard(t, script, files, more...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *guardSite) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get asks for a target; header holds names and values in turn.
func (s *guardSite) get(target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "http://host/", nil)
	r.RequestURI = target
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// basic makes an Authorization field.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// authScript answers with who is logged in.
func authScript(action, options string) string {
	return `actions = { auth.` + action + ` { realm = "r", file = "@DIR@/users", ` + options + ` }, respond "%{req.env[REMOTE_USER]} %{req.env[AUTH_TYPE]}" }`
}

func TestAuthErrors(t *testing.T) {
	files := map[string]string{"users": "alice:secret\n", "broken": "alice:secret\n\nbob\n", "noRealm": "alice:x\n",
		"mixed": "alice:r:" + strings.Repeat("0", 32) + "\nbob:r:" + strings.Repeat("0", 64) + "\n"}
	for _, tt := range []struct{ call, want string }{
		{`auth.plain "x"`, "site.lua:1: auth.plain: options: expected a key-value list, got a string"},
		{`auth.plain()`, `auth.plain: the option "method" is missing`},
		{`auth.plain { method = "basic", realm = "r" }`, `the option "file" is missing; expected the file of the users`},
		{`auth.plain { method = "basic", file = "@DIR@/users" }`, `the option "realm" is missing`},
		{`auth.plain { realm = "r", file = "@DIR@/users" }`, `the option "method" is missing`},
		{`auth.plain { method = "x", realm = "r", file = "@DIR@/users" }`, `unknown method "x"; expected "basic" or "digest"`},
		{`auth.plain { method = "Basic", realm = "r", file = "@DIR@/users" }`, `unknown method "Basic"`},
		{`auth.plain { method = "basic", realm = 3, file = "@DIR@/users" }`, "realm: expected a string, got 3"},
		{`auth.plain { method = "basic", realm = "a\nb", file = "@DIR@/users" }`, "control character"},
		{`auth.plain { method = "basic", realm = "r", file = "@DIR@/users", foo = 1 }`, `unknown option "foo"; expected one of method, realm, file, ttl`},
		{`auth.plain { { "method", "basic" }, { "method", "basic" } }`, `the option "method" is given twice`},
		{`auth.plain { method = "basic", realm = "r", file = "@DIR@/users", ttl = -1 }`, "ttl: expected a number of seconds, 0 or more, got -1"},
		{`auth.plain { method = "basic", realm = "r", file = "@DIR@/users", ttl = "1" }`, `ttl: expected a number of seconds, 0 or more, got "1"`},
		{`auth.plain { method = "basic", realm = "r", file = "@DIR@/users", ttl = 0/0 }`, "ttl: expected"},
		{`auth.plain { method = "basic", realm = "r", file = "@DIR@/none" }`, "none: no such file or directory"},
		{`auth.plain { method = "basic", realm = "r", file = "@DIR@" }`, "is a directory"},
		{`auth.plain { method = "basic", realm = "r", file = "@DIR@/broken" }`, `broken: line 3: expected a user name and ":"`},
		{`auth.htpasswd { method = "basic", realm = "r", file = "@DIR@/broken" }`, `broken: line 3: expected`},
		{`auth.htdigest { method = "basic", realm = "r", file = "@DIR@/noRealm" }`, `line 1: expected ":" between realm and digest`},
		{`auth.htpasswd { method = "digest", realm = "r", file = "@DIR@/users" }`, "a htpasswd file has neither; use auth.htdigest"},
		{`auth.htdigest { method = "digest", realm = "r", file = "@DIR@/mixed" }`, "mixed: some users of the realm have MD5 digests only"},
		{`auth.deny("x")`, "auth.deny"},
	} {
		_, err := loadGuard(t, "actions = "+tt.call, files)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.call, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows a password: %v", tt.call, err)
		}
	}
	for _, ok := range []string{`ttl = 0`, `ttl = 0.5`, `ttl = 1e300`} {
		if _, err := loadGuard(t, authScript("plain", `method = "basic", `+ok), files); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
}

const authPlainFile = "\nalice:secret\r\nbob:b:with:colon\n\nempty:\n#comment:x\nspace : s\ntwice:1\ntwice:2\n:nobody\nlast:l"

func TestAuthBasic(t *testing.T) {
	s := newGuard(t, authScript("plain", `method = "basic"`), map[string]string{"users": authPlainFile})
	for _, tt := range []struct{ name, authorization, user string }{
		{"none", "", ""},
		{"right", basic("alice", "secret"), "alice"},
		{"wrong", basic("alice", "secre"), ""},
		{"longer", basic("alice", "secret "), ""},
		{"NUL behind", basic("alice", "secret\x00"), ""},
		{"nobody", basic("carol", "secret"), ""},
		{"case of the name", basic("Alice", "secret"), ""},
		{"colons", basic("bob", "b:with:colon"), "bob"},
		{"colon, cut", basic("bob", "b"), ""},
		{"empty password", basic("empty", ""), "empty"},
		{"not the empty password", basic("empty", "x"), ""},
		{"no comment", basic("#comment", "x"), "#comment"},
		{"blanks count", basic("space ", " s"), "space "},
		{"blanks count for the name", basic("space", "s"), ""},
		{"the last line of a name", basic("twice", "2"), "twice"},
		{"not the first line of a name", basic("twice", "1"), ""},
		{"no name", basic("", "nobody"), ""},
		{"without a line end", basic("last", "l"), "last"},
		{"case of the scheme", "bAsIc" + basic("alice", "secret")[5:], "alice"},
		{"blanks around", "Basic   " + basic("alice", "secret")[6:] + " ", "alice"},
		{"no padding", strings.TrimRight(basic("last", "l"), "="), "last"},
		{"no colon", "Basic " + base64.StdEncoding.EncodeToString([]byte("alice")), ""},
		{"no base64", "Basic alice:secret", ""},
		{"nothing", "Basic ", ""},
		{"only the scheme", "Basic", ""},
		{"another scheme", "Bearer " + basic("alice", "secret")[6:], ""},
		{"two", basic("alice", "secret") + ", " + basic("alice", "secret"), ""},
	} {
		var header []string
		if tt.authorization != "" {
			header = []string{"Authorization", tt.authorization, "Remote-User", "root", "Remote_User", "root"}
		}
		w := s.get("/", header...)
		status, body := 200, tt.user+" Basic"
		if tt.user == "" {
			status, body = 401, w.Body.String()
		}
		if w.Code != status || w.Body.String() != body {
			t.Errorf("%s: %d %q, want %d %q", tt.name, w.Code, w.Body, status, body)
		}
		if got := rawFields(w.Header(), "WWW-Authenticate"); !slices.Equal(got, []string{`Basic realm="r"`}) {
			t.Errorf("%s: WWW-Authenticate: %q", tt.name, got)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://host/", nil)
	r.Header["Authorization"] = []string{basic("alice", "secret"), basic("alice", "secret")}
	if s.ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("two fields: %d", w.Code)
	}
	if strings.Contains(s.log.String(), "secret") || !strings.Contains(s.log.String(), "line 10: an empty user name is ignored") {
		t.Errorf("log: %s", s.log)
	}
}

func TestAuthInList(t *testing.T) {
	const plain = `auth.plain { method = "basic", realm = "r", file = "@DIR@/users" }`
	who := `, respond "%{req.env[REMOTE_USER]} %{req.env[AUTH_TYPE]}" }`
	for _, tt := range []struct{ name, script, header, want string }{
		{"answered already", `{ respond "early", ` + plain + ` }`, "", "200 early"},
		{"the list goes on behind a 401", `{ ` + plain + `, header.add("X-After", "1") }`, "", "401"},
		{"what was in the environment is gone", `{ env.set("REMOTE_USER", "root"), ` + plain + `, function(vr) vr.resp.status = 418; vr.out:add(tostring(vr.env.REMOTE_USER)) end }`, "", "418 nil"},
		{"a wrong login after a right one", `{ ` + plain + `, auth.plain { method = "basic", realm = "s", file = "@DIR@/others" }, function(vr) vr.resp.status = 418; vr.out:add(tostring(vr.env.REMOTE_USER)) end }`, basic("alice", "secret"), "418 nil"},
		{"the header cannot set it", `{ when(request.environment["REMOTE_USER"]:eq "alice", { respond "in" }), auth.deny() }`, basic("alice", "secret"), "403"},
		{"deny", `{ auth.deny() }`, "", "403"},
		{"deny, answered already", `{ respond "early", auth.deny() }`, "", "200 early"},
		{"by name", `{ ` + plain + `, when(request.environment["REMOTE_USER"]:ne "bob", { auth.deny() })` + who, basic("alice", "secret"), "403"},
		{"the other name", `{ ` + plain + `, when(request.environment["REMOTE_USER"]:ne "bob", { auth.deny() })` + who, basic("bob", "b"), "200 bob Basic"},
		{"only some paths", `{ when(request.path:prefix "/private/", { ` + plain + ` }), respond "open" }`, "", "200 open"},
		{"made in a handler", `{ function(vr) return vr:enter_action(action.` + plain + `) end` + who, basic("bob", "b"), "200 bob Basic"},
	} {
		s := newGuard(t, "actions = "+tt.script, map[string]string{"users": "alice:secret\nbob:b\n", "others": "carol:c\n"})
		w := s.get("/", "Authorization", tt.header)
		got := fmt.Sprint(w.Code)
		if !strings.HasPrefix(w.Body.String(), "<") && w.Body.Len() > 0 {
			got += " " + w.Body.String()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q\n%s", tt.name, got, tt.want, s.log)
		}
	}
}

func TestAuthRealmIsQuoted(t *testing.T) {
	s := newGuard(t, `actions = { auth.plain { method = "basic", realm = 'a "b" \\ ü', file = "@DIR@/users" } }`, map[string]string{"users": ""})
	if got, want := rawFields(s.get("/").Header(), "WWW-Authenticate"), `Basic realm="a \"b\" \\ ü"`; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAuthDebug(t *testing.T) {
	s := newGuard(t, "setup.auth.debug(true)\n"+authScript("plain", `method = "basic"`), map[string]string{"users": "alice:secret\n"})
	s.get("/", "Authorization", basic("alice", "guess"))
	s.get("/", "Authorization", basic("alice", "secret"))
	s.get("/")
	for _, want := range []string{`user=alice reason="unknown user or wrong password"`, `msg="auth: logged in" realm=r user=alice`, "there is no login of this method"} {
		if !strings.Contains(s.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, s.log)
		}
	}
	if log := s.log.String(); strings.Contains(log, "guess") || strings.Contains(log, "secret") {
		t.Errorf("the log shows passwords:\n%s", log)
	}
}

func TestAuthHtdigestBasic(t *testing.T) {
	md5Of, sha := &digestAlgorithms[1], &digestAlgorithms[0]
	s := newGuard(t, strings.Replace(authScript("htdigest", `method = "basic"`), `"r"`, `"my: realm"`, 1), map[string]string{"users": strings.Join([]string{
		"alice:my: realm:" + md5Of.hex("alice", "my: realm", "secret"),
		"alice:other:" + md5Of.hex("alice", "other", "elsewhere"),
		"carl:my: realm:" + strings.ToUpper(sha.hex("carl", "my: realm", "secret")),
		"both:my: realm:" + md5Of.hex("both", "my: realm", "secret"),
		"both:my: realm:" + sha.hex("both", "my: realm", "secret"),
		"other:other:" + md5Of.hex("other", "other", "secret"),
		"prefix:my:" + md5Of.hex("prefix", "my", "secret"),
		"short:my: realm:abc", "locked:my: realm:!", ""}, "\n")})
	for user, want := range map[string]int{"alice": 200, "carl": 200, "both": 200, "other": 401, "prefix": 401, "short": 401, "locked": 401, "none": 401} {
		if got := s.get("/", "Authorization", basic(user, "secret")).Code; got != want {
			t.Errorf("%s: %d, want %d", user, got, want)
		}
		for _, wrong := range []string{"", "elsewhere"} {
			if got := s.get("/", "Authorization", basic(user, wrong)).Code; got != 401 {
				t.Errorf("%s, wrong password: %d", user, got)
			}
		}
	}
	if !strings.Contains(s.log.String(), `line 8: \"short\" cannot log in`) || strings.Contains(s.log.String(), "locked") {
		t.Errorf("log: %s", s.log)
	}
}

func TestAuthFileIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newGuard(t, authScript("plain", `method = "basic"`), map[string]string{"users": "alice:1\n"})
		never := newGuard(t, authScript("plain", `method = "basic", ttl = 0`), map[string]string{"users": "alice:1\n"})
		path := filepath.Join(s.dir, "users")
		remove := func() { os.Remove(path) }
		for i, step := range []struct {
			change   func()
			after    time.Duration
			password string // the one that is right then
			log      string
		}{
			{func() {}, 0, "1", ""},
			{func() { s.write(t, "users", "alice:2\n") }, 9 * time.Second, "1", ""},
			{func() {}, time.Second, "2", "the users were read again"},
			{remove, 10 * time.Second, "2", "no such file or directory"},
			{func() {}, 10 * time.Second, "2", ""},
			{func() { s.write(t, "users", "alice") }, 10 * time.Second, "2", `users: line 1: expected a user name`},
			{func() { s.write(t, "users", "alice:2\n") }, 10 * time.Second, "2", ""},
			{remove, 10 * time.Second, "2", "no such file or directory"},
			{func() { s.write(t, "users", "alice:3\n") }, 10 * time.Second, "3", "the users were read again"},
			{func() { s.write(t, "users", "bob:3\n") }, 10 * time.Second, "", "the users were read again"},
		} {
			s.log.Reset()
			step.change()
			time.Sleep(step.after)
			for _, password := range []string{"1", "2", "3"} {
				want := 401
				if password == step.password {
					want = 200
				}
				if got := s.get("/", "Authorization", basic("alice", password)).Code; got != want {
					t.Errorf("step %d: %s: %d, want %d", i, password, got, want)
				}
			}
			if log := s.log.String(); step.log == "" && log != "" || strings.Count(log, step.log) != 1 && step.log != "" {
				t.Errorf("step %d: the log is %q, want %q once", i, log, step.log)
			}
		}
		never.write(t, "users", "alice:2\n")
		time.Sleep(time.Hour)
		if got := never.get("/", "Authorization", basic("alice", "1")).Code; got != 200 {
			t.Errorf("ttl 0: %d", got)
		}
	})
}

// Requests while the file changes all the time: each sees the old users or the new ones.
func TestAuthReadAgainConcurrently(t *testing.T) {
	s := newGuard(t, authScript("htpasswd", `method = "basic", ttl = 0.001`), map[string]string{"users": "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Authorization", basic("alice", "secret"))
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, r); w.Code != 200 {
					t.Errorf("%d", w.Code)
					return
				}
			}
		})
	}
	for i := range 50 {
		path := filepath.Join(s.dir, "users")
		os.WriteFile(path+".new", fmt.Appendf(nil, "alice:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nu%d:x\n", i), 0o600)
		os.Rename(path+".new", path)
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
}

func FuzzAuthBasic(f *testing.F) {
	for _, s := range []string{basic("alice", "secret")[6:], "", "YQ==", "YTpi", "=", "YTpi ,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		user, password, ok := basicCredentials(text)
		if !ok {
			return
		}
		if u, p, ok := basicCredentials(basic(user, password)[6:]); !ok || u != user || p != password || strings.Contains(user, ":") {
			t.Errorf("%q: %q %q, read again %q %q %v", text, user, password, u, p, ok)
		}
	})
}

func FuzzAuthFiles(f *testing.F) {
	f.Add(authPlainFile, "alice", "secret")
	f.Add("alice:r:"+strings.Repeat("ab", 16)+"\nbob:r:"+strings.Repeat("AB", 32), "alice", "x")
	f.Add("a:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\nb:abNANd1rDfiNc\nc:$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "a", "secret")
	f.Add("a:$5$rounds=1000$x$"+strings.Repeat("x", 43)+"\nb:$apr1$$"+strings.Repeat(".", 22)+"\nc:$2y$04$\nd:$6$rounds=x$y$z", "b", "")
	f.Fuzz(func(t *testing.T, text, name, password string) {
		if strings.Contains(text, "$2") || strings.Contains(text, "$y$") || strings.Contains(text, "rounds=") {
			return // slow when they are right
		}
		for _, parse := range []parseUsers{parsePlain, parseHtpasswd, parseHtdigest, withCommonDigest(parseHtdigest)} {
			u, err := parse(text, "r")
			if err != nil {
				continue
			}
			u.verify(t.Context, name, password)
			if _, known := u.find(""); known {
				t.Errorf("%q: an account without a name", text)
			}
		}
	})
}

// rawFields reads fields by the name as it was written: net/http would look for
// Www-Authenticate.
func rawFields(h http.Header, name string) []string { return h[name] }
