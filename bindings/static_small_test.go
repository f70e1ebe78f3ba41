package bindings

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The answers with a file that is kept, in memory or open, are those with the file.
func TestStaticKeptFilesAnswerAlike(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("body {}\n", 5000)
	s, err := loadStatic(t, `setup.mime_types { [".css"] = "text/css" }
		actions = { docroot "@ROOT@", when(request.query:eq "x", { etag.use {}, mime_types { [".css"] = "text/x" } }), static() }`,
		map[string]string{"www/f.css": "body {}", "www/long.css": long, "www/empty.css": ""})
	if err != nil {
		t.Fatal(err)
	}
	var etag string
	ask := func(method, path string, fields ...string) string {
		r := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], strings.ReplaceAll(fields[i+1], "ETAG", etag))
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		//lint:ignore SA1008 names are written as they are
		if v := w.Header()["ETag"]; len(v) > 0 {
			etag = v[0]
		}
		w.Header().Del("Date")
		return fmt.Sprint(w.Code, w.Header(), w.Body)
	}
	all := func() (answers []string) {
		for range 2 {
			answers = append(answers, ask("GET", "/f.css"), ask("HEAD", "/f.css"), ask("GET", "/f.css", "If-None-Match", "ETAG"),
				ask("GET", "/f.css", "If-None-Match", `"other"`), ask("GET", "/f.css", "Range", "bytes=1-3"), ask("GET", "/f.css?x"), ask("GET", "/f.css"))
		}
		for _, path := range []string{"/f.css", "/long.css", "/empty.css"} {
			for range 3 { // the third one finds it open
				answers = append(answers, ask("GET", path))
			}
			for _, part := range []string{"bytes=1-3", "bytes=-2", "bytes=0-", "bytes=39000-", "bytes=50000-", "bytes=0-0,2-3", "bytes=x"} {
				answers = append(answers, ask("GET", path, "Range", part), ask("HEAD", path, "Range", part),
					ask("GET", path, "Range", part, "If-Range", "ETAG"), ask("GET", path, "Range", part, "If-Range", `"other"`),
					ask("GET", path, "Range", part, "If-None-Match", "ETAG"))
			}
		}
		return answers
	}
	opened := all()
	time.Sleep(3100 * time.Millisecond) // from then on it is kept
	if kept := all(); !slices.Equal(kept, opened) {
		t.Errorf("in memory:\n%s\nopened:\n%s", strings.Join(kept, "\n"), strings.Join(opened, "\n"))
	}
	if !strings.HasPrefix(opened[2], "304 ") || !strings.HasPrefix(opened[4], "206 ") || !strings.Contains(opened[5], "text/x") {
		t.Errorf("%q", opened)
	}
	if err := os.WriteFile(filepath.Join(s.root, "f.css"), []byte("html {}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := ask("GET", "/f.css"); !strings.Contains(got, "html {}") {
		t.Errorf("after a change: %s", got)
	}
}
