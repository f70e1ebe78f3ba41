package main

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"os"
	goruntime "runtime"
	"strings"
	"testing"
	"time"
)

// A short run over the real programs, with all that it writes.
func TestSoak(t *testing.T) {
	if goruntime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	dir := t.TempDir()
	page := dir + "/page.md"
	if err := os.WriteFile(page, []byte("before\n"+blockBegin+"old\n"+blockEnd+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{duration: 4 * time.Second, every: time.Second, rate: 50, clients: 4, still: 1, out: dir + "/out", write: page}
	if err := o.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.HasPrefix(got, "before\n"+blockBegin+"20") || !strings.HasSuffix(got, blockEnd+"\nafter\n") || strings.Contains(got, "old") {
		t.Errorf("the page is\n%s", got)
	}
	f, err := os.Open(dir + "/out/samples.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 3 {
		t.Errorf("%d rows of samples, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		if row[1] == "0" || row[3] == "0" || row[4] == "0" {
			t.Errorf("a sample without numbers: %v", row)
		}
	}
	if err := wellFormed(dir + "/page.svg"); err != nil {
		t.Errorf("the plot: %v", err)
	}
}

func wellFormed(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// What is wrong is counted, named, and fails the run.
func TestWrongAnswers(t *testing.T) {
	l := &load{}
	for range 100 {
		l.fail(errors.New("for the test"))
	}
	r := &result{Wrong: l.wrong()}
	if err := r.verdict(); err == nil || !strings.HasPrefix(err.Error(), "100 answers were wrong, among them:\nfor the test\n") {
		t.Errorf("got %v", err)
	}
	if err := (&result{}).verdict(); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	good := options{duration: time.Minute, every: time.Second, rate: 1, clients: 1}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*options){
		func(o *options) { o.rate = 0 }, func(o *options) { o.clients = 0 }, func(o *options) { o.duration = 3 * time.Second }, func(o *options) { o.every = 0 },
	} {
		bad := good
		if change(&bad); bad.check() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestMetric(t *testing.T) {
	text := "# HELP go_goroutines x\ngo_goroutines 12\nVmRSS:\t   34 kB\n"
	for name, want := range map[string]int64{"go_goroutines ": 12, "VmRSS:": 34} {
		if got, err := metric(text, name); got != want || err != nil {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
	if _, err := metric(text, "none "); err == nil {
		t.Error("a missing line is no error")
	}
}
