package main

import (
	"strings"
	"testing"

	"luaserve/runtime"
)

func TestCompleteLine(t *testing.T) {
	names, err := replNames()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ line, want, listed string }{
		{"docr", "docroot", ""},
		{"{ docr", "{ docroot", ""},
		{"request.pa", "request.path", ""},
		{"request.path:suf", "request.path:suffix", ""},
		{".expl", ".explain", ""},
		{"header.", "header.", "header.add  header.append  "},
		{"when(request.me", "when(request.method", ""},
		{"nothing_like_it", "", ""},
		{"", "", ""},
	} {
		var listed strings.Builder
		got, pos, _ := completeLine(&listed, names, tt.line, len(tt.line))
		if got != tt.want || pos != len(got) || !strings.HasPrefix(listed.String(), tt.listed) {
			t.Errorf("%s: got %q, %d, listed %q", tt.line, got, pos, listed.String())
		}
	}
	if got, pos, _ := completeLine(nil, names, "{ docr }", 6); got != "{ docroot }" || pos != 9 {
		t.Errorf("within a line: %q, %d", got, pos)
	}
}

// Lines of earlier sessions come back, the last one first.
func TestHistory(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	h := openHistory()
	for _, line := range []string{"one", "two", "two", " "} {
		h.Add(line)
	}
	h.close()
	h = openHistory()
	defer h.close()
	if h.Len() != 2 || h.At(0) != "two" || h.At(1) != "one" {
		t.Errorf("%q", h.lines)
	}
}

func TestReplOnLines(t *testing.T) {
	var stdout, stderr strings.Builder
	a := &app{stdout: &stdout, stderr: &stderr}
	err := a.replOnLines(t.Context(), strings.NewReader(".get http://a/b\nrequest.path:eq \"/b\"\nredirct 'x'\n"), "", runtime.Sandbox{})
	if err == nil || err.Error() != "1 lines were wrong" || !strings.Contains(stdout.String(), `saw "/b": yes`) || !strings.Contains(stderr.String(), "did you mean") {
		t.Errorf("%v\n%s\n%s", err, stdout.String(), stderr.String())
	}
}
