package main

import (
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		rates []float64
		want  spread
	}{
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{9, 1, 4}, spread{4, 1, 9}},
		{[]float64{9, 1, 4, 5}, spread{4.5, 1, 9}},
	} {
		var samples []sample
		for _, r := range c.rates {
			samples = append(samples, sample{User: r})
		}
		if got := spreadOf(samples, sample.cpu); got != c.want {
			t.Errorf("%v: got %+v, expected %+v", c.rates, got, c.want)
		}
	}
}

func TestNewSample(t *testing.T) {
	got := newSample(load{requests: 1000, elapsed: 2 * time.Second, p99: 1500 * time.Microsecond}, 4*time.Millisecond, 6*time.Millisecond)
	if want := (sample{Requests: 1000, Seconds: 2, User: 4, System: 6, P99: 1.5}); got != want || got.cpu() != 10 || got.rate() != 500 {
		t.Errorf("got %+v, expected %+v", got, want)
	}
}

func TestMicros(t *testing.T) {
	for µs, want := range map[float64]string{0: "0.00", 4.567: "4.57", 45.67: "45.7", 456.7: "457", 4567: "4567"} {
		if got := micros(µs); got != want {
			t.Errorf("%g: got %s, expected %s", µs, got, want)
		}
	}
}

func TestFactor(t *testing.T) {
	for ratio, want := range map[float64]string{0.00631: "0.0063", 0.331: "0.33", 1.784: "1.78", 330.75: "331"} {
		if got := factor(ratio); got != want {
			t.Errorf("%g: got %s, expected %s", ratio, got, want)
		}
	}
}

// example is a report of two servers, one of which has no Lua.
func example() report {
	return report{
		Date:     time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		Commit:   "c0ffee",
		Machine:  machine{Processor: "Fast <1>", Cores: 2, Kernel: "Linux 6.1", Load: "0.1 0.2 0.3"},
		Settings: settings{Rounds: 2, Duration: time.Second, Connections: 64, Workers: 2},
		Servers:  []version{{"luaserve", "luaserve devel"}, {"caddy", "2.6.2"}},
		Results: []result{
			{Workload: "fixed", Server: "luaserve", PeakRSS: 20 << 20,
				Samples: []sample{{1000, 1, 2, 4, 1.5}, {3000, 1, 3, 5, 2.5}}},
			{Workload: "fixed", Server: "caddy", PeakRSS: 40 << 20, Samples: []sample{{500, 1, 10, 4, 3}, {500, 1, 10, 4, 3}}},
			{Workload: "lua", Server: "luaserve", PeakRSS: 20 << 20, Samples: []sample{{1000, 1, 100, 50, 1}}},
			{Workload: "lua", Server: "caddy", Missing: "has no Lua"},
		},
	}
}

func TestMarkdown(t *testing.T) {
	var out strings.Builder
	example().markdown(&out)
	for _, line := range []string{
		"Measured on 2026-11-24 at commit c0ffee: Fast <1>, 2 cores, Linux 6.1; load before: 0.1 0.2 0.3.",
		"2 rounds of 1s, 64 connections; 2 workers a server, 2 threads of wrk.",
		"- caddy: `2.6.2`",
		"| workload | luaserve | caddy |",
		"| fixed: a short answer that stands in the configuration | 7.00 | 14.0 (×2.00) |",
		"| lua: a Lua handler reads path and Host, sets a header, builds a body | 150 | – |",
		"Gaps: caddy has no Lua.",
		"| fixed | luaserve | 7.00 (6.00–8.00) | 1.00 | 2.50 | 4.50 | 2000 (1000–3000) | 1.00 | 2.0 (1.5–2.5) | 20 |",
		"| fixed | caddy | 14.0 (14.0–14.0) | 2.00 | 10.0 | 4.00 | 500 (500–500) | 0.25 | 3.0 (3.0–3.0) | 40 |",
	} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("expected the line\n%s\nin\n%s", line, out.String())
		}
	}
	if strings.Contains(out.String(), "prefix-1") {
		t.Error("a workload that was not measured is in the report")
	}
}

func TestMarkdownWithoutLuaserve(t *testing.T) {
	r := example()
	r.Servers, r.Results = r.Servers[1:], r.Results[1:2]
	var out strings.Builder
	r.markdown(&out)
	if want := "| 14.0 (×–) |\n"; !strings.Contains(out.String(), want) {
		t.Errorf("expected %q in\n%s", want, out.String())
	}
}

func TestSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "results")
	if err := example().save(dir); err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(read(t, dir, "results.json"), &back); err != nil || len(back.Results) != 4 || back.Results[1].Samples[0].User != 10 {
		t.Errorf("results.json: %v, %+v", err, back)
	}
	rows, err := csv.NewReader(strings.NewReader(string(read(t, dir, "results.csv")))).ReadAll()
	if err != nil || len(rows) != 6 || strings.Join(rows[2], " ") != "fixed luaserve 2 3000 1.000 3.000 5.000 2.500 20971520" {
		t.Errorf("results.csv: %v, %q", err, rows)
	}
	plot := string(read(t, dir, "cpu.svg"))
	for d := xml.NewDecoder(strings.NewReader(plot)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("cpu.svg: %v", err)
		}
	}
	// caddy's bar of 14 µs is the longest one and fills the plot; luaserve's has half of it
	for _, bar := range []string{
		`class="user" x="110" y="62" width="100.0" height="12"`, `class="user" x="110" y="78" width="400.0" height="12"`,
		`class="system" x="510.0" y="78" width="160.0" height="12"`, ">14.0<",
	} {
		if !strings.Contains(plot, bar) {
			t.Errorf("expected %s in\n%s", bar, plot)
		}
	}
}

func read(t *testing.T, dir, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEmbed(t *testing.T) {
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	write := func(text string) {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# Title\n" + blockBegin + "\nold\n" + blockEnd + "\nbehind\n")
	for range 2 { // the second time replaces what the first one wrote
		if err := example().embed(page); err != nil {
			t.Fatal(err)
		}
	}
	got := string(read(t, dir, "page.md"))
	if !strings.HasPrefix(got, "# Title\n"+blockBegin+"\nMeasured on 2026-11-24") || strings.Contains(got, "old") ||
		!strings.HasSuffix(got, "(page.svg)\n"+blockEnd+"\nbehind\n") {
		t.Errorf("got\n%s", got)
	}
	if !strings.HasPrefix(string(read(t, dir, "page.svg")), "<svg ") {
		t.Error("there is no plot beside the page")
	}
	for _, text := range []string{"# Title\n", blockBegin + "\n", blockEnd + "\n" + blockBegin + "\n"} {
		write(text)
		if err := example().embed(page); err == nil || !strings.Contains(err.Error(), "page.md: expected a line <!-- begin") {
			t.Errorf("%q: got error %v", text, err)
		}
		if string(read(t, dir, "page.md")) != text {
			t.Errorf("%q was changed", text)
		}
	}
}

func TestPageHasItsBlock(t *testing.T) {
	page, err := os.ReadFile("../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replaceBlock(string(page), "x"); err != nil {
		t.Error(err)
	}
}
