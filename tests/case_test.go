package tests

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"luaserve/tests/backend"
)

// conformanceCase is one file of testdata/conformance: a configuration, files, requests, and what
// lighttpd2 answered. Decoding is strict, so that a key the runner does not know fails instead of
// leaving something unchecked.
type conformanceCase struct {
	Name     string              `json:"name"`
	Area     string              `json:"area"`
	Config   string              `json:"config"`
	Files    map[string]fileSpec `json:"files"`
	Start    string              `json:"start"` // "fail": the script must be refused
	Requests []request           `json:"requests"`
	Settle   float64             `json:"settle"` // seconds between the last answer and the stop

	// Each of these gives a reason not to compare the answers.
	OracleCrash        string `json:"oracle_crash"`
	OracleBug          string `json:"oracle_bug"`
	AcceptedDifference string `json:"accepted_difference"`

	// About the recording, not compared.
	Note        string          `json:"note"`
	Oracle      string          `json:"oracle"`
	ExpectCrash bool            `json:"expect_crash"`
	ExpectHang  bool            `json:"expect_hang"`
	StartResult json.RawMessage `json:"start_result"`
	LogContains []string        `json:"log_contains"`
}

// accepted is the reason not to compare, "" when the case is compared.
func (c *conformanceCase) accepted() string {
	for _, s := range []string{c.AcceptedDifference, c.OracleBug, c.OracleCrash} {
		if s != "" {
			return s
		}
	}
	return ""
}

// request is what one connection sends: method and target, or raw bytes, or bytes in parts
// (50 ms between them), or a sequence of requests which each wait for their answer.
type request struct {
	Method  string    `json:"method"`
	Target  string    `json:"target"`
	Headers fieldList `json:"headers"`
	Body    *string   `json:"body"`
	Raw     *string   `json:"raw"`
	Pad     int       `json:"pad"` // length of the "aaa…" that replaces @PAD@ in raw
	Parts   []string  `json:"parts"`
	Seq     []string  `json:"seq"`

	N           int               `json:"n"`       // answers to read, 1 when not given
	Methods     []string          `json:"methods"` // of the n requests, where they differ
	Shutdown    bool              `json:"shutdown"`
	CheckClose  bool              `json:"check_close"`
	DelayBefore float64           `json:"delay_before"`
	Save        map[string]string `json:"save"` // variable: header; used as @SAVED:variable@ later

	Expect         expectations `json:"expect"`
	UnorderedLines bool         `json:"unordered_lines"`
	OracleBug      string       `json:"oracle_bug"`
	Accepted       string       `json:"accepted_difference"` // why this answer differs from the recorded one

	// They chose what was recorded; the comparison follows from the record.
	KeepHeaders    []string `json:"keep_headers"`
	DropHeaders    []string `json:"drop_headers"`
	AbsentHeaders  []string `json:"absent_headers"`
	NoBody         bool     `json:"nobody"`
	CheckReason    bool     `json:"check_reason"`
	ExactErrorPage bool     `json:"exact_error_page"`
}

// expectation is one recorded answer. Headers that it does not name are free.
type expectation struct {
	Status           int                     `json:"status"`
	Version          string                  `json:"version"`
	Reason           *string                 `json:"reason"`
	Headers          map[string]headerValues `json:"headers"`
	AbsentHeaders    []string                `json:"absent_headers"`
	Body             *string                 `json:"body"`
	BodySHA256       string                  `json:"body_sha256"`
	BodyLen          int                     `json:"body_len"`
	DefaultErrorPage bool                    `json:"default_error_page"`
	Interim          []int                   `json:"interim"`
	ExpiresMinusDate *int                    `json:"expires_minus_date"`
	Closed           *bool                   `json:"closed"`
	Truncated        bool                    `json:"truncated"`
	Timeout          bool                    `json:"timeout"`
	UntilClose       bool                    `json:"until_close"` // recorded, not compared
	NoResponse       bool                    `json:"no_response"`
	Partial          *string                 `json:"partial"`
}

// expectations are the answers on one connection; list says that there are several.
type expectations struct {
	list bool
	each []expectation
}

type field struct{ name, value string }

// fieldList is written as an object, or as a list of pairs where a name repeats. The order counts.
type fieldList []field

// headerValues is written as a string, or as a list where the header repeats.
type headerValues []string

// fileSpec is written as a string, the text, or as an object.
type fileSpec struct {
	Text    string       `json:"text"`
	B64     *string      `json:"b64"`
	Symlink *string      `json:"symlink"`
	Dir     bool         `json:"dir"`
	Mode    *os.FileMode `json:"mode"`
	MTime   *int64       `json:"mtime"`
}

func unmarshalStrict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

func (e *expectations) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		e.list = true
		return unmarshalStrict(data, &e.each)
	}
	e.each = make([]expectation, 1)
	return unmarshalStrict(data, &e.each[0])
}

func (f *fieldList) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		var pairs [][2]string
		err := json.Unmarshal(data, &pairs)
		for _, p := range pairs {
			*f = append(*f, field{p[0], p[1]})
		}
		return err
	}
	// token by token: a map would lose the order
	d := json.NewDecoder(bytes.NewReader(data))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		var value string
		name, err := d.Token()
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return err
		}
		*f = append(*f, field{name.(string), value})
	}
	return nil
}

func (h *headerValues) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]string)(h))
	}
	*h = make([]string, 1)
	return json.Unmarshal(data, &(*h)[0])
}

func (s *fileSpec) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		return json.Unmarshal(data, &s.Text)
	}
	type plain fileSpec // without this method
	return unmarshalStrict(data, (*plain)(s))
}

func loadCases(t *testing.T) []*conformanceCase {
	t.Helper()
	paths, err := filepath.Glob("testdata/conformance/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var cases []*conformanceCase
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		c := &conformanceCase{}
		if err := unmarshalStrict(data, c); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if want := strings.TrimSuffix(filepath.Base(p), ".json"); c.Name != want {
			t.Fatalf("%s: its name is %q", p, c.Name)
		}
		cases = append(cases, c)
	}
	return cases
}

// site is a directory made for one run, with the values of the placeholders.
type site struct {
	root, docroot string
	config        string // path of the script, in root/dir
	port          int
	values        [][2]string // placeholder, value
	saved         map[string]string
}

func newSite(t *testing.T, b *backend.Backend) *site {
	t.Helper()
	root := shortDir(t)
	s := &site{root: root, docroot: root + "/www", config: root + "/dir/config.lua", port: freePort(t), saved: map[string]string{}}
	s.values = [][2]string{
		{"@BACKEND_FCGI@", b.FCGI},
		{"@BACKEND_SCGI@", b.SCGI},
		{"@BACKEND_HTTP@", b.HTTP},
		{"@BACKEND_DEAD@", deadBackend(b)},
		{"@CORE_LUA@", "core.lua"},
		{"@SECDOWNLOAD_LUA@", "secdownload.lua"},
		{"@DOCROOT@", s.docroot},
		{"@DIR@", root + "/dir"},
		{"@PORT@", strconv.Itoa(s.port)},
	}
	return s
}

// deadBackend is an address that nobody listens on.
func deadBackend(b *backend.Backend) string { return strings.TrimSuffix(b.FCGI, "fcgi") + "dead" }

// expand puts the values in the place of the placeholders.
func (s *site) expand(text string) string {
	for _, v := range s.values {
		text = strings.ReplaceAll(text, v[0], v[1])
	}
	for name, value := range s.saved {
		text = strings.ReplaceAll(text, "@SAVED:"+name+"@", value)
	}
	return text
}

// unexpand puts the placeholders back.
func (s *site) unexpand(text string) string {
	for _, v := range s.values {
		if v[0] == "@PORT@" {
			text = replaceNumber(text, v[1], v[0])
		} else {
			text = strings.ReplaceAll(text, v[1], v[0])
		}
	}
	return text
}

// replaceNumber replaces number where it is not a part of a longer one.
func replaceNumber(text, number, by string) string {
	digit := func(i int) bool { return i >= 0 && i < len(text) && text[i] >= '0' && text[i] <= '9' }
	var out strings.Builder
	for {
		i := strings.Index(text, number)
		if i < 0 {
			return out.String() + text
		}
		end := i + len(number)
		if digit(i-1) || digit(end) {
			out.WriteString(text[:end])
		} else {
			out.WriteString(text[:i] + by)
		}
		text = text[end:]
	}
}

// recordedTime is the time of every file unless the case says otherwise:
// Sun, 09 Sep 2001 01:46:40 GMT.
var recordedTime = time.Unix(1000000000, 0)

// docroot is what every case finds there, besides big.bin.
var docroot = map[string]string{
	"index.html":                       "docroot index\n",
	"a.txt":                            "file a\n",
	"b.html":                           "<p>b</p>\n",
	"range.txt":                        "0123456789abcdefghijklmnopqrstuvwxyz",
	"empty.txt":                        "",
	"noext":                            "no extension\n",
	"script.php":                       "<?php echo 1; ?>\n",
	"arch.tar.gz":                      "not really gzip\n",
	"space name.txt":                   "spaces\n",
	"uml\u00e4ut.txt":                  "umlaut\n",
	"plus+name.txt":                    "plus\n",
	"sub/index.html":                   "sub index\n",
	"sub/page.html":                    "sub page\n",
	"sub/x.txt":                        "sub x\n",
	"noindex/file.txt":                 "noindex file\n",
	"app/run.fcgi":                     "app\n",
	"cached/page.html":                 "cached page\n",
	"cached/dir.html":                  "cached dir html\n",
	"cached/dir/other.txt":             "other\n",
	"cached/both.html":                 "both html\n",
	"cached/both":                      "both plain\n",
	"hosts/example.com/index.html":     "host example.com\n",
	"hosts/www.example.com/index.html": "host www.example.com\n",
	"hosts/com/index.html":             "host com\n",
	"hosts/default/index.html":         "host default\n",
	"secret/file.txt":                  "secret file\n",
	".hidden":                          "hidden\n",
	"backup~":                          "backup\n",
}

// writeFiles makes the docroot, the files of the case and its script.
func (s *site) writeFiles(c *conformanceCase) error {
	errs := []error{}
	write := func(path string, data []byte) {
		errs = append(errs, writeOld(path, data))
	}
	for name, text := range docroot {
		write(filepath.Join(s.docroot, name), []byte(text))
	}
	big := make([]byte, 300000)
	for i := range big {
		big[i] = byte(i % 251)
	}
	write(filepath.Join(s.docroot, "big.bin"), big)
	for name, spec := range c.Files {
		path := filepath.Join(filepath.Dir(s.config), name)
		if strings.HasPrefix(name, "www/") {
			path = filepath.Join(s.root, name)
		}
		errs = append(errs, s.writeSpec(path, spec))
	}
	write(s.config, []byte(s.expand(c.Config)))
	return errors.Join(errs...)
}

func (s *site) writeSpec(path string, spec fileSpec) error {
	switch {
	case spec.Symlink != nil:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Symlink(s.expand(*spec.Symlink), path)
	case spec.Dir:
		return os.MkdirAll(path, 0o755)
	}
	data := []byte(s.expand(spec.Text))
	if spec.B64 != nil {
		var err error
		if data, err = base64.StdEncoding.DecodeString(*spec.B64); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := writeOld(path, data); err != nil {
		return err
	}
	if spec.Mode != nil {
		if err := os.Chmod(path, *spec.Mode); err != nil {
			return err
		}
	}
	if spec.MTime != nil {
		return os.Chtimes(path, time.Time{}, time.Unix(*spec.MTime, 0))
	}
	return nil
}

// writeOld writes a file that was last changed at recordedTime.
func writeOld(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, recordedTime, recordedTime)
}

// sortedLines sorts the lines of text, for bodies whose order is free.
func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
