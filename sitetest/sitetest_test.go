package sitetest_test

import (
	"context"
	"encoding/xml"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/sitetest"
)

var update = flag.Bool("update", false, "write the expected reports and docs/testing.md anew")

// TestRun runs the tests in testdata/*.txtar and compares the report with want.text.
func TestRun(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			path, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := &ar.Files[len(ar.Files)-1]
			if want.Name != "want.text" {
				t.Fatal("the last file must be want.text")
			}
			t.Chdir(t.TempDir())
			for _, f := range ar.Files[:len(ar.Files)-1] {
				write(t, f.Name, string(f.Data))
			}
			report := run(t, 4)
			var out strings.Builder
			if err := report.Text(&out, false, true); err != nil {
				t.Fatal(err)
			}
			if got := out.String(); got != string(want.Data) {
				if *update {
					want.Data = []byte(got)
					if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				t.Errorf("got\n%s\nwant\n%s", got, want.Data)
			}
		})
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, parallel int) *sitetest.Report {
	t.Helper()
	files, err := sitetest.Find([]string{"."})
	if err != nil {
		t.Fatal(err)
	}
	// long enough for a busy machine; one test of the cases runs until then
	report, err := sitetest.Run(context.Background(), files, sitetest.Options{Load: load, Parallel: parallel, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func load(site string, s sitetest.Surroundings) (*runtime.Program, error) {
	return runtime.Load(site, runtime.Config{
		Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true,
		Now: s.Now, Overlay: s.Overlay, Values: map[any]any{bindings.BackendDialer{}: s.Connect},
	})
}

// What a path means: a site stands for its tests, a folder for all in it.
func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"site.lua", "site_test.lua", "other.lua", "sub/site_test.lua", "notes.txt"} {
		write(t, name, "")
	}
	for paths, want := range map[string]string{
		"site.lua":               "site_test.lua",
		"site_test.lua":          "site_test.lua",
		"site.lua site_test.lua": "site_test.lua",
		"other.lua":              "other.lua",
		".":                      "site_test.lua sub/site_test.lua",
		"sub site.lua":           "site_test.lua sub/site_test.lua",
	} {
		got, err := sitetest.Find(strings.Fields(paths))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, %v, want %s", paths, got, err, want)
		}
	}
}

// Reports for machines are well formed, whatever names and messages are.
func TestFormats(t *testing.T) {
	report := &sitetest.Report{Outcomes: []sitetest.Outcome{
		{File: "a_test.lua", Name: "fine", Line: 1},
		{File: "a_test.lua", Name: "a # and <b> &\nmore", Line: 2, Failed: "a_test.lua:3: got \"\x01\", want ]]>\nmore", Log: []string{"x"}},
		{File: "b_test.lua", Name: "later", Line: 1, Skipped: "not today"},
	}}
	var tap, junit strings.Builder
	if err := report.TAP(&tap); err != nil {
		t.Fatal(err)
	}
	if want := "TAP version 13\n1..3\nok 1 - a_test.lua: fine\nnot ok 2 - a_test.lua: a \\# and <b> & more\n" +
		"  ---\n  message: |\n      a_test.lua:3: got \"\x01\", want ]]>\n      more\n  ...\nok 3 - b_test.lua: later # SKIP not today\n"; tap.String() != want {
		t.Errorf("got\n%s\nwant\n%s", tap.String(), want)
	}
	if err := report.JUnit(&junit); err != nil {
		t.Fatal(err)
	}
	var parsed struct {
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Cases []struct {
				Name    string  `xml:"name,attr"`
				Failure *string `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal([]byte(junit.String()), &parsed); err != nil {
		t.Fatalf("%v\n%s", err, junit.String())
	}
	if parsed.Failures != 1 || len(parsed.Suites) != 2 || parsed.Suites[0].Cases[1].Failure == nil {
		t.Errorf("%+v", parsed)
	}
}

// Tests that run at once do not see each other: each has its own site, backends and clock.
func TestParallel(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "site.lua", `local n = 0
actions = { function(vr) n = n + 1; vr.env["N"] = n end, when(request.path:eq "/app", proxy "127.0.0.1:9"), respond "%{req.env[N]}" }`)
	write(t, "site_test.lua", `for i = 1, 30 do
  test("test " .. i, function(t)
    t:backend("127.0.0.1:9", function() return "backend " .. i end)
    t:eq(t:get("http://a/").body, "1")
    t:eq(t:get("http://a/app").body, "backend " .. i)
    t:eq(t:get("http://a/").body, "3")
  end)
end`)
	if report := run(t, 8); report.Failures() != 0 || len(report.Outcomes) != 30 {
		t.Errorf("%+v", report)
	}
}

// The tests that docs/testing.md shows pass, on the site that it speaks of.
func TestDocumentedTests(t *testing.T) {
	text, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "```test\n")
	tests, _, ended := strings.Cut(rest, "\n```")
	if !ok || !ended {
		t.Fatal("there is no block of tests")
	}
	t.Chdir(t.TempDir())
	write(t, "site_test.lua", tests)
	write(t, "site.lua", `setup.mime_types "default"
lua.plugin "core.lua"
actions = vhost.map { ["trac.example.net"] = {
  docroot "/srv/trac/",
  when(request.path:match "\\.(css|png)$", { expire "access 1 week" }),
  when(physical.is_file, static(), core.wsgi("/trac", { fastcgi "unix:/run/trac.sock" })),
} }`)
	if report := run(t, 1); report.Failures() != 0 || len(report.Outcomes) != 2 {
		t.Errorf("%+v", report.Outcomes)
	}
}

// docs/testing.md has the list of methods; -update writes it anew.
func TestDocumentation(t *testing.T) {
	const file = "../docs/testing.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| call | what it does |\n| --- | --- |\n")
	for _, m := range sitetest.Methods() {
		table.WriteString("| `t:" + m.Name + "(" + m.Args + ")` | " + strings.ReplaceAll(m.Doc, "|", `\|`) + " |\n")
	}
	head, rest, _ := strings.Cut(string(text), "<!-- methods -->\n")
	_, tail, _ := strings.Cut(rest, "<!-- end -->\n")
	want := head + "<!-- methods -->\n" + table.String() + "<!-- end -->\n" + tail
	if want == string(text) {
		return
	}
	if !*update {
		t.Errorf("%s is stale: run go test ./sitetest -update", file)
	} else if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
