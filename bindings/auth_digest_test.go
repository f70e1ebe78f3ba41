package bindings

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The examples of RFC 7616, 3.9.1, and the one of RFC 2617, 3.5, as in RFC 7616's errata.
func TestDigestVectors(t *testing.T) {
	const nonce, cnonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	for _, tt := range []struct{ user, realm, password, algorithm, nonce, cnonce, uri, want string }{
		{"Mufasa", "http-auth@example.org", "Circle of Life", "SHA-256", nonce, cnonce, "/dir/index.html", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"},
		{"Mufasa", "http-auth@example.org", "Circle of Life", "MD5", nonce, cnonce, "/dir/index.html", "8ca523f5e9506fed4657c9700eebdbec"},
		{"Mufasa", "testrealm@host.com", "Circle Of Life", "", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b", "/dir/index.html", "6629fae49393a05397450978507c4ef1"},
	} {
		u, err := withCommonDigest(parsePlain)(tt.user+":"+tt.password, tt.realm)
		if err != nil {
			t.Fatal(err)
		}
		params := map[string]string{"algorithm": tt.algorithm, "nonce": tt.nonce, "cnonce": tt.cnonce, "nc": "00000001", "qop": "auth", "uri": tt.uri, "response": tt.want}
		if !u.verifyDigest(tt.user, "GET", params) {
			t.Errorf("%s %s: the response is refused", tt.algorithm, tt.nonce)
		}
		if u.verifyDigest(tt.user, "HEAD", params) || u.verifyDigest("Scar", "GET", params) {
			t.Errorf("%s %s: accepted for another method or user", tt.algorithm, tt.nonce)
		}
	}
}

// digestChallenges asks without a login and returns the challenges by their algorithm.
func digestChallenges(t *testing.T, s *guardSite) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{}
	for _, field := range rawFields(s.get("/").Header(), "WWW-Authenticate") {
		rest, ok := strings.CutPrefix(field, "Digest ")
		params, parsed := authParams(rest)
		if !ok || !parsed {
			t.Fatalf("challenge %q", field)
		}
		out[params["algorithm"]] = params
	}
	return out
}

// digestLogin makes an Authorization field of a challenge; change may change its parameters
// before the response is made, the empty value takes one away.
func digestLogin(challenge map[string]string, user, password, target string, change map[string]string) string {
	alg := &digestAlgorithms[slices.IndexFunc(digestAlgorithms[:], func(a digestAlgorithm) bool { return a.name == challenge["algorithm"] })]
	p := map[string]string{"username": user, "realm": challenge["realm"], "nonce": challenge["nonce"], "uri": target,
		"algorithm": challenge["algorithm"], "qop": "auth", "nc": "00000001", "cnonce": "abc"}
	maps.Copy(p, change)
	if _, given := change["response"]; !given {
		p["response"] = alg.hex(alg.hex(user, p["realm"], password), p["nonce"], p["nc"], p["cnonce"], p["qop"], alg.hex("GET", p["uri"]))
	}
	var parts []string
	for name, value := range p {
		switch {
		case value == "":
		case name == "qop" || name == "nc" || name == "algorithm":
			parts = append(parts, name+"="+value)
		default:
			parts = append(parts, name+"="+quoted(value))
		}
	}
	return "Digest " + strings.Join(parts, ", ")
}

func TestAuthDigest(t *testing.T) {
	s := newGuard(t, authScript("plain", `method = "digest"`), map[string]string{"users": "alice:secret\nJäsøn \"J\":x\n"})
	type changes = map[string]string
	challenges := digestChallenges(t, s)
	if len(challenges) != 2 {
		t.Fatalf("challenges: %v", challenges)
	}
	for alg, challenge := range challenges {
		if challenge["realm"] != "r" || challenge["qop"] != "auth" || challenge["charset"] != "UTF-8" || challenge["stale"] != "" || challenge["nonce"] == "" {
			t.Errorf("challenge: %v", challenge)
		}
		other := map[string]string{"MD5": "SHA-256", "SHA-256": "MD5"}[alg]
		for _, tt := range []struct {
			name, user, password, target string
			change                       changes
			want                         string
		}{
			{"right", "alice", "secret", "/a%20b?c=d,e", nil, "alice Digest"},
			{"again, with another count", "alice", "secret", "/", changes{"nc": "0000000f"}, "alice Digest"},
			{"special characters", `Jäsøn "J"`, "x", "/", nil, `Jäsøn "J" Digest`},
			{"the extended form", `Jäsøn "J"`, "x", "/", changes{"username": "", "username*": "utf-8'en'J%C3%A4s%C3%B8n%20%22J%22"}, `Jäsøn "J" Digest`},
			{"both forms", "alice", "secret", "/", changes{"username*": "UTF-8''alice"}, ""},
			{"a broken extended form", "alice", "secret", "/", changes{"username": "", "username*": "UTF-8'alice"}, ""},
			{"another charset", "alice", "secret", "/", changes{"username": "", "username*": "ISO-8859-1''alice"}, ""},
			{"a hashed name", "alice", "secret", "/", changes{"userhash": "true"}, ""},
			{"absolute", "alice", "secret", "/x?y", changes{"uri": "http://host/x?y"}, "alice Digest"},
			{"absolute, without a path", "alice", "secret", "/", changes{"uri": "http://host"}, "alice Digest"},
			{"wrong password", "alice", "Secret", "/", nil, ""},
			{"unknown user", "carol", "secret", "/", nil, ""},
			{"no user", "alice", "secret", "/", changes{"username": ""}, ""},
			{"another URI", "alice", "secret", "/", changes{"uri": "/x"}, ""},
			{"another query", "alice", "secret", "/?a", changes{"uri": "/?b"}, ""},
			{"another realm", "alice", "secret", "/", changes{"realm": "s"}, ""},
			{"another algorithm", "alice", "secret", "/", changes{"algorithm": other}, ""},
			{"an algorithm that was not offered", "alice", "secret", "/", changes{"algorithm": alg + "-sess"}, ""},
			{"no qop", "alice", "secret", "/", changes{"qop": ""}, ""},
			{"another qop", "alice", "secret", "/", changes{"qop": "auth-int"}, ""},
			{"no count", "alice", "secret", "/", changes{"nc": ""}, ""},
			{"a bad count", "alice", "secret", "/", changes{"nc": "1"}, ""},
			{"no cnonce", "alice", "secret", "/", changes{"cnonce": ""}, ""},
			{"no response", "alice", "secret", "/", changes{"response": ""}, ""},
			{"upper case", "alice", "secret", "/", changes{"algorithm": strings.ToLower(alg)}, "alice Digest"},
		} {
			w := s.get(tt.target, "Authorization", digestLogin(challenge, tt.user, tt.password, tt.target, tt.change))
			status, body := 200, tt.want
			if tt.want == "" {
				status, body = 401, w.Body.String()
			}
			if w.Code != status || w.Body.String() != body {
				t.Errorf("%s, %s: %d %q, want %d %q", alg, tt.name, w.Code, w.Body, status, body)
			}
			if fields := rawFields(w.Header(), "WWW-Authenticate"); status == 200 && len(fields) > 0 || strings.Contains(fmt.Sprint(fields), "stale") {
				t.Errorf("%s, %s: WWW-Authenticate: %q", alg, tt.name, fields)
			}
		}
	}
	for _, field := range []string{"Digest", "Digest ", "Digest x", `Digest username="alice`, basic("alice", "secret"), "Digest " + strings.Repeat("a=b, ", 3)} {
		if got := s.get("/", "Authorization", field).Code; got != 401 {
			t.Errorf("%q: %d", field, got)
		}
	}
}

// A client with an old nonce, or with one of another server, is told to take a new one;
// who does not know the password is not told that.
func TestAuthDigestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newGuard(t, authScript("plain", `method = "digest"`), map[string]string{"users": "alice:secret\n"})
		challenge := digestChallenges(t, s)["SHA-256"]
		foreign := map[string]string{"nonce": "x" + challenge["nonce"][1:]}
		for i, step := range []struct {
			after    time.Duration
			password string
			change   map[string]string
			status   int
			stale    bool
		}{
			{0, "secret", nil, 200, false},
			{0, "secret", foreign, 401, true},
			{0, "secret", map[string]string{"nonce": "x"}, 401, true},
			{0, "guess", foreign, 401, false},
			{nonceLife - time.Second, "secret", nil, 200, false},
			{time.Second, "secret", nil, 401, true},
			{0, "guess", nil, 401, false},
		} {
			time.Sleep(step.after)
			w := s.get("/", "Authorization", digestLogin(challenge, "alice", step.password, "/", step.change))
			stale := strings.Contains(fmt.Sprint(rawFields(w.Header(), "WWW-Authenticate")), "stale=true")
			if w.Code != step.status || stale != step.stale {
				t.Errorf("step %d: %d, stale %v", i, w.Code, stale)
			}
		}
		now := time.Now()
		if nonce := newNonce("r", now); !nonceIsFresh(nonce, "r", now) || nonceIsFresh(nonce, "s", now) || nonceIsFresh(nonce, "r", now.Add(-time.Minute)) {
			t.Error("a nonce is good for its own realm and time only")
		}
	})
}

func TestAuthDigestOfHtdigest(t *testing.T) {
	line := func(alg int, user string) string {
		return user + ":r:" + digestAlgorithms[alg].hex(user, "r", "secret") + "\n"
	}
	for _, tt := range []struct{ file, offered string }{
		{line(0, "alice") + line(0, "bob"), "[SHA-256]"},
		{line(1, "alice") + line(1, "bob"), "[MD5]"},
		{line(0, "alice") + line(1, "alice") + line(1, "bob"), "[MD5]"},
		{line(0, "alice") + line(1, "alice"), "[MD5 SHA-256]"},
		{line(1, "alice") + "carl:other:" + strings.Repeat("0", 64), "[MD5]"},
	} {
		s := newGuard(t, authScript("htdigest", `method = "digest"`), map[string]string{"users": tt.file})
		challenges := digestChallenges(t, s)
		if got := fmt.Sprint(slices.Sorted(maps.Keys(challenges))); got != tt.offered {
			t.Errorf("%s: offered %s, want %s", tt.file, got, tt.offered)
		}
		for alg, challenge := range challenges {
			for password, want := range map[string]int{"secret": 200, "guess": 401} {
				if w := s.get("/", "Authorization", digestLogin(challenge, "alice", password, "/", nil)); w.Code != want {
					t.Errorf("%s: %s: %d, want %d", alg, password, w.Code, want)
				}
			}
		}
	}
	s := newGuard(t, authScript("htdigest", `method = "digest"`), map[string]string{"users": "alice:other:" + strings.Repeat("0", 64)})
	w := s.get("/", "Authorization", digestLogin(digestChallenges(t, s)["MD5"], "alice", "secret", "/", nil))
	if w.Code != 401 || !strings.Contains(s.log.String(), `there is no user of the realm \"r\"`) {
		t.Errorf("no user: %d, %s", w.Code, s.log)
	}
}

// A rewrite does not change what the client signed.
func TestAuthDigestBehindRewrite(t *testing.T) {
	s := newGuard(t, strings.Replace(authScript("plain", `method = "digest"`), "actions = {", `actions = { rewrite { "/a", "/b?c" },`, 1), map[string]string{"users": "alice:secret\n"})
	field := digestLogin(digestChallenges(t, s)["MD5"], "alice", "secret", "/a", nil)
	if w := s.get("/a", "Authorization", field); w.Code != 200 {
		t.Errorf("%d\n%s", w.Code, s.log)
	}
	r := httptest.NewRequest("GET", "http://host/a", nil)
	r.RequestURI = "http://host/a"
	r.Header.Set("Authorization", field)
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != 200 {
		t.Errorf("absolute: %d\n%s", w.Code, s.log)
	}
}

func TestAuthParams(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{`a=b, C="d, \"e\\", f = g`, `map[a:b c:d, "e\ f:g]`},
		{``, `map[]`},
		{` , ,a=1,, b=""`, `map[a:1 b:]`},
		{`a=b c=d`, ``},
		{`a=b, a=c`, ``},
		{`a=b, A=c`, ``},
		{`a`, ``},
		{`a=`, ``},
		{`=a`, ``},
		{`a b=c`, ``},
		{`a="b`, ``},
		{`a="b\"`, ``},
		{`a="b"c`, ``},
		{`a=b"c"`, ``},
		{`Digest a=b`, ``},
	} {
		params, ok := authParams(tt.text)
		got := ""
		if ok {
			got = fmt.Sprint(params)
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

func FuzzAuthDigest(f *testing.F) {
	f.Add(`username="alice", realm="r", nonce="n", uri="/", algorithm=MD5, qop=auth, nc=00000001, cnonce="c", response="0"`)
	f.Add(`a=b, C="d, \"e\\", f = g`)
	f.Add(`username*=UTF-8''J%C3%A4s, uri="http://x"`)
	u, err := withCommonDigest(parsePlain)("alice:secret", "r")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		params, ok := authParams(text)
		if !ok {
			return
		}
		var parts []string
		for name, value := range params {
			parts = append(parts, name+" = "+quoted(value))
		}
		if again, ok := authParams(strings.Join(parts, ",")); !ok || !maps.Equal(again, params) {
			t.Errorf("%q: %q, read again %q", text, params, again)
		}
		user, _ := digestUser(params)
		sameTarget(params["uri"], "/")
		if nonceIsFresh(params["nonce"], "r", time.Now()) || u.verifyDigest(user, "GET", params) {
			t.Errorf("%q is let in", text)
		}
	})
}
