package bindings

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestFLV(t *testing.T) {
	s := newGuard(t, `setup.static.exclude_extensions { ".secret" }
actions = { docroot "@DIR@", flv() }`, map[string]string{"a.flv": "FLV-0123456789", "x.secret": "s"})
	if err := os.Mkdir(s.dir+"/dir", 0o700); err != nil {
		t.Fatal(err)
	}
	const whole = "FLV-0123456789"
	for _, tt := range []struct {
		target string
		status int
		want   string
	}{
		{"/a.flv", 200, whole},
		{"/a.flv?start=4", 200, flvHead + "0123456789"},
		{"/a.flv?x=1&start=13", 200, flvHead + "9"},
		{"/a.flv?start=14", 200, flvHead},
		{"/a.flv?start=0", 200, whole},
		{"/a.flv?start=15", 200, whole},
		{"/a.flv?start=-1", 200, whole},
		{"/a.flv?start=99999999999999999999", 200, whole},
		{"/a.flv?start=4x&%zz", 200, whole},
		{"/none.flv", 404, ""},
		{"/x.secret", 403, ""},
		{"/dir", 404, ""},
		{"/dir/", 404, ""},
	} {
		w := s.get(tt.target)
		if w.Code != tt.status || tt.want != "" && (w.Body.String() != tt.want || w.Header().Get("Content-Type") != "video/x-flv") {
			t.Errorf("%s: %d %q %v", tt.target, w.Code, w.Body, w.Header())
		}
	}
	w := s.get("/a.flv")
	if again := s.get("/a.flv", "If-None-Match", rawFields(w.Header(), "ETag")[0]); again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("asked again: %d", again.Code)
	}
	post := httptest.NewRecorder()
	if s.ServeHTTP(post, httptest.NewRequest("POST", "/a.flv", strings.NewReader("x"))); post.Code != 405 || post.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", post.Code, post.Header())
	}
	if _, err := loadGuard(t, `actions = flv(1)`, nil); err == nil || !strings.Contains(err.Error(), "flv: expected flv(), got 1 arguments") {
		t.Errorf("got %v", err)
	}
}
