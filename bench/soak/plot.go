package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Measures of the plot, in pixels.
const (
	plotWidth   = 760
	leftRoom    = 60 // the scale
	panelHeight = 90
	panelSpace  = 40 // the title above a panel
	bottomRoom  = 34 // the time
)

// svg draws each of the curves in a panel of its own, from zero.
func (r *result) svg(out io.Writer) {
	height := len(curves)*(panelHeight+panelSpace) + bottomRoom
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, height)
	fmt.Fprintln(out, `<style>polyline{fill:none;stroke:#2f6db5;stroke-width:1.2}line{stroke:#ccc}text{fill:#222}</style>`)
	fmt.Fprintf(out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, height)
	end := r.Samples[len(r.Samples)-1].At
	y := 0
	for _, c := range curves {
		y += panelSpace
		fmt.Fprintf(out, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", leftRoom, y-8, strings.TrimSpace(c.name+" "+c.unit))
		r.panel(out, c.value, y, end)
		y += panelHeight
	}
	for i := range 5 {
		at := end * time.Duration(i) / 4
		fmt.Fprintf(out, `<text x="%.0f" y="%d" text-anchor="middle">%.0f min</text>`+"\n", place(at, end), y+20, at.Minutes())
	}
	fmt.Fprintln(out, "</svg>")
}

// place is where a moment stands, from left to right.
func place(at, end time.Duration) float64 {
	return leftRoom + (plotWidth-leftRoom-30)*float64(at)/float64(end)
}

func (r *result) panel(out io.Writer, value func(sample) float64, top int, end time.Duration) {
	greatest := 0.0
	for _, s := range r.Samples {
		greatest = max(greatest, value(s))
	}
	if greatest == 0 {
		greatest = 1
	}
	bottom := top + panelHeight
	for i, label := range []float64{0, greatest / 2, greatest} {
		y := bottom - panelHeight*i/2
		fmt.Fprintf(out, `<line x1="%d" y1="%d" x2="%d" y2="%d"/><text x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
			leftRoom, y, plotWidth-30, y, leftRoom-6, y+4, number(label))
	}
	fmt.Fprint(out, `<polyline points="`)
	for _, s := range r.Samples {
		fmt.Fprintf(out, "%.1f,%.1f ", place(s.At, end), float64(bottom)-panelHeight*value(s)/greatest)
	}
	fmt.Fprintln(out, `"/>`)
}
