package runtime

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"redirect", "rewrite", "header.add", "header.append", "static"}
	for in, want := range map[string]string{
		"redirct": "redirect", "redierct": "redirect", "heder.add": "header.add", "satic": "static",
		"header.ad": "header.add", "completely": "", "x": "",
	} {
		if got := Nearest(in, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
}
