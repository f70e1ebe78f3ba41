package bindings

import "testing"

func TestMimeSuffixes(t *testing.T) {
	const list = `{{".txt", "text/plain; charset=utf-8"}, {".gz", "application/gzip"}, {".tar.gz", "application/x-tgz"},
		{"noext", "text/x-noext"}, {"~", "text/x-backup"}, {".dup", "a/a"}, {".dup", "b/b"}, {"", "text/x-default"}}`
	for value, cases := range map[string]map[string]string{
		list: {
			"/www/a.txt":       "text/plain; charset=utf-8",
			"/www/b.gz":        "application/gzip",
			"/www/arch.tar.gz": "application/x-tgz",
			"/www/noext":       "text/x-noext",
			"/www/backup~":     "text/x-backup",
			"/www/a.TXT":       "text/x-default",
			"/www/x.dup":       "b/b",
			"/www/script.php":  "text/x-default",
		},
		`{[".txt"] = "text/x-a"}`: {
			"/a.txt":  "text/x-a",
			"/a.html": octetStream,
		},
		`{}`: {
			"/a.txt": octetStream,
		},
		` "default"`: {
			"/a.html":       "text/html; charset=utf-8",
			"/a.HTML":       "text/html; charset=utf-8",
			"/a.Txt":        "text/plain; charset=utf-8",
			"/a.js":         "text/javascript; charset=utf-8",
			"/a.css":        "text/css; charset=utf-8",
			"/a.ics":        "text/calendar; charset=utf-8",
			"/a.png":        "image/png",
			"/a.avif":       "image/avif",
			"/a.woff2":      "font/woff2",
			"/a.tar.gz":     "application/gzip",
			"/a.xml":        "application/xml",
			"/a.wasm":       "application/wasm",
			"/noext":        octetStream,
			"/a.html/noext": octetStream,
			"/a.unheard-of": octetStream,
			"/dot.":         octetStream,
			"/.html":        "text/html; charset=utf-8",
		},
		`("default", {[".log"] = "text/x-log", [".tar.gz"] = "a/tgz", [".html"] = "a/html", ["l"] = "a/l", [""] = "a/rest"})`: {
			"/a.log":    "text/x-log",
			"/a.tar.gz": "a/tgz",
			"/a.gz":     "application/gzip",
			"/a.html":   "a/html",
			"/a.xml":    "application/xml", // longer than "l"
			"/noextl":   "a/l",
			"/noext":    "a/rest",
		},
		`{"default", {".log", "text/x-log"}}`: {
			"/a.log": "text/x-log",
			"/a.png": "image/png",
		},
	} {
		s, err := loadStatic(t, "setup.mime_types"+value+"\nactions = mime_type()", nil)
		if err != nil {
			t.Errorf("%s: %v", value, err)
			continue
		}
		for name, want := range cases {
			if got := s.ask("GET", name).Body.String(); got != want {
				t.Errorf("%s: %s is %q, want %q", value, name, got, want)
			}
		}
	}
}

func TestMimePerRequest(t *testing.T) {
	s := newStaticSite(t, `
		setup.mime_types { [".txt"] = "text/x-setup", [".html"] = "text/html" }
		actions = {
			when(request.query:eq "r", { mime_types { [".php"] = "text/x-php" } }),
			when(request.query:eq "none", { mime_types() }),
			docroot "@ROOT@", static() }`)
	for target, want := range map[string]string{
		"/a.txt": "text/x-setup", "/a.txt?r": octetStream, "/code.php?r": "text/x-php", "/a.txt?none": octetStream, "/sub/x.html": "text/html",
	} {
		if got := s.ask("GET", target).Header().Get("Content-Type"); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

func BenchmarkMimeLookup(b *testing.B) {
	t := &mimeTable{types: map[string]string{".txt": "text/plain", ".tar.gz": "a/b"}, lengths: []int{7, 4}, builtin: true}
	b.ReportAllocs()
	for b.Loop() {
		if t.lookup("/var/www/htdocs/index.html") == "" || t.lookup("/var/www/a.png") == "" {
			b.Fatal("no type")
		}
	}
}
