package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	files := map[string]string{
		"site.lua": `actions = {
  when(request.header["X-Who"]:eq "me", respond "it is %{req.header[X-Who]} from %{req.remoteip}"),
  when(request.length:eq "11", respond(201, "eleven bytes")),
}`,
		"body": "from a file",
		"key":  "short",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args           string
		code           int
		stdout, stderr string // what must be in it
	}{
		{"explain site.lua http://a/ -H X-Who:me --remote 192.0.2.7 --body", 0, "it is me from 192.0.2.7", ""},
		{"explain site.lua a/", 0, "404 Not Found  no rule has answered", ""},
		{"explain site.lua get http://a/", 0, "GET http://a/\n", ""},
		{"explain site.lua POST http://a/ -d @body --body", 0, "eleven bytes", ""},
		{"explain site.lua http://a/ -d @nobody", 1, "", "open nobody: no such file"},
		{"explain site.lua /path", 1, "", `the URL "/path" has no host; expected http://example.net/path`},
		{"explain site.lua /path -H Host:a", 0, "GET http://a/path", ""},
		{"explain site.lua ftp://a/", 1, "", `has the scheme "ftp"; expected http or https`},
		{"explain site.lua http://a/ -H X-Who", 1, "", `"X-Who" is no header field; expected "Name: value"`},
		{"explain site.lua http://a/ --remote there", 1, "", `--remote: "there" is no address`},
		{"explain gone.lua http://a/", 1, "", `cannot read the script "gone.lua"`},
		{"explain site.lua", 2, "", "expected a script, a method if it is not GET, and a URL, got 1 arguments"},
		{"explain --server http://127.0.0.1:1 --key-file key http://a/", 1, "", "has 5 bytes; expected at least 16"},
		{"explain --server http://127.0.0.1:1 http://a/", 1, "", "key-file"},
	} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), strings.Fields(tt.args), &stdout, &stderr)
		if code != tt.code || !strings.Contains(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
			t.Errorf("%s: %d\n%s\n%s", tt.args, code, stdout.String(), stderr.String())
		}
	}

	var stdout, stderr strings.Builder
	run(t.Context(), strings.Fields("explain site.lua http://a/ -H X-Who:me --json"), &stdout, &stderr)
	var out struct {
		Status  int
		Decided struct {
			File string
			Line int
		}
	}
	if err := json.Unmarshal([]byte(stdout.String()), &out); err != nil || out.Status != 200 || out.Decided.File != "site.lua" || out.Decided.Line != 2 {
		t.Errorf("%v %+v\n%s", err, out, stdout.String())
	}
}
