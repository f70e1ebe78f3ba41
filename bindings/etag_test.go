package bindings

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEtagListed(t *testing.T) {
	for list, want := range map[string]bool{
		`"a"`:          true,
		`"b"`:          false,
		`W/"a"`:        true,
		`"b", "a"`:     true,
		`"b","a"`:      true,
		`"b" , W/"a"`:  true,
		`,, "a"`:       true,
		`*`:            true,
		` *`:           true,
		`"x,y", "a"`:   true,
		`"b", *`:       true,
		``:             false,
		`a`:            false,
		`"a`:           false,
		`"ab"`:         false,
		`w/"a"`:        false,
		`"b" junk "a"`: false,
		`"*"`:          false,
		`W/`:           false,
		`"`:            false,
	} {
		if got := etagListed(list, `"a"`); got != want {
			t.Errorf("%s: %t, want %t", list, got, want)
		}
	}
}

func TestEtagOf(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mtime time.Time) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, mtime, mtime); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tag := func(file string, parts etagParts) string {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return etagOf(info, parts)
	}
	a := write("a", "1234", staticTime)
	first := tag(a, etagAll)
	if tag(a, etagAll) != first {
		t.Error("the same file has two ETags")
	}
	if tag(a, 0) != "" {
		t.Error("an ETag although they are off")
	}
	b := write("b", "1234", staticTime)
	if tag(b, etagAll) == first {
		t.Error("inode does not count")
	}
	if tag(b, etagMtime|etagSize) != tag(a, etagMtime|etagSize) {
		t.Error("inode counts although it is not asked for")
	}
	write("a", "1234", staticTime.Add(time.Nanosecond))
	if tag(a, etagAll) == first {
		t.Error("a nanosecond does not count")
	}
	if tag(a, etagInode|etagSize) == tag(b, etagInode|etagSize) || tag(a, etagSize) != tag(b, etagSize) {
		t.Error("inode and size")
	}
	write("b", "12345", staticTime)
	if tag(a, etagSize) == tag(b, etagSize) {
		t.Error("size does not count")
	}
}

func TestEtagUse(t *testing.T) {
	s := newStaticSite(t, `
		setup.etag.use { "mtime", "size" }
		actions = { when(request.query:eq "inode", { etag.use { "inode", "size" } }), docroot "@ROOT@", static() }`)
	tag := func(target string) string { return s.ask("GET", target).Header().Get("ETag") }
	// both have seven bytes and are of the same time
	if a, b := tag("/a.txt"), tag("/backup~"); a == "" || a != b {
		t.Errorf("without inode: %q and %q", a, b)
	}
	if a, b := tag("/a.txt?inode"), tag("/backup~?inode"); a == b {
		t.Errorf("with inode: both %q", a)
	}
}

func TestStaticConditions(t *testing.T) {
	s := newStaticSite(t, `actions = { when(request.query:eq "off", { etag.use {} }), docroot "@ROOT@", static() }`)
	tag := s.ask("GET", "/a.txt").Header().Get("ETag")
	if len(tag) < 3 || tag[0] != '"' {
		t.Fatalf("ETag %q", tag)
	}
	const later, earlier = "Mon, 10 Sep 2001 01:46:40 GMT", "Sun, 09 Sep 2001 01:46:39 GMT"
	for _, c := range []struct {
		target string
		header []string
		want   int
	}{
		{"/a.txt", []string{"If-None-Match", tag}, 304},
		{"/a.txt", []string{"If-None-Match", "W/" + tag}, 304},
		{"/a.txt", []string{"If-None-Match", `"x", ` + tag}, 304},
		{"/a.txt", []string{"If-None-Match", `"x"`, "If-None-Match", tag}, 304},
		{"/a.txt", []string{"If-None-Match", "*"}, 304},
		{"/a.txt", []string{"If-None-Match", `"x"`}, 200},
		{"/a.txt", []string{"If-Modified-Since", staticDate}, 304},
		{"/a.txt", []string{"If-Modified-Since", later}, 304},
		{"/a.txt", []string{"If-Modified-Since", earlier}, 200},
		{"/a.txt", []string{"If-Modified-Since", staticDate + "; length=7"}, 304},
		{"/a.txt", []string{"If-Modified-Since", "Sunday, 09-Sep-01 01:46:40 GMT"}, 304},
		{"/a.txt", []string{"If-Modified-Since", "Sun Sep  9 01:46:40 2001"}, 304},
		{"/a.txt", []string{"If-Modified-Since", "yesterday"}, 200},
		{"/a.txt", []string{"If-Modified-Since", ""}, 200},
		{"/a.txt", []string{"If-Modified-Since", later, "If-Modified-Since", later}, 200},
		// the tag outranks the date
		{"/a.txt", []string{"If-None-Match", `"x"`, "If-Modified-Since", staticDate}, 200},
		{"/a.txt", []string{"If-None-Match", tag, "If-Modified-Since", earlier}, 304},
		// without ETags it is not looked at
		{"/a.txt?off", []string{"If-None-Match", tag}, 200},
		{"/a.txt?off", []string{"If-None-Match", tag, "If-Modified-Since", staticDate}, 304},
		// a copy that is still good outranks a range
		{"/a.txt", []string{"If-None-Match", tag, "Range", "bytes=0-1"}, 304},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", tag}, 206},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", "W/" + tag}, 200},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", `"nope"`}, 200},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", staticDate}, 206},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", "Sun Sep  9 01:46:40 2001"}, 206},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", later}, 200},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", earlier}, 200},
		{"/a.txt", []string{"Range", "bytes=0-1", "If-Range", "junk"}, 200},
		{"/a.txt", []string{"Range", "bytes=99-", "If-Range", `"nope"`}, 200},
		{"/a.txt?off", []string{"Range", "bytes=0-1", "If-Range", tag}, 200},
		{"/a.txt?off", []string{"Range", "bytes=0-1", "If-Range", `""`}, 200},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := s.ask(method, c.target, c.header...)
			if r.Code != c.want {
				t.Errorf("%s %s %q: status %d, want %d", method, c.target, c.header, r.Code, c.want)
			}
			if r.Header().Get("Last-Modified") != staticDate || (r.Header().Get("ETag") == tag) == (c.target == "/a.txt?off") {
				t.Errorf("%s %s %q: validators %v", method, c.target, c.header, r.Header())
			}
			if r.Code == 304 && (r.Body.Len() > 0 || r.Header().Get("Content-Length") != "") {
				t.Errorf("%s %s %q: a 304 with a body", method, c.target, c.header)
			}
		}
	}
}
