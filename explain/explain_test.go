package explain_test

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"luaserve/bindings"
	"luaserve/explain"
	"luaserve/runtime"
	"luaserve/scripts"
)

var update = flag.Bool("update", false, "write the expected texts anew")

// TestText runs testdata/*.txtar: a site.lua, files beside it, and for each request a pair
// NAME.request (method, URL, then header fields a line each, then an empty line and the body)
// and NAME.text, what is told of it. Times are left out; $DIR is the directory of the script.
func TestText(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir) // so that places are site.lua:1
			for _, f := range ar.Files {
				name := filepath.Join(dir, f.Name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(f.Data), "$DIR", dir)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			p := load(t, "site.lua")
			changed := false
			for i, f := range ar.Files {
				name, ok := strings.CutSuffix(f.Name, ".text")
				if !ok {
					continue
				}
				req := request(t, dir, name)
				res, err := explain.Run(context.Background(), p, req, explain.Options{})
				if err != nil {
					t.Fatal(err)
				}
				var out strings.Builder
				if err := res.Text(&out, explain.Style{Width: 200}); err != nil {
					t.Fatal(err)
				}
				got := stable(out.String(), dir)
				if want := string(f.Data); got != want {
					if *update {
						ar.Files[i].Data, changed = []byte(got), true
						continue
					}
					t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
				}
			}
			if changed {
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// stable leaves out what is different each time.
func stable(text, dir string) string {
	text = strings.ReplaceAll(text, dir, "$DIR")
	for _, v := range []struct{ what, by string }{
		{`  Lua [0-9.µms]+`, ""},
		{`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT`, "$DATE"},
		{`\\?"[0-9a-f]{12,16}\\?"`, "$ETAG"},
	} {
		text = regexp.MustCompile(v.what).ReplaceAllLiteralString(text, v.by)
	}
	return text
}

func load(t *testing.T, site string) *runtime.Program {
	t.Helper()
	p, err := runtime.Load(site, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func request(t *testing.T, dir, name string) explain.Request {
	t.Helper()
	src, err := os.ReadFile(filepath.Join(dir, name+".request"))
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(src), "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, url, _ := strings.Cut(lines[0], " ")
	req := explain.Request{Method: method, URL: url, Body: []byte(body)}
	for _, line := range lines[1:] {
		f, err := explain.ParseHeader(line)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = append(req.Header, f)
	}
	return req
}
