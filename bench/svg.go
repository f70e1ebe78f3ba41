package main

import (
	"fmt"
	"html"
	"io"
)

// Measures of the plot, in pixels.
const (
	plotWidth  = 760
	labelWidth = 110 // the names of the servers, left of the bars
	valueWidth = 90  // the numbers, right of them
	barHeight  = 16
	titleSpace = 26
	legendRoom = 34
)

// svg writes a plot of the processor time for a request: a group of bars for each workload,
// each with a scale of its own, because the workloads differ by orders of magnitude.
func (r report) svg(out io.Writer) {
	groups := r.measured()
	height := legendRoom
	for _, w := range groups {
		height += titleSpace + barHeight*len(r.rows(w))
	}
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height+10)
	fmt.Fprintln(out, `<style>.user{fill:#2f6db5}.system{fill:#9dc3ea}text{fill:#222}</style>`)
	fmt.Fprintf(out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, height+10)
	fmt.Fprintln(out, `<text x="10" y="18">Processor time for a request, µs (median); shorter is better</text>`)
	fmt.Fprintln(out, `<rect class="user" x="500" y="8" width="12" height="12"/><text x="517" y="18">user</text>`)
	fmt.Fprintln(out, `<rect class="system" x="570" y="8" width="12" height="12"/><text x="587" y="18">system</text>`)
	y := legendRoom
	for _, w := range groups {
		fmt.Fprintf(out, `<text x="10" y="%d" font-weight="bold">%s: %s</text>`+"\n", y+16, html.EscapeString(w.Name), html.EscapeString(w.Doc))
		y += titleSpace
		r.bars(out, r.rows(w), y)
		y += barHeight * len(r.rows(w))
	}
	fmt.Fprintln(out, "</svg>")
}

// rows returns what was measured for a workload.
func (r report) rows(w workload) []result {
	var rows []result
	for _, s := range r.Servers {
		if x, ok := r.find(w.Name, s.Name); ok {
			rows = append(rows, x)
		}
	}
	return rows
}

func (r report) bars(out io.Writer, rows []result, y int) {
	longest := 0.0
	for _, x := range rows {
		longest = max(longest, x.user().Median+x.system().Median)
	}
	for _, x := range rows {
		scale := 0.0
		if longest > 0 {
			scale = (plotWidth - labelWidth - valueWidth) / longest
		}
		user, system := x.user().Median*scale, x.system().Median*scale
		fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, y+12, html.EscapeString(x.Server))
		fmt.Fprintf(out, `<rect class="user" x="%d" y="%d" width="%.1f" height="%d"/>`, labelWidth, y+2, user, barHeight-4)
		fmt.Fprintf(out, `<rect class="system" x="%.1f" y="%d" width="%.1f" height="%d"/>`, labelWidth+user, y+2, system, barHeight-4)
		fmt.Fprintf(out, `<text x="%.1f" y="%d">%s</text>`+"\n", labelWidth+user+system+6, y+12, micros(x.cpu().Median))
		y += barHeight
	}
}
