package luatext

import "strings"

// closers says what ends what a token opens.
var closers = map[string]string{
	"function": "end", "if": "end", "do": "end", "repeat": "until", "(": ")", "{": "}", "[": "]",
}

// Unclosed returns the token of a block or bracket that the script opens and does not close,
// and what would close it. When there are several it is the one whose end is indented less
// than its beginning: the end of an outer one was taken for its own.
func (t *Text) Unclosed() (opened Token, closer string, ok bool) {
	var open []Token
	var suspect Token
	for tok := range t.Tokens() {
		if tok.Kind != Keyword && tok.Kind != Symbol {
			continue
		}
		if closers[tok.Text] != "" {
			open = append(open, tok)
			continue
		}
		switch tok.Text {
		case "end", "until", ")", "}", "]":
		default:
			continue
		}
		if len(open) == 0 {
			return Token{}, "", false // one too many, not one too few
		}
		top := open[len(open)-1]
		if closers[top.Text] != tok.Text {
			return top, closers[top.Text], true
		}
		if suspect.Text == "" && tok.Line > top.Line && t.indent(tok.Line) < t.indent(top.Line) && t.first(tok) {
			suspect = top
		}
		open = open[:len(open)-1]
	}
	if len(open) == 0 {
		return Token{}, "", false
	}
	if suspect.Text == "" {
		suspect = open[len(open)-1]
	}
	return suspect, closers[suspect.Text], true
}

// indent returns how far a line is indented; a tab counts as four columns.
func (t *Text) indent(line int) int {
	text := t.Line(line)
	blank := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	return len(strings.ReplaceAll(blank, "\t", "    "))
}

// first reports whether a token is the first on its line.
func (t *Text) first(tok Token) bool {
	return strings.TrimSpace(t.Line(tok.Line)[:tok.Column-1]) == ""
}
