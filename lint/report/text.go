// Package report writes the findings of package lint, and the errors of scripts that do not
// load: as text with the line of the script, as JSON, as SARIF, as a diff of what can be
// corrected.
package report

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"luaserve/lint"
	"luaserve/runtime"
	"luaserve/runtime/luatext"
)

// Text writes findings for people.
type Text struct {
	Out   io.Writer
	Color bool // with escape sequences for terminals
	Lines bool // with the line of the script and what to do
	files map[string]*luatext.Text
}

// The escape sequences of ECMA-48.
const (
	bold    = "1"
	red     = "1;31"
	yellow  = "1;33"
	blue    = "1;34"
	neutral = "0"
)

func (t *Text) paint(style, text string) string {
	if !t.Color {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[" + neutral + "m"
}

// Findings writes each finding.
func (t *Text) Findings(findings []lint.Finding) {
	for _, f := range findings {
		place := f.Pos.String()
		if f.Column > 0 {
			place += fmt.Sprintf(":%d", t.column(f))
		}
		style := map[lint.Severity]string{lint.Error: red, lint.Warning: yellow, lint.Info: blue}[f.Rule.Severity]
		fmt.Fprintf(t.Out, "%s: %s: %s [%s]\n", t.paint(bold, place), t.paint(style, f.Rule.Severity.String()), f.Msg, f.Rule.Code)
		if t.Lines {
			t.Excerpt(f.Pos, f.Column, f.Width)
		}
		switch {
		case f.Fix != nil:
			t.Hint(f.Fix.Msg + "; --fix does that")
		case f.Hint != "":
			t.Hint(f.Hint)
		}
	}
}

// column is the column of a finding in characters.
func (t *Text) column(f lint.Finding) int {
	return charColumn(t.text(f.Pos.File), f.Pos.Line, f.Column)
}

func charColumn(text *luatext.Text, line, column int) int {
	s := text.Line(line)
	if column < 1 || column > len(s)+1 {
		return column
	}
	return utf8.RuneCountInString(s[:column-1]) + 1
}

// Hint writes what to do.
func (t *Text) Hint(hint string) { fmt.Fprintf(t.Out, "      %s %s\n", t.paint(blue, "= hint:"), hint) }

// Excerpt writes a line of a script with a mark below the bytes from column on, both of which
// may be 0.
func (t *Text) Excerpt(pos runtime.Pos, column, width int) {
	line := t.text(pos.File).Line(pos.Line)
	if strings.TrimSpace(line) == "" {
		return
	}
	fmt.Fprintf(t.Out, "%s %s\n", t.paint(blue, fmt.Sprintf("%5d |", pos.Line)), printable(line))
	if column < 1 || column+width-1 > len(line) {
		return
	}
	before, marked := line[:column-1], line[column-1:column-1+width]
	fmt.Fprintf(t.Out, "%s %s%s\n", t.paint(blue, "      |"), blank(before), t.paint(red, strings.Repeat("^", max(utf8.RuneCountInString(marked), 1))))
}

// blank is as wide as s on a terminal: tabs stay.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// printable keeps a script from sending escape sequences to the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r == 0x7f) || 0x80 <= r && r <= 0x9f {
			return '·'
		}
		return r
	}, s)
}

// text returns a script, an empty one when it cannot be read.
func (t *Text) text(file string) *luatext.Text {
	if t.files == nil {
		t.files = map[string]*luatext.Text{}
	}
	if t.files[file] == nil {
		src, _ := os.ReadFile(file)
		t.files[file] = luatext.New(src)
	}
	return t.files[file]
}
