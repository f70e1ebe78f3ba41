package reference

import (
	"fmt"
	"strings"
)

// Markdown prints everything as one page.
func (r *Reference) Markdown() string {
	var b strings.Builder
	b.WriteString("# Reference\n\nEverything that a script can use. This page is made from the tables of the modules.\n\n")
	b.WriteString("Setups are called while the script is loaded: `setup.listen \"127.0.0.1:8080\"`. Actions make up the pipeline: `action.respond \"hello\"`, or just `respond \"hello\"`. " +
		"An option is both: as a setup it counts for all requests, as an action for the rest of one.\n\n")
	for _, m := range r.modules {
		title := m.Name
		if m.Kind == Plugin {
			title = "plugin " + title
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", title, m.Doc)
		writeTable(&b, m, Variable, "| variable | in a pattern | meaning |")
		writeTable(&b, m, Operator, "| operator | in lighttpd2 | true when the variable |")
		writeTable(&b, m, Combination, "| combination | | true when |")
		for _, e := range m.Entries {
			writeEntry(&b, e)
		}
	}
	return b.String()
}

// writeTable prints the entries of a kind as a table of three columns, if there are any.
func writeTable(b *strings.Builder, m *Entry, kind Kind, head string) {
	lines := 0
	for _, e := range m.Entries {
		if e.Kind != kind {
			continue
		}
		if lines++; lines == 1 {
			b.WriteString(head + "\n| --- | --- | --- |\n")
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", e.tableName(), e.elsewhere(), e.Doc)
	}
	if lines > 0 {
		b.WriteString("\n")
	}
}

func (e *Entry) tableName() string {
	if e.Kind == Combination {
		return e.Name + "{…}"
	}
	return e.qualified()
}

// elsewhere is how a condition's part is written in patterns, or in lighttpd2.
func (e *Entry) elsewhere() string {
	switch {
	case e.Kind == Variable && e.keyed:
		return "`%{" + e.Name + "[name]}`"
	case e.Kind == Variable:
		return "`%{" + e.Name + "}`"
	case e.sign != "":
		return "`" + e.sign + "`"
	}
	return ""
}

func writeEntry(b *strings.Builder, e *Entry) {
	switch e.Kind {
	case Object:
		writeObject(b, e)
	case Setup, Action, Option:
		fmt.Fprintf(b, "### %s\n\n%s\n\n", strings.TrimPrefix(e.Title(), "action "), e.Doc)
		if e.Kind != Option && len(e.Params) > 0 {
			for _, p := range e.Params {
				fmt.Fprintf(b, "- `%s`: %s\n", p.Name, p.describe())
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "```lua\n%s\n```\n\n", e.Example)
	}
}

// describe says what a parameter takes.
func (p Param) describe() string {
	text := p.Type
	if p.Optional {
		text += ", optional"
	}
	if p.Doc != "" {
		text += "; " + p.Doc
	}
	return text
}

func writeObject(b *strings.Builder, o *Entry) {
	fmt.Fprintf(b, "### object %s\n\n%s\n\n", o.Name, o.Doc)
	if len(o.Entries) == 0 {
		return
	}
	for _, e := range o.Entries {
		fmt.Fprintf(b, "- `%s`%s: %s\n", strings.TrimPrefix(e.signature(), o.Name), e.access(), e.Doc)
	}
	b.WriteString("\n")
}

func (e *Entry) access() string {
	if e.readOnly {
		return " (read only)"
	}
	return ""
}
