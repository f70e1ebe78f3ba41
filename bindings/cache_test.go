package bindings

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"luaserve/runtime"
)

// streamModule has stream(): the answer of a backend whose body and ETag are in the query.
// bodies counts the bytes that were read of it.
func streamModule(read func(n int)) *runtime.Module {
	return &runtime.Module{Name: "stream", Actions: []runtime.ActionDef{{Name: "stream",
		New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
			return runtime.ActionFunc(func(vr *runtime.VRequest) error {
				body := io.Reader(strings.NewReader(strings.Repeat(vr.Request.Header.Get("Body"), 50000)))
				if vr.Request.Header.Has("Break") {
					body = io.MultiReader(body, brokenReader{})
				}
				vr.HandleBackend(200, io.NopCloser(countingReader{body, read}))
				for name, value := range vr.Request.Header.All() {
					if name == "Etag" {
						vr.Response.Header.Insert("ETag", value)
					}
				}
				if l := vr.Request.Header.Get("Length"); l != "" {
					vr.Response.Header.Set("Content-Length", l)
				}
				return nil
			}), nil
		}}}}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the backend broke") }

type countingReader struct {
	io.Reader
	count func(n int)
}

func (r countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.count(n)
	return n, err
}

func keptFiles(t *testing.T, s *guardSite) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "cache", "*", "*"))
	hidden, _ := filepath.Glob(filepath.Join(s.dir, "cache", "*", ".*"))
	if err != nil || len(hidden) > 0 {
		t.Errorf("left behind: %v %v", hidden, err)
	}
	return files
}

func TestCacheDiskETag(t *testing.T) {
	var mu sync.Mutex
	read := 0
	s := newGuard(t, `actions = { stream(), cache.disk.etag "@DIR@/cache", header.add("X-Last", "1") }`, nil, streamModule(func(n int) {
		mu.Lock()
		defer mu.Unlock()
		read += n
	}))
	for i, tt := range []struct {
		target, body, etag string
		want               string // what comes, 50000 times
		kept               int
		fromBackend        bool
	}{
		{"/a", "1", `"x"`, "1", 1, true},
		{"/a", "2", `"x"`, "1", 1, false},
		{"/a", "3", `"y"`, "3", 2, true},
		{"/b", "4", `"x"`, "4", 3, true},
		{"/a?q", "5", `"x"`, "5", 4, true},
		{"/a", "6", "", "6", 4, true},
		{"/../../a", "7", `"../../../x"`, "7", 5, true},
	} {
		read = 0
		header := []string{"Body", tt.body}
		if tt.etag != "" {
			header = append(header, "ETag", tt.etag)
		}
		w := s.get(tt.target, header...)
		if got := w.Body.String(); got != strings.Repeat(tt.want, 50000) || w.Code != 200 || w.Header().Get("X-Last") != "1" {
			t.Errorf("%d: %d, %d bytes, %.3s…", i, w.Code, len(got), got)
		}
		if kept := len(keptFiles(t, s)); kept != tt.kept || (read > 0) != tt.fromBackend {
			t.Errorf("%d: %d files, %d bytes read", i, kept, read)
		}
		if !tt.fromBackend && w.Header().Get("Content-Length") != "50000" {
			t.Errorf("%d: Content-Length %s", i, w.Header().Get("Content-Length"))
		}
	}
	r := httptest.NewRequest("GET", "http://other/a", nil)
	r.Header.Set("Body", "8")
	r.Header.Set("ETag", `"x"`)
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Body.String()[0] != '8' {
		t.Error("the body of another host")
	}
}

// TestCacheNotWhole has nothing kept of a response that is not known to be whole.
func TestCacheNotWhole(t *testing.T) {
	s := newGuard(t, `actions = { stream(), cache.disk.etag "@DIR@/cache" }`, nil, streamModule(func(int) {}))
	for _, header := range [][]string{{"Break", "1"}, {"Length", "49999"}, {"Length", "60000"}, {"ETag", `"second"`}} {
		func() {
			defer func() { _ = recover() }()
			s.get("/a", append([]string{"Body", "1", "ETag", `"x"`}, header...)...)
		}()
		if kept := keptFiles(t, s); len(kept) != 0 {
			t.Errorf("%v: kept %v", header, kept)
		}
	}
}

func TestCacheDeflated(t *testing.T) {
	s := newGuard(t, `setup.mime_types { [".txt"] = "text/plain" }
actions = { docroot "@DIR@", static(), deflate(), cache.disk.etag "@DIR@/cache" }`, map[string]string{"a.txt": strings.Repeat("text ", 40000)})
	first := s.get("/a.txt", "Accept-Encoding", "gzip")
	second := s.get("/a.txt", "Accept-Encoding", "gzip")
	if first.Header().Get("Content-Encoding") != "gzip" || second.Header().Get("Content-Encoding") != "gzip" || first.Body.String() != second.Body.String() {
		t.Errorf("%v, %v", first.Header(), second.Header())
	}
	if kept := keptFiles(t, s); len(kept) != 1 {
		t.Errorf("kept %v", kept)
	} else if data, _ := os.ReadFile(kept[0]); string(data) != first.Body.String() {
		t.Error("something else was kept")
	}
	if plain := s.get("/a.txt"); plain.Body.Len() != 200000 {
		t.Errorf("plain: %d bytes", plain.Body.Len())
	}
	if kept := keptFiles(t, s); len(kept) != 1 {
		t.Errorf("a plain file was kept: %v", kept)
	}
}

func TestCacheCannotWrite(t *testing.T) {
	s := newGuard(t, `actions = { stream(), cache.disk.etag "@DIR@/site.lua" }`, nil, streamModule(func(int) {}))
	if w := s.get("/a", "Body", "1", "ETag", `"x"`); w.Code != http.StatusOK || w.Body.Len() != 50000 || !strings.Contains(s.log.String(), "cache.disk.etag: cannot") {
		t.Errorf("%d, %d bytes\n%s", w.Code, w.Body.Len(), s.log)
	}
	for script, want := range map[string]string{`cache.disk.etag ""`: "cache.disk.etag: path: expected a directory", `cache.disk.etag()`: "path is missing"} {
		if _, err := loadGuard(t, "actions = "+script, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestCacheConcurrent(t *testing.T) {
	s := newGuard(t, `actions = { stream(), cache.disk.etag "@DIR@/cache" }`, nil, streamModule(func(int) {}))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 20 {
				if w := s.get("/a", "Body", "1", "ETag", fmt.Sprintf(`"%d"`, i)); w.Body.Len() != 50000 {
					t.Errorf("%d bytes", w.Body.Len())
				}
			}
		})
	}
	all.Wait()
	if kept := keptFiles(t, s); len(kept) != 20 {
		t.Errorf("%d files", len(kept))
	}
}
