package runtime

import (
	"errors"
	"math/rand"
	"strings"
	"testing"
)

func TestSimplifyPath(t *testing.T) {
	for in, want := range map[string]string{
		"/": "/", "//": "/", "/a//b": "/a/b", "/a/./b": "/a/b", "/a/../b": "/b", "/../a": "/a", "/a/..": "/",
		"/a/.": "/a/", "a/../b": "/b", "../a": "/a", "./a": "/a", "/a/b/../../c": "/c", `/a\b`: `/a\b`,
		"/...": "/...", "/.a": "/.a", "/a..": "/a..", "/a/../../..": "/", "/a/b/": "/a/b/", "/a/b/..": "/a/",
		"": "/", "a": "/a", "..": "/", ".": "/", "/ /x": "/ /x", "/a/ /../b": "/a/b", "/a%2e%2e/b": "/a%2e%2e/b",
	} {
		if got := SimplifyPath(in); got != want {
			t.Errorf("SimplifyPath(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestDecodePath(t *testing.T) {
	for in, want := range map[string]string{
		"/a%20b": "/a b", "/%2541": "/%41", "/%": "/%", "/%zz": "/", "/a%zzb": "/ab", "/%4": "/%4",
		"/%00": "/_", "/%0a": "/_", "/%7f": "/_", "/%c3%a4": "/ä", "/%2F": "//",
	} {
		if got := DecodePath(in); got != want {
			t.Errorf("DecodePath(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestEncodePath(t *testing.T) {
	in := "/a b/ä/++;,:@&=$!*()'~-._"
	want := "/a%20b/%c3%a4/%2b%2b%3b%2c%3a%40%26%3d%24!*()%27%7e-._"
	if got := EncodePath(in); got != want {
		t.Errorf("EncodePath(%q) = %q, want %q", in, got, want)
	}
}

func TestParseTarget(t *testing.T) {
	tests := []struct {
		target, host string
		want         URI
		err          error
	}{
		{"/a%20b/../c?x=%31", "WWW.Example.com.:8080", URI{Raw: "/a%20b/../c?x=%31", RawPath: "/a%20b/../c?x=%31", Scheme: "http",
			Authority: "www.example.com.:8080", Path: "/c", Query: "x=%31", Host: "www.example.com"}, nil},
		{"http://User@Other.Example:99/p?q", "ignored", URI{Raw: "http://User@Other.Example:99/p?q", RawPath: "/p?q", Scheme: "http",
			Authority: "user@other.example:99", Path: "/p", Query: "q", Host: "other.example"}, nil},
		{"https://h/", "", URI{Raw: "https://h/", RawPath: "/", Scheme: "http", Authority: "h", Path: "/", Host: "h"}, nil},
		{"http://h", "h", URI{}, ErrBadTarget},
		{"http:///x", "h", URI{}, ErrBadTarget},
		{"/", "a@b", URI{}, ErrBadHost},
		{"/", "%41", URI{Raw: "/", RawPath: "/", Scheme: "http", Authority: "%41", Path: "/", Host: "%41"}, nil},
		{"/\xc3\xa4", "h", URI{}, ErrBadTarget},
		{"*", "localhost", URI{Raw: "*", RawPath: "*", Scheme: "http", Authority: "localhost", Path: "/*", Host: "localhost"}, nil},
		{"/x", "[::1]:80", URI{Raw: "/x", RawPath: "/x", Scheme: "http", Authority: "[::1]:80", Path: "/x", Host: "[::1]"}, nil},
		{"/x", "", URI{Raw: "/x", RawPath: "/x", Scheme: "http", Path: "/x"}, nil},
		{"x", "h", URI{}, ErrBadTarget},
		{"/a b", "h", URI{}, ErrBadTarget},
		{"/", "..", URI{}, ErrBadHost},
		{"/", "a/../../b", URI{}, ErrBadHost},
		{"/", "a:", URI{}, ErrBadHost},
		{"/", "a:x", URI{}, ErrBadHost},
		{"/", "a:123456", URI{}, ErrBadHost},
		{"/", "[::1", URI{}, ErrBadHost},
		{"/", ".", URI{}, ErrBadHost},
		{"/", `a\b`, URI{}, ErrBadHost},
		{"/", "a%", URI{}, ErrBadHost},
	}
	for _, tt := range tests {
		var u URI
		err := u.ParseTarget(tt.target, tt.host, "http")
		if !errors.Is(err, tt.err) {
			t.Errorf("ParseTarget(%q, %q): error %v, want %v", tt.target, tt.host, err, tt.err)
			continue
		}
		tt.want.RawOrigPath = tt.want.RawPath
		if err == nil && u != tt.want {
			t.Errorf("ParseTarget(%q, %q):\n got %+v\nwant %+v", tt.target, tt.host, u, tt.want)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("/a/%2e%2e/b?q", "example.net:80")
	f.Add("http://u@h:1/../x", "")
	f.Add("/%00%0a", "[::1]")
	f.Fuzz(func(t *testing.T, target, host string) {
		var u URI
		if u.ParseTarget(target, host, "http") != nil {
			return
		}
		if !strings.HasPrefix(u.Path, "/") || strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") {
			t.Errorf("path %q of target %q climbs", u.Path, target)
		}
		if strings.ContainsAny(u.Path, "\x00\r\n") {
			t.Errorf("path %q of target %q has control characters", u.Path, target)
		}
		if strings.ContainsAny(u.Host, "/\\\x00\r\n ") || u.Host == ".." || u.Host == "." {
			t.Errorf("host %q of %q cannot be used in a path", u.Host, host)
		}
	})
}

// What is decided at a glance about most targets is what the long way says.
func FuzzPlainTarget(f *testing.F) {
	random := rand.New(rand.NewSource(1))
	pick := func(letters string) string {
		text := make([]byte, random.Intn(7))
		for i := range text {
			text[i] = letters[random.Intn(len(letters))]
		}
		return string(text)
	}
	for range 3000 {
		f.Add("/"+pick("/.ab%?#41 \x7f"), pick("a.-B:8@%[_\x00"))
	}
	f.Fuzz(func(t *testing.T, target, host string) {
		var got, want URI
		err, wantErr := got.ParseTarget(target, host, "http"), want.parseTarget(target, host, "http")
		if err != wantErr || err == nil && got != want {
			t.Errorf("%q, %q: %+v, %v; the long way: %+v, %v", target, host, got, err, want, wantErr)
		}
	})
}
