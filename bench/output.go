package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// save writes results.md, results.csv, results.json and cpu.svg into a directory, which it
// makes when there is none.
func (r report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var md, table, plot bytes.Buffer
	r.markdown(&md)
	r.svg(&plot)
	if err := r.csv(&table); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"results.md": md.Bytes(), "results.csv": table.Bytes(),
		"results.json": append(data, '\n'), "cpu.svg": plot.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// csv writes a line for each sample.
func (r report) csv(out io.Writer) error {
	w := csv.NewWriter(out)
	_ = w.Write([]string{"workload", "server", "round", "requests", "seconds", "user_us", "system_us", "p99_ms", "peak_rss_bytes"})
	for _, x := range r.Results {
		for i, s := range x.Samples {
			_ = w.Write([]string{x.Workload, x.Server, fmt.Sprint(i + 1), fmt.Sprint(s.Requests), fmt.Sprintf("%.3f", s.Seconds),
				fmt.Sprintf("%.3f", s.User), fmt.Sprintf("%.3f", s.System), fmt.Sprintf("%.3f", s.P99), fmt.Sprint(x.PeakRSS)})
		}
	}
	w.Flush()
	return w.Error() // also of the writes
}

const (
	blockBegin = "<!-- begin: go run ./bench -write -->"
	blockEnd   = "<!-- end -->"
)

// embed replaces the block between the markers of a page, and the plot beside it, which has
// the name of the page with the ending svg.
func (r report) embed(page string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	svg := strings.TrimSuffix(page, filepath.Ext(page)) + ".svg"
	var md, plot bytes.Buffer
	r.markdown(&md)
	fmt.Fprintf(&md, "\n![processor time for a request](%s)\n", filepath.Base(svg))
	r.svg(&plot)
	changed, err := replaceBlock(string(text), md.String())
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	if err := os.WriteFile(svg, plot.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(page, []byte(changed), 0o644)
}

// replaceBlock puts a text between the markers of a page.
func replaceBlock(page, text string) (string, error) {
	before, rest, ok := strings.Cut(page, blockBegin+"\n")
	_, after, closed := strings.Cut(rest, blockEnd+"\n")
	if !ok || !closed {
		return "", fmt.Errorf("expected a line %s and behind it a line %s", blockBegin, blockEnd)
	}
	return before + blockBegin + "\n" + text + blockEnd + "\n" + after, nil
}
