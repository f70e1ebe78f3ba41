package bindings

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestParseFortunes(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "[]"},
		{"one\ntwo\n", `["one" "two"]`},
		{"one\r\n\r\n  \ntwo", `["one" "two"]`},
		{"a\x00b\x1b[31m\x7f\u0085ü\xff\n", `["ab[31mü"]`},
		{"one\nmore\n%\ntwo\n%\n", `["one\nmore" "two"]`},
		{"%\none\n%\n%\ntwo", `["one" "two"]`},
		{"100%\n50 % off\n", `["100%" "50 % off"]`},
	} {
		if got := fmt.Sprintf("%q", parseFortunes([]byte(tt.text))); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, got, tt.want)
		}
	}
}

// xFortune looks past net/http, which writes names its own way.
func xFortune(w *httptest.ResponseRecorder) string {
	return strings.Join(rawFields(w.Header(), "X-fortune"), "|")
}

func TestFortune(t *testing.T) {
	s := newGuard(t, `setup.fortune.load "@DIR@/a"
setup.fortune.load "@DIR@/b"
actions = { fortune.header(), when(request.path:eq "/page", fortune.page()) }`,
		map[string]string{"a": "one\ntwo ü\n", "b": "three\n\tlines\r\nX-Evil: 1\n%\nfour\n%\n"})
	headers, pages := map[string]int{}, map[string]int{}
	for range 400 {
		w := s.get("/page")
		headers[xFortune(w)]++
		pages[w.Body.String()]++
		if w.Header().Get("X-Evil") != "" {
			t.Fatal("a cookie broke out of its header")
		}
	}
	if got, want := fmt.Sprint(len(headers), headers["one"] > 0, headers["two"] > 0, headers["three lines X-Evil: 1"] > 0, headers["four"] > 0), "4 true true true true"; got != want {
		t.Errorf("headers: %v", headers)
	}
	if got, want := fmt.Sprint(len(pages), pages["one\n"] > 0, pages["two ü\n"] > 0, pages["three\n\tlines\nX-Evil: 1\n"] > 0), "4 true true true"; got != want {
		t.Errorf("pages: %v", pages)
	}
	if w := s.get("/other"); w.Code != 404 || xFortune(w) == "" {
		t.Errorf("elsewhere: %d %v", w.Code, w.Header())
	}
}

func TestFortuneEmpty(t *testing.T) {
	s := newGuard(t, `actions = { fortune.header(), fortune.page() }`, nil)
	if w := s.get("/"); w.Body.String() != "The cookie box is empty.\n" || xFortune(w) != "" {
		t.Errorf("got %q %v", w.Body, w.Header())
	}
	for _, tt := range []struct{ script, want string }{
		{`setup.fortune.load "@DIR@/none"`, "site.lua:1: fortune.load: open "},
		{`setup.fortune.load()`, "fortune.load: filename is missing; expected fortune.load(filename)"},
		{`actions = fortune.page "x"`, "fortune.page: expected fortune.page(), got 1 arguments"},
	} {
		_, err := loadGuard(t, tt.script+"\nactions = actions or respond 'x'", nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.script, err, tt.want)
		}
	}
}
