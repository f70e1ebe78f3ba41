package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"luaserve/lint"
)

// Apply returns a script with the fixes of its findings, and how many there were. Of fixes
// that touch the same text only the first is made.
func Apply(src string, findings []lint.Finding) (fixed string, n int) {
	var edits []lint.Edit
	for _, f := range findings {
		if f.Fix == nil || slices.ContainsFunc(f.Fix.Edits, func(e lint.Edit) bool {
			return e.Start < 0 || e.End > len(src) || slices.ContainsFunc(edits, func(o lint.Edit) bool { return e.Start <= o.End && o.Start <= e.End })
		}) {
			continue
		}
		edits = append(edits, f.Fix.Edits...)
		n++
	}
	slices.SortFunc(edits, func(a, b lint.Edit) int { return cmp.Compare(b.Start, a.Start) })
	for _, e := range edits {
		src = src[:e.Start] + e.New + src[e.End:]
	}
	return src, n
}

// context is how many lines a diff shows around a change.
const context = 3

// Diff returns a unified diff of two texts with as many lines each, as fixes leave them; "" when
// they are the same.
func Diff(file, before, after string) string {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	if before == after || len(a) != len(b) {
		return ""
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", file, file)
	for i := 0; i < len(a); i++ {
		if a[i] == b[i] {
			continue
		}
		last := i // the last change of the hunk
		for j := i + 1; j < len(a) && j <= last+2*context; j++ {
			if a[j] != b[j] {
				last = j
			}
		}
		from, to := max(i-context, 0), min(last+context+1, len(a))
		if to == len(a) && a[to-1] == "" && b[to-1] == "" {
			to-- // what is behind the last line break
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n", from+1, to-from, from+1, to-from)
		writeHunk(&out, a[from:to], b[from:to])
		i = last
	}
	return out.String()
}

func writeHunk(out *strings.Builder, a, b []string) {
	line := func(sign, text string) {
		out.WriteString(sign + strings.TrimSuffix(text, "\n") + "\n")
		if !strings.HasSuffix(text, "\n") {
			out.WriteString("\\ No newline at end of file\n")
		}
	}
	for i := 0; i < len(a); i++ {
		if a[i] == b[i] {
			line(" ", a[i])
			continue
		}
		end := i
		for end < len(a) && a[end] != b[end] {
			end++
		}
		for _, l := range a[i:end] {
			line("-", l)
		}
		for _, l := range b[i:end] {
			line("+", l)
		}
		i = end - 1
	}
}
