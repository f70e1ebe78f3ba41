package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// result is what one run showed.
type result struct {
	Options       options
	Began         time.Time
	Lasted        time.Duration
	Samples       []sample
	Before, After sample // without load
	Requests      int64
	Wrong         failures
}

// failures are the answers that were not what they must be.
type failures struct {
	Count int
	First []error
}

// verdict is an error when an answer was wrong.
func (r *result) verdict() error {
	if r.Wrong.Count > 0 {
		return fmt.Errorf("%d answers were wrong, among them:\n%w", r.Wrong.Count, errors.Join(r.Wrong.First...))
	}
	return nil
}

// curves are what is drawn and compared.
var curves = []struct {
	name  string
	unit  string
	value func(sample) float64
}{
	{"resident memory", "MB", func(s sample) float64 { return float64(s.Resident) / 1e6 }},
	{"heap", "MB", func(s sample) float64 { return float64(s.Heap) / 1e6 }},
	{"goroutines", "", func(s sample) float64 { return float64(s.Goroutines) }},
	{"descriptors", "", func(s sample) float64 { return float64(s.Descriptors) }},
	{"latency of half", "ms", func(s sample) float64 { return float64(s.P50.Microseconds()) / 1e3 }},
	{"latency of the slowest 1 %", "ms", func(s sample) float64 { return float64(s.P99.Microseconds()) / 1e3 }},
}

// quarter returns the median of a value in the n-th quarter of the samples, from 0. Of fewer
// than four samples quarters share some; without any it is 0.
func (r *result) quarter(n int, value func(sample) float64) float64 {
	from := len(r.Samples) * n / 4
	to := min(max(len(r.Samples)*(n+1)/4, from+1), len(r.Samples))
	if to <= from {
		return 0
	}
	var values []float64
	for _, s := range r.Samples[from:to] {
		values = append(values, value(s))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// markdown writes the numbers as a table.
func (r *result) markdown(out io.Writer) {
	reloads := len(r.Samples)
	fmt.Fprintf(out, "%s, %d cores, %s: %s of load, %d requests (%.0f a second), %d reloads, every fourth with a broken script; **%d wrong answers**.\n\n",
		r.Began.UTC().Format("2006-01-02 15:04 MST"), goruntime.NumCPU(), goruntime.Version(), r.Lasted.Round(time.Second), r.Requests,
		float64(r.Requests)/r.Lasted.Seconds(), reloads, r.Wrong.Count)
	fmt.Fprintln(out, "| median of | before the load | 1st quarter | 2nd quarter | 3rd quarter | 4th quarter | after the load |")
	fmt.Fprintln(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range curves {
		row := "| " + strings.TrimSpace(c.name+", "+c.unit)
		row = strings.TrimSuffix(row, ",")
		cells := []string{number(c.value(r.Before))}
		for q := range 4 {
			cells = append(cells, number(r.quarter(q, c.value)))
		}
		cells = append(cells, number(c.value(r.After)))
		if r.Before.Requests == 0 && strings.HasPrefix(c.name, "latency") {
			cells[0], cells[5] = "", ""
		}
		fmt.Fprintln(out, row+" | "+strings.Join(cells, " | ")+" |")
	}
}

// number writes three digits or more.
func number(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// save writes the samples, the plot and the table, and puts the table into a page.
func (r *result) save(dir, page string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var table, plot strings.Builder
	r.markdown(&table)
	r.svg(&plot)
	err := errors.Join(r.saveSamples(filepath.Join(dir, "samples.csv")),
		os.WriteFile(filepath.Join(dir, "soak.md"), []byte(table.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "soak.svg"), []byte(plot.String()), 0o644))
	if err != nil || page == "" {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	replaced, err := replaceBlock(string(text), table.String())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return errors.Join(os.WriteFile(page, []byte(replaced), 0o644),
		os.WriteFile(strings.TrimSuffix(page, ".md")+".svg", []byte(plot.String()), 0o644))
}

// The marks between which a page has its table.
const (
	blockBegin = "<!-- soak: written by go run ./bench/soak -write -->\n"
	blockEnd   = "<!-- end of soak -->"
)

func replaceBlock(text, table string) (string, error) {
	before, rest, ok := strings.Cut(text, blockBegin)
	_, after, ok2 := strings.Cut(rest, blockEnd)
	if !ok || !ok2 {
		return "", fmt.Errorf("expected a block between %q and %q", blockBegin, blockEnd)
	}
	return before + blockBegin + table + blockEnd + after, nil
}

func (r *result) saveSamples(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"seconds", "rss_bytes", "heap_bytes", "goroutines", "descriptors", "requests", "p50_us", "p99_us"})
	for _, s := range r.Samples {
		var row []string
		for _, v := range []int64{int64(s.At.Seconds()), s.Resident, s.Heap, int64(s.Goroutines), int64(s.Descriptors), int64(s.Requests),
			s.P50.Microseconds(), s.P99.Microseconds()} {
			row = append(row, strconv.FormatInt(v, 10))
		}
		_ = w.Write(row)
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}
