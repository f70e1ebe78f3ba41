package explain

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"luaserve/runtime"
)

// Style says how [Result.Text] looks.
type Style struct {
	Colour bool // ANSI escapes and a tree of lines; without, plain ASCII that is indented
	Width  int  // longer values are cut, in characters; 0 means 100
	All    bool // also each of many conditions in a row that do not hold
}

// Text writes the result for people: every action in order, with its place in the script
// first, so that terminals and editors can jump there.
func (r *Result) Text(w io.Writer, style Style) error {
	if style.Width == 0 {
		style.Width = 100
	}
	t := &text{style: style}
	t.printf("%s\n", t.bold(r.Method+" "+r.URL))
	rows := t.shown(r.Steps)
	t.places = t.widest(rows)
	t.steps(rows, "")
	t.answer(r)
	_, err := io.WriteString(w, t.out.String())
	return err
}

// Actions writes the actions alone, as [Result.Text] does.
func (r *Result) Actions(w io.Writer, style Style) error {
	if style.Width == 0 {
		style.Width = 100
	}
	t := &text{style: style}
	rows := t.shown(r.Steps)
	t.places = t.widest(rows)
	t.steps(rows, "")
	_, err := io.WriteString(w, t.out.String())
	return err
}

type text struct {
	style  Style
	out    strings.Builder
	places int // the width of the longest place
}

func (t *text) printf(format string, args ...any) { fmt.Fprintf(&t.out, format, args...) }

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	amber = "33"
)

func (t *text) paint(code, s string) string {
	if !t.style.Colour || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (t *text) bold(s string) string { return t.paint(bold, s) }

// row is one line of the text: a step, or several that did nothing.
type row struct {
	*runtime.Step
	more int // how many steps behind it are left out
	last runtime.Pos
}

// fewMisses is how many conditions in a row that do not hold are worth a line each.
const fewMisses = 4

// shown puts in the place of a list what is in it, and in that of many conditions in a row
// that do not hold the first of them.
func (t *text) shown(steps []*runtime.Step) []row {
	var rows []row
	for _, s := range flat(steps) {
		rows = append(rows, row{Step: s, last: s.Pos()})
	}
	if t.style.All {
		return rows
	}
	var out []row
	for i := 0; i < len(rows); {
		n := 0
		for i+n < len(rows) && missed(rows[i+n].Step) {
			n++
		}
		if n <= fewMisses {
			n = max(n, 1)
			out = append(out, rows[i:i+n]...)
		} else {
			first := rows[i]
			first.more, first.last = n-1, rows[i+n-1].Pos()
			out = append(out, first)
		}
		i += n
	}
	return out
}

func flat(steps []*runtime.Step) []*runtime.Step {
	var out []*runtime.Step
	for _, s := range steps {
		if s.Name == "list" && s.Error == "" && len(s.Changes) == 0 {
			out = append(out, flat(s.Steps)...)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// missed reports whether a step is a condition that does not hold, and nothing else.
func missed(s *runtime.Step) bool {
	return len(s.Tests) == 1 && !s.Tests[0].Holds && s.Tests[0].Error == "" && len(s.Steps) == 0 &&
		len(s.Changes) == 0 && len(s.Log) == 0 && s.Error == ""
}

func (t *text) widest(rows []row) (n int) {
	for _, r := range rows {
		n = max(n, len(r.Pos().String()), t.widest(t.shown(r.Steps)))
	}
	return n
}

func (t *text) steps(rows []row, indent string) {
	for i, r := range rows {
		branch, below := "├─ ", "│  "
		if i == len(rows)-1 {
			branch, below = "└─ ", "   "
		}
		if !t.style.Colour {
			branch, below = "  ", "  "
		}
		if r.more > 0 {
			t.line(r.Pos().String(), indent+branch, t.paint(amber, fmt.Sprintf("%d conditions that do not hold", r.more+1))+t.paint(dim, ", to "+r.last.String()))
			continue
		}
		inner := t.shown(r.Steps)
		t.line(r.Pos().String(), indent+branch, t.title(r.Step))
		under := indent + below
		if t.style.Colour && len(inner) > 0 {
			under += "│  "
		} else {
			under += "   "
		}
		for _, note := range t.notes(r.Step) {
			t.line("", under, note)
		}
		t.steps(inner, indent+below)
	}
}

func (t *text) line(place, indent, s string) {
	t.printf("%s%s %s%s\n", t.paint(dim, place), strings.Repeat(" ", t.places-len(place)), t.paint(dim, indent), s)
}

// title is the line of a step: its name, what it tested and what came of it.
func (t *text) title(s *runtime.Step) string {
	title := t.bold(s.Name)
	if s.Else {
		title = "else " + title
	}
	if s.Args != "" {
		title += " " + t.cut(s.Args)
	}
	if len(s.Tests) == 1 && len(s.Tests[0].Parts) == 0 {
		title += " " + t.test(s.Tests[0])
	}
	switch {
	case s.Taken == "else" && len(s.Steps) > 0:
		title += ", runs the else"
	case s.Reached:
		title += t.paint(amber, "  reached, not asked")
	case s.Claimed:
		title += t.paint(green, "  answers")
	}
	if s.Lua > 0 {
		title += t.paint(dim, "  Lua "+time.Duration(s.Lua).Round(time.Microsecond).String())
	}
	return title
}

func (t *text) test(test *runtime.Test) string {
	out := t.cut(test.Condition)
	if test.Value != "" || len(test.Parts) == 0 {
		out += t.paint(dim, " saw ") + t.cut(fmt.Sprintf("%q", test.Value))
	}
	switch {
	case test.Error != "":
		return out + ": " + t.paint(red, test.Error)
	case test.Holds:
		return out + ": " + t.paint(green, "yes")
	}
	return out + ": " + t.paint(amber, "no")
}

// notes are the lines below a step.
func (t *text) notes(s *runtime.Step) []string {
	var notes []string
	if len(s.Tests) > 1 || len(s.Tests) == 1 && len(s.Tests[0].Parts) > 0 {
		notes = t.tests(notes, s.Tests, "")
	}
	for _, c := range s.Changes {
		notes = append(notes, t.change(c))
	}
	for _, line := range s.Log {
		notes = append(notes, t.paint(dim, "log: ")+t.cut(line))
	}
	if s.Error != "" {
		for i, line := range strings.Split(strings.TrimSpace(s.Error), "\n") {
			if i == 0 {
				line = "failed: " + line
			}
			notes = append(notes, t.paint(red, line))
		}
	}
	return notes
}

func (t *text) tests(notes []string, tests []*runtime.Test, indent string) []string {
	for _, test := range tests {
		notes = append(notes, indent+"tested "+t.test(test))
		notes = t.tests(notes, test.Parts, indent+"  ")
	}
	return notes
}

func (t *text) change(c runtime.Change) string {
	quote := func(s *string) string { return t.cut(fmt.Sprintf("%q", *s)) }
	arrow := " -> "
	if t.style.Colour {
		arrow = " → "
	}
	switch {
	case c.Before == nil:
		return c.What + " = " + quote(c.After)
	case c.After == nil:
		return c.What + " removed, was " + quote(c.Before)
	}
	return c.What + ": " + quote(c.Before) + arrow + quote(c.After)
}

// answer tells what the client would get, and who decided that.
func (t *text) answer(r *Result) {
	colour := green
	if r.Status >= 400 {
		colour = red
	}
	t.printf("%s", t.paint(colour, fmt.Sprintf("%d %s", r.Status, runtime.StatusText(r.Status))))
	place := func(d *Decision) string {
		if pos := (runtime.Pos{File: d.File, Line: d.Line}).String(); pos != "" {
			return pos + ": " + d.Name
		}
		return d.Name
	}
	switch d := r.Decided; {
	case d == nil:
		t.printf("  no rule has answered\n")
	case d.Failed != "":
		t.printf("  because of an error at %s\n", place(d))
	case d.Reached:
		t.printf("  decided at %s; the backend was not asked\n", place(d))
	default:
		t.printf("  decided at %s\n", place(d))
	}
	for _, f := range r.Header {
		t.printf("%s: %s\n", t.paint(dim, f.Name), f.Value)
	}
	switch {
	case r.Cut != "":
		t.printf("%s\n", t.paint(red, fmt.Sprintf("the body broke off after %d bytes: %s", r.Length, r.Cut)))
	case r.Length > 0:
		t.printf("%s\n", t.paint(dim, fmt.Sprintf("%d bytes", r.Length)))
	}
}

// cut makes a value fit.
func (t *text) cut(s string) string {
	if utf8.RuneCountInString(s) <= t.style.Width {
		return s
	}
	return string([]rune(s)[:t.style.Width-1]) + "…"
}
