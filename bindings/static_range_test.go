package bindings

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	whole := []byteRange{{0, 36}}
	for _, c := range []struct {
		value string
		want  []byteRange // nil: 416
		ok    bool
	}{
		{"bytes=0-3", []byteRange{{0, 4}}, true},
		{"bytes=10-", []byteRange{{10, 26}}, true},
		{"bytes=-5", []byteRange{{31, 5}}, true},
		{"bytes=0-0", []byteRange{{0, 1}}, true},
		{"bytes=35-35", []byteRange{{35, 1}}, true},
		{"bytes=30-100", []byteRange{{30, 6}}, true},
		{"bytes=-100", whole, true},
		{"bytes=0-", whole, true},
		{"bytes=00-03", []byteRange{{0, 4}}, true},
		{"bytes=0-3,10-12", []byteRange{{0, 4}, {10, 3}}, true},
		{"bytes=0-1,5-6,-2", []byteRange{{0, 2}, {5, 2}, {34, 2}}, true},
		{"bytes=0-10,5-15", []byteRange{{0, 11}, {5, 11}}, true},
		// one that can be satisfied is enough
		{"bytes=0-3,50-60", []byteRange{{0, 4}}, true},
		{"bytes=50-60,0-3", []byteRange{{0, 4}}, true},
		// none can
		{"bytes=36-", nil, true},
		{"bytes=40-50", nil, true},
		{"bytes=-0", nil, true},
		{"bytes=5-2", nil, true},
		{"bytes=", nil, true},
		{"bytes=-", nil, true},
		{"bytes=99999999999999999999-", nil, true},
		{"bytes=99999999999999999999-99999999999999999999", nil, true},
		// larger than any file
		{"bytes=0-99999999999999999999", whole, true},
		{"bytes=-99999999999999999999", whole, true},
		// blanks, empty elements, case
		{"bytes = 0-3", []byteRange{{0, 4}}, true},
		{"Bytes=0-3", []byteRange{{0, 4}}, true},
		{"bytes=0-3, 5-6", []byteRange{{0, 4}, {5, 2}}, true},
		{"bytes=0-3,", []byteRange{{0, 4}}, true},
		{"bytes=,0-3", []byteRange{{0, 4}}, true},
		{"bytes=1 - 2", []byteRange{{1, 2}}, true},
		// not for us
		{"", nil, false},
		{"bytes", nil, false},
		{"items=0-3", nil, false},
		{"bytes=a-b", nil, false},
		{"bytes=0-3;x", nil, false},
		{"bytes=1-2-3", nil, false},
		{"bytes=--3", nil, false},
		{"bytes=+1-3", nil, false},
		{"bytes=0x1-3", nil, false},
		{"bytes=1", nil, false},
		{"bytes=0-3,x", nil, false},
		{"bytes=0-1, bytes=3-4", nil, false},
		// more than there is
		{"bytes=0-,0-", nil, false},
		{"bytes=" + strings.Repeat("0-0,", maxRanges+1), nil, false},
	} {
		got, ok := parseRange(c.value, 36)
		if ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v %t, want %v %t", c.value, got, ok, c.want, c.ok)
		}
	}
	for _, value := range []string{"bytes=0-1", "bytes=0-", "bytes=-1"} {
		if got, ok := parseRange(value, 0); !ok || got != nil {
			t.Errorf("%q of an empty file: %v %t, want 416", value, got, ok)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"bytes=0-3", "bytes=-5", "bytes=10-", "bytes=0-1,5-6,-2", "bytes=99999999999999999999-", "bytes=1 - 2", "x=1-2"} {
		f.Add(seed, int64(36))
	}
	f.Fuzz(func(t *testing.T, value string, size int64) {
		if size < 0 {
			return
		}
		ranges, ok := parseRange(value, size)
		if !ok && ranges != nil {
			t.Fatalf("ignored, but %v", ranges)
		}
		if len(ranges) > maxRanges {
			t.Fatalf("%d ranges", len(ranges))
		}
		for _, r := range ranges {
			if r.start < 0 || r.length <= 0 || r.start >= size || r.length > size-r.start {
				t.Fatalf("range %v of a file of %d bytes", r, size)
			}
		}
	})
}

func TestStaticRanges(t *testing.T) {
	s := newStaticSite(t, `actions = { mime_types { [".txt"] = "text/plain" }, docroot "@ROOT@", static() }`)
	part := func(head, text string) string {
		return "\r\n--fkj49sn38dcn3\r\nContent-Type: text/plain\r\nContent-Range: bytes " + head + "\r\n\r\n" + text
	}
	const all = "0123456789abcdefghijklmnopqrstuvwxyz"
	for _, c := range []struct {
		value, contentRange string
		status              int
		body                string
	}{
		{"bytes=0-3", "bytes 0-3/36", 206, "0123"},
		{"bytes=-5", "bytes 31-35/36", 206, "vwxyz"},
		{"bytes=0-", "bytes 0-35/36", 206, all},
		{"bytes=50-60,0-3", "bytes 0-3/36", 206, "0123"},
		{"bytes=36-", "bytes */36", 416, ""},
		{"items=0-3", "", 200, all},
		{"bytes=0-1,3-4", "", 206, part("0-1/36", "01") + part("3-4/36", "34") + "\r\n--fkj49sn38dcn3--\r\n"},
	} {
		r := s.ask("GET", "/range.txt", "Range", c.value)
		if r.Code != c.status || r.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("%s: %d, Content-Range %q", c.value, r.Code, r.Header().Get("Content-Range"))
		}
		if c.status == 416 {
			continue
		}
		if got := r.Body.String(); got != c.body {
			t.Errorf("%s: body %q, want %q", c.value, got, c.body)
		}
		if got := r.Header().Get("Content-Length"); got != fmt.Sprint(len(c.body)) {
			t.Errorf("%s: Content-Length %s, want %d", c.value, got, len(c.body))
		}
		multi := strings.Contains(c.body, "--fkj")
		if got := r.Header().Get("Content-Type"); (got == multipartType) != multi {
			t.Errorf("%s: Content-Type %q", c.value, got)
		}
	}
	// of several fields the last counts
	if r := s.ask("GET", "/range.txt", "Range", "bytes=0-1", "Range", "bytes=3-4"); r.Body.String() != "34" {
		t.Errorf("two fields: %q", r.Body)
	}
	off := newStaticSite(t, `setup.static.range_requests(false) actions = { docroot "@ROOT@", static() }`)
	r := off.ask("GET", "/range.txt", "Range", "bytes=0-3")
	if r.Code != 200 || r.Header().Get("Accept-Ranges") != "" || r.Body.String() != all {
		t.Errorf("switched off: %d %v %q", r.Code, r.Header(), r.Body)
	}
}

// TestMultipartShorterFile: a body that cannot be completed must not look complete.
func TestMultipartShorterFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	m := newMultipart(f, []byteRange{{0, 2}, {5, 5}}, 10, "x/y")
	if err := os.Truncate(name, 7); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(m)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, error %v", got, err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
