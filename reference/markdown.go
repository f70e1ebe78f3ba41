package reference

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"luaserve/runtime"
)

// page is the page in the making.
type page struct {
	strings.Builder
	tables []describedTable
}

// describedTable is a table of options that stands on the page already.
type describedTable struct {
	call    string
	options []runtime.TableOption
}

// Markdown prints everything as one page.
func (r *Reference) Markdown() string {
	var b page
	b.WriteString("# Reference\n\nEverything that a script can use. This page is made from the tables of the modules.\n\n")
	b.WriteString("Setups are called while the script is loaded: `setup.listen \"127.0.0.1:8080\"`. Actions make up the pipeline: `action.respond \"hello\"`, or just `respond \"hello\"`. " +
		"An option is both: as a setup it counts for all requests, as an action for the rest of one.\n\n" +
		"Where a table of options is described, a default stands behind the name, as in a script: `{ read_timeout = 60 }`. " +
		"Words in such names may be joined by `-` as well, as in lighttpd2: `{ [\"read-timeout\"] = 60 }`.\n\n")
	for _, m := range r.modules {
		title := m.Name
		if m.Kind == Plugin {
			title = "plugin " + title
		}
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", title, m.Doc)
		b.table(m, Variable, "| variable | in a pattern | meaning |")
		b.table(m, Operator, "| operator | in lighttpd2 | true when the variable |")
		b.table(m, Combination, "| combination | | true when |")
		for _, e := range m.Entries {
			b.entry(e)
		}
	}
	return b.String()
}

// table prints the entries of a kind as a table of three columns, if there are any.
func (b *page) table(m *Entry, kind Kind, head string) {
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

func (b *page) entry(e *Entry) {
	switch e.Kind {
	case Object:
		b.object(e)
	case Setup, Action, Option:
		fmt.Fprintf(b, "### %s\n\n%s\n\n", strings.TrimPrefix(e.Title(), "action "), e.Doc)
		if e.Kind != Option && len(e.Params) > 0 {
			for _, p := range e.Params {
				b.param(e.Name, p)
			}
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "```lua\n%s\n```\n\n", e.Example)
	}
}

// param prints a parameter, and the options of the table that it takes where they come first.
func (b *page) param(call string, p Param) {
	fmt.Fprintf(b, "- `%s`: %s", p.Name, p.describe())
	same := slices.IndexFunc(b.tables, func(t describedTable) bool { return reflect.DeepEqual(t.options, p.Options) })
	switch {
	case len(p.Options) == 0:
		b.WriteString("\n")
	case same >= 0:
		fmt.Fprintf(b, " those of `%s`\n", b.tables[same].call)
	default:
		b.WriteString("\n")
		b.options(p.Options, "  ")
		b.tables = append(b.tables, describedTable{call, p.Options})
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
	if len(p.Options) > 0 {
		text += "; the options are"
	}
	return text
}

// options prints the options of a table as a list below the parameter that takes it.
func (b *page) options(options []runtime.TableOption, indent string) {
	for _, o := range options {
		fmt.Fprintf(b, "%s- `%s`: %s\n", indent, optionHead(o), optionDoc(o))
		b.options(o.Options, indent+"  ")
	}
}

// optionHead is an option with its default, as a script writes it.
func optionHead(o runtime.TableOption) string {
	if o.Default == "" {
		return o.Name
	}
	return o.Name + " = " + o.Default
}

func optionDoc(o runtime.TableOption) string {
	if o.Required {
		return "required; " + o.Doc
	}
	return o.Doc
}

func (b *page) object(o *Entry) {
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
