// Package sitetest runs the tests of sites. They are written in Lua, beside the script that
// they test, and see it as clients do: requests go through the real pipeline, while backends,
// files and the clock are what the test says.
//
// The tests of site.lua are in site_test.lua:
//
//	test("the wiki keeps its path", function(t)
//	  t:backend("unix:/run/wiki.sock", function(req) return { body = req.env.PATH_INFO } end)
//	  local r = t:get "http://example.net/wiki/Start"
//	  t:eq(r.status, 200)
//	  t:eq(r.body, "/Start")
//	end)
package sitetest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"luaserve/runtime"
)

// Surroundings are what a site under test has in place of the real things.
type Surroundings struct {
	Now     func() time.Time
	Overlay string // see [runtime.Config.Overlay]
	// Connect connects to the fakes of backends.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// Options say what to run, and how.
type Options struct {
	// Load makes a program of a script; it must keep arguments ([runtime.Config.Inspect]).
	Load func(site string, s Surroundings) (*runtime.Program, error)
	// Only runs the tests whose names match; nil means all.
	Only *regexp.Regexp
	// Parallel is how many tests run at once; 0 means one.
	Parallel int
	// Timeout ends a test that takes longer; 0 means 10 s.
	Timeout time.Duration
}

// Outcome is what became of one test.
type Outcome struct {
	File    string
	Name    string
	Line    int // where the test is in its file
	Failed  string
	Skipped string // why
	Log     []string
	Took    time.Duration
}

// Report is what became of all tests.
type Report struct {
	Outcomes []Outcome // in the order of the files and of the tests within
	Coverage []*Coverage
	Took     time.Duration
}

// Failures returns how many tests failed.
func (r *Report) Failures() (n int) {
	for _, o := range r.Outcomes {
		if o.Failed != "" {
			n++
		}
	}
	return n
}

const suffix = "_test.lua"

// Find returns the test files that paths mean: files as they are, or for a site those beside it,
// and all in a folder and below.
func Find(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, testsOf(path))
			continue
		}
		err = filepath.WalkDir(path, func(name string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(name, suffix) {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no tests in %s: their files are called like site%s", strings.Join(paths, ", "), suffix)
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// testsOf returns the file with the tests of a site; a path that is no site with tests is meant as
// it is.
func testsOf(path string) string {
	site, isLua := strings.CutSuffix(path, ".lua")
	if !isLua || strings.HasSuffix(path, suffix) {
		return path
	}
	if _, err := os.Stat(site + suffix); err != nil {
		return path
	}
	return site + suffix
}

// Run runs the tests of files. An error means that a file could not be read, or is no Lua;
// tests that fail are in the report.
func Run(ctx context.Context, files []string, o Options) (*Report, error) {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	begun := time.Now()
	var todo []*oneTest
	coverage := newCoverages()
	for _, file := range files {
		tests, err := listTests(ctx, file, o)
		if err != nil {
			return nil, err
		}
		for _, t := range tests {
			if o.Only == nil || o.Only.MatchString(t.name) {
				t.coverage = coverage
				todo = append(todo, t)
			}
		}
	}
	report := &Report{Outcomes: make([]Outcome, len(todo))}
	slots := make(chan struct{}, max(o.Parallel, 1))
	var all sync.WaitGroup
	for i, t := range todo {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			report.Outcomes[i] = t.run(ctx)
		})
	}
	all.Wait()
	report.Coverage = coverage.list()
	report.Took = time.Since(begun)
	return report, nil
}
