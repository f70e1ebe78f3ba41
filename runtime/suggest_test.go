package runtime

import "testing"

func TestNearest(t *testing.T) {
	names := []string{"redirect", "rewrite", "header.add", "header.append", "static", "eq", "ne", "lt", "map", "list", "env.set", "log"}
	for in, want := range map[string]string{
		"redirct": "redirect", "redierct": "redirect", "heder.add": "header.add", "satic": "static",
		"header.ad": "header.add", "Redirect": "redirect", "STATIC": "static", "mpa": "map", "maps": "map", "lits": "list", "qe": "eq",
		// what has too little in common
		"completely": "", "x": "", "e": "", "ie": "", "is": "", "lo": "", "foo": "", "abc": "", "lust": "list", "boost": "", "get": "",
		"env": "", "add": "", "state": "", "stats": "", "stop": "",
	} {
		if got := Nearest(in, names); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Nearest("aa", []string{"aa", "ab"}); got != "aa" {
		t.Errorf("an equal name is the nearest, got %q", got)
	}
}
