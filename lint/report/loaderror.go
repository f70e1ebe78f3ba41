package report

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"

	"luaserve/lint"
	"luaserve/runtime"
	"luaserve/runtime/luatext"
)

// LoadError makes a finding of why a script does not load: the place on the line, and what to
// do where that is known.
func LoadError(file string, err error) lint.Finding {
	f := lint.Finding{Rule: lint.LoadError, Pos: runtime.Pos{File: file}, Msg: err.Error()}
	var le *runtime.LoadError
	if !errors.As(err, &le) || le.Pos.File == "" {
		return f
	}
	f.Pos, f.Msg = le.Pos, le.Msg
	src, readErr := os.ReadFile(le.Pos.File)
	if readErr != nil {
		return f
	}
	text := luatext.New(src)
	for _, name := range namesIn(le.Msg) {
		if found := text.Find(le.Pos.Line, name); len(found) > 0 {
			f.Column, f.Width = found[0].Column, len(found[0].Text)
			if len(found) == 1 {
				correct(&f, err, found[0])
			}
			break
		}
	}
	return f
}

var quotedName = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)

// namesIn returns what a message may be about, in the order of how likely that is: what it
// quotes, and the name that it begins with.
func namesIn(msg string) []string {
	var names []string
	for _, m := range quotedName.FindAllStringSubmatch(msg, -1) {
		if m[1] != "" {
			names = append(names, m[1])
		}
	}
	if name, _, ok := strings.Cut(msg, ":"); ok && !strings.ContainsAny(name, " \"") {
		names = append(names, name)
	}
	return names
}

// correct offers the nearest name when one slip of the finger is all that is between the two.
func correct(f *lint.Finding, err error, at luatext.Token) {
	var unknown *runtime.UnknownNameError
	if !errors.As(err, &unknown) || unknown.Nearest == "" || at.Text != unknown.Name || !oneSlip(unknown.Name, unknown.Nearest) {
		return
	}
	f.Fix = &lint.Fix{Msg: "write " + unknown.Nearest, Edits: []lint.Edit{{Start: at.Offset, End: at.End(), New: unknown.Nearest}}}
}

// oneSlip reports whether a and b differ by one letter: another, one more, one less, or two
// in the wrong order.
func oneSlip(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch {
	case len(a) == len(b) && len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]:
		return true
	case len(a) == len(b):
		return len(a) > 0 && a[1:] == b[1:]
	case len(a) == len(b)+1:
		return a[1:] == b
	case len(b) == len(a)+1:
		return b[1:] == a
	}
	return false
}

var unclosed = regexp.MustCompile(`the "(.+)" of line (\d+) has no "`)

// LoadError writes the rest of an error of a script, below its message: the line, that of a
// block that is not closed, and a hint.
func (t *Text) LoadError(f lint.Finding) {
	if m := unclosed.FindStringSubmatch(f.Msg); m != nil {
		line, _ := strconv.Atoi(m[2])
		if found := t.text(f.Pos.File).Find(line, m[1]); line != f.Pos.Line && len(found) > 0 {
			t.Excerpt(runtime.Pos{File: f.Pos.File, Line: line}, found[len(found)-1].Column, len(m[1]))
		}
	}
	t.Excerpt(f.Pos, f.Column, f.Width)
	switch {
	case f.Hint != "":
		t.Hint(f.Hint)
	case f.Fix != nil:
		t.Hint(f.Fix.Msg)
	}
}
