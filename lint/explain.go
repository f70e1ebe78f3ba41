package lint

import (
	"fmt"
	"strings"
)

// Text explains a rule for a terminal.
func (r *Rule) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s (%s)\n\n%s\n\n%s\n", r.Code, r.Name, r.Severity, r.Summary, r.Why)
	if r.Silent != "" {
		fmt.Fprintf(&b, "\nIt says nothing when: %s\n", r.Silent)
	}
	fmt.Fprintf(&b, "\nWrong:\n\n%s\n\nRight:\n\n%s\n", indented(r.Wrong), indented(r.Right))
	return b.String()
}

func indented(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// Markdown explains a rule, without its title.
func (r *Rule) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", r.Summary, r.Why)
	if r.Silent != "" {
		fmt.Fprintf(&b, "\nIt says nothing when: %s\n", r.Silent)
	}
	language := "lua"
	if r == LoadError { // every block of Lua on a page is loaded by a test
		language = "text"
	}
	fmt.Fprintf(&b, "\nWrong:\n\n```%s\n%s\n```\n\nRight:\n\n```lua\n%s\n```\n", language, r.Wrong, r.Right)
	return b.String()
}

const pageHead = `# What luaserve check finds

<!-- Made from the table of the lints; go test ./lint -run Page -update writes it anew. -->

` + "`luaserve check SITE.lua`" + ` loads a script without serving it and says what is probably wrong with it. It only speaks when it is
certain: where a Lua function, a plugin or an unknown action comes between, it is silent. ` + "`luaserve explain-code L003`" + `
prints one of these entries. A comment on the line or the line above keeps a finding away:

` + "```lua\n-- luaserve:ignore L053\nlocal later = respond(503)\n\nactions = respond \"hello\"\n```" + `

An error fails or is unsafe, and the exit code is 1; with ` + "`--strict`" + ` that is so for warnings, too. What is only good to know
(info) is shown with ` + "`--verbose`" + `, and always in JSON and SARIF.

| code | | severity | |
| --- | --- | --- | --- |
`

// Page is docs/lints.md.
func Page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	for _, r := range Rules() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.Code, strings.ToLower(r.Code)+"-"+r.Name, r.Name, r.Severity, strings.ReplaceAll(r.Summary, "|", "\\|"))
	}
	for _, r := range Rules() {
		fmt.Fprintf(&b, "\n## %s %s\n\n%s", r.Code, r.Name, r.Markdown())
	}
	return b.String()
}
