package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// report is all that is known after the measurements.
type report struct {
	Date     time.Time
	Commit   string // of the checkout, empty without git
	Machine  machine
	Settings settings
	Servers  []version
	Results  []result
}

// version is a server as it describes itself.
type version struct{ Name, Version string }

const reference = "luaserve" // what the ratios are to

// find returns the result of a workload on a server, if it was measured.
func (r report) find(workload, server string) (result, bool) {
	i := slices.IndexFunc(r.Results, func(x result) bool {
		return x.Workload == workload && x.Server == server && len(x.Samples) > 0
	})
	if i < 0 {
		return result{}, false
	}
	return r.Results[i], true
}

// measured returns the workloads of the report in their order.
func (r report) measured() []workload {
	return slices.DeleteFunc(workloads(), func(w workload) bool {
		return !slices.ContainsFunc(r.Results, func(x result) bool { return x.Workload == w.Name })
	})
}

// ratio tells how many times the value of luaserve a value is.
func (r report) ratio(x result, value func(result) spread) string {
	base, ok := r.find(x.Workload, reference)
	if !ok || value(base).Median == 0 {
		return "–"
	}
	return factor(value(x).Median / value(base).Median)
}

// factor prints a ratio with two or three digits that count.
func factor(ratio float64) string {
	switch {
	case ratio < 0.1:
		return fmt.Sprintf("%.4f", ratio)
	case ratio < 10:
		return fmt.Sprintf("%.2f", ratio)
	default:
		return fmt.Sprintf("%.0f", ratio)
	}
}

// markdown writes what was measured on what, an overview, and all numbers.
func (r report) markdown(out io.Writer) {
	at := ""
	if r.Commit != "" {
		at = " at commit " + r.Commit
	}
	fmt.Fprintf(out, "Measured on %s%s: %s.\n\n", r.Date.Format("2006-01-02"), at, r.Machine)
	fmt.Fprintf(out, "%d rounds of %s, %d connections; %d workers a server, %d threads of wrk.\n\n",
		r.Settings.Rounds, r.Settings.Duration, r.Settings.Connections, r.Settings.Workers, r.Settings.Workers)
	for _, s := range r.Servers {
		fmt.Fprintf(out, "- %s: `%s`\n", s.Name, s.Version)
	}
	r.overview(out)
	r.details(out)
}

// overview is a table of the medians of processor time, a row a workload.
func (r report) overview(out io.Writer) {
	fmt.Fprint(out, "\nProcessor time for a request in µs (median), and how many times luaserve's it is:\n\n| workload |")
	for _, s := range r.Servers {
		fmt.Fprintf(out, " %s |", s.Name)
	}
	fmt.Fprintf(out, "\n| --- |%s\n", strings.Repeat(" ---: |", len(r.Servers)))
	for _, w := range r.measured() {
		fmt.Fprintf(out, "| %s: %s |", w.Name, w.Doc)
		for _, s := range r.Servers {
			x, ok := r.find(w.Name, s.Name)
			switch {
			case !ok:
				fmt.Fprint(out, " – |")
			case s.Name == reference:
				fmt.Fprintf(out, " %s |", micros(x.cpu().Median))
			default:
				fmt.Fprintf(out, " %s (×%s) |", micros(x.cpu().Median), r.ratio(x, result.cpu))
			}
		}
		fmt.Fprintln(out)
	}
	r.missing(out)
}

// missing says why there are gaps in the table.
func (r report) missing(out io.Writer) {
	var reasons []string
	for _, x := range r.Results {
		reason := fmt.Sprintf("%s %s", x.Server, x.Missing)
		if x.Missing != "" && !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	if reasons != nil {
		fmt.Fprintf(out, "\nGaps: %s.\n", strings.Join(reasons, "; "))
	}
}

// details is a table of all numbers, a row for a workload on a server.
func (r report) details(out io.Writer) {
	fmt.Fprint(out, "\nAll numbers; medians, with the least and the greatest of the rounds in parentheses, and × for the ratio to luaserve:\n\n"+
		"| workload | server | CPU µs/request | × | user | system | requests/s | × | p99 ms | peak RSS MB |\n"+
		"| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, x := range r.Results {
		if len(x.Samples) == 0 {
			continue
		}
		cpu, rate, p99 := x.cpu(), x.rate(), x.p99()
		fmt.Fprintf(out, "| %s | %s | %s (%s–%s) | %s | %s | %s | %.0f (%.0f–%.0f) | %s | %.1f (%.1f–%.1f) | %.0f |\n",
			x.Workload, x.Server, micros(cpu.Median), micros(cpu.Min), micros(cpu.Max), r.ratio(x, result.cpu),
			micros(x.user().Median), micros(x.system().Median),
			rate.Median, rate.Min, rate.Max, r.ratio(x, result.rate),
			p99.Median, p99.Min, p99.Max, float64(x.PeakRSS)/(1<<20))
	}
}

// micros prints microseconds with three digits that count.
func micros(µs float64) string {
	switch {
	case µs < 10:
		return fmt.Sprintf("%.2f", µs)
	case µs < 100:
		return fmt.Sprintf("%.1f", µs)
	default:
		return fmt.Sprintf("%.0f", µs)
	}
}
