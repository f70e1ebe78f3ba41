package reference

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"luaserve/runtime"
)

// Printer prints entries as text.
type Printer struct {
	Width int  // of a line; longer words and examples are not broken
	Bold  bool // titles are bold, by an escape sequence
}

// nameWidth limits the column of names in a list; longer names push their line to the right.
const nameWidth = 34

// List prints a line for each entry: its name and its first sentence.
func (p Printer) List(w io.Writer, entries []*Entry) error {
	width := 0
	for _, e := range entries {
		width = max(width, min(utf8.RuneCountInString(e.plain()), nameWidth))
	}
	for _, e := range entries {
		if _, err := fmt.Fprintln(w, p.hang(fmt.Sprintf("  %-*s  ", width, e.plain()), width+4, e.Summary())); err != nil {
			return err
		}
	}
	return nil
}

// Entry prints everything about one entry.
func (p Printer) Entry(w io.Writer, e *Entry) error {
	var b strings.Builder
	title := e.Title()
	if p.Bold {
		title = "\x1b[1m" + title + "\x1b[0m"
	}
	fmt.Fprintf(&b, "%s\n\n%s\n", title, p.hang("  ", 2, e.explanation()))
	p.params(&b, e)
	if e.Example != "" {
		fmt.Fprintf(&b, "\n    %s\n", strings.ReplaceAll(strings.TrimSpace(e.Example), "\n", "\n    "))
	}
	if len(e.Entries) > 0 {
		b.WriteString("\n")
		p.members(&b, e)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// explanation is the description of an entry in sentences.
func (e *Entry) explanation() string {
	switch e.Kind {
	case Operator:
		text := fmt.Sprintf("True when the variable %s.", e.Doc)
		if e.sign != "" {
			text += fmt.Sprintf(" In lighttpd2's own language: %s", e.sign)
		}
		return text
	case Combination:
		return fmt.Sprintf("Makes one condition of a table of conditions: true when %s.", e.Doc)
	case Variable:
		return fmt.Sprintf("%s In a pattern: %s", e.Doc, strings.Trim(e.elsewhere(), "`"))
	case Field:
		return fmt.Sprintf("%s Type: %s%s.", e.Doc, e.types, e.access())
	case Method:
		if e.types != "" {
			return fmt.Sprintf("%s Type of what it returns: %s.", e.Doc, e.types)
		}
	}
	return e.Doc
}

func (p Printer) params(b *strings.Builder, e *Entry) {
	if len(e.Params) == 0 || e.Kind == Option {
		return
	}
	b.WriteString("\n")
	for _, param := range e.Params {
		fmt.Fprintln(b, p.hang(fmt.Sprintf("  %s: ", param.Name), 6, param.describe()))
		p.options(b, param.Options, 8)
	}
}

func (p Printer) options(b *strings.Builder, options []runtime.TableOption, indent int) {
	for _, o := range options {
		fmt.Fprintln(b, p.hang(strings.Repeat(" ", indent)+optionHead(o)+": ", indent+4, optionDoc(o)))
		p.options(b, o.Options, indent+4)
	}
}

// members prints what an object has, whole, or what a module has, a line each.
func (p Printer) members(b *strings.Builder, e *Entry) {
	if e.Kind != Object {
		_ = p.List(b, e.Entries) // a Builder never fails
		return
	}
	for _, m := range e.Entries {
		fmt.Fprintln(b, p.hang("  "+strings.TrimPrefix(m.signature(), e.Name)+m.access()+": ", 6, m.Doc))
	}
}

// hang breaks text into lines behind a prefix; the following lines are indented.
func (p Printer) hang(prefix string, indent int, text string) string {
	var b strings.Builder
	b.WriteString(prefix)
	column, space := utf8.RuneCountInString(prefix), ""
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if column+len(space)+n > p.Width && column > indent {
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column, space = indent, ""
		}
		b.WriteString(space + word)
		column += len(space) + n
		space = " "
	}
	return b.String()
}
