package httpproxy

import (
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// What is written out by hand is what the strings package says.
func TestFieldsAsStrings(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune(" \t\r\n\x00\x1f\x7f-_:aZ0\u00a0\u212a\ufffd")), 0, 8, -1)
	rapid.Check(t, func(t *rapid.T) {
		s := text.Draw(t, "text")
		if got, want := breaksLine(s), strings.ContainsAny(s, "\r\n\x00"); got != want {
			t.Errorf("breaksLine(%q) = %v", s, got)
		}
		spaceOrControl := func(r rune) bool { return r <= ' ' || r == 0x7f }
		if got, want := hasSpaceOrControl(s), strings.ContainsFunc(s, spaceOrControl); got != want {
			t.Errorf("hasSpaceOrControl(%q) = %v", s, got)
		}
		want := strings.Map(func(r rune) rune {
			if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
				return r
			}
			return '-'
		}, s)
		if got := dashed(s); got != want {
			t.Errorf("dashed(%q) = %q, want %q", s, got, want)
		}
	})
}
