package upstream

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is written out by hand is what the strings package says.
func TestFieldsAsStrings(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune(" \t\r\n:ab\x00\u00a0\u212a")), 0, 12, -1)
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		if got, want := trimSpace(s), strings.Trim(s, " \t"); got != want {
			t.Errorf("trimSpace(%q) = %q, want %q", s, got, want)
		}
		line, rest := CutLine(s)
		before, after, _ := strings.Cut(s, "\n")
		if line != strings.TrimSuffix(before, "\r") || rest != after {
			t.Errorf("CutLine(%q) = %q, %q", s, line, rest)
		}
	})
}
