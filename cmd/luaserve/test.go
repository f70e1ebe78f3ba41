package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	goruntime "runtime"
	"time"

	"github.com/spf13/cobra"

	"luaserve/bindings"
	"luaserve/runtime"
	"luaserve/scripts"
	"luaserve/sitetest"
)

func (a *app) testCommand() *cobra.Command {
	var only, format string
	var coverage bool
	var parallel, minimum int
	timeout := 10 * time.Second
	var sandbox runtime.Sandbox
	cmd := &cobra.Command{
		Use:   "test [FILE|DIR]...",
		Short: "Run the tests of sites",
		Long: `Run tests that are written in Lua: those of site.lua are in site_test.lua beside it,
and either name will do. Without an argument, all of this folder and below.

Requests go through the real pipeline of the site, without a server. Backends are what
the test says (t:backend), files too (t:file), as is the time (t:now). Every test has a
site of its own. docs/testing.md lists what tests can do.

A failed test is printed with its line, both values, and the rule that decided the last
request; the exit code is 1 then. Which rules of the sites no test has met is listed by
--coverage.`,
		Example: `  luaserve test
  luaserve test site_test.lua --run wiki --verbose
  luaserve test --coverage --min-coverage 80
  luaserve test --format junit >report.xml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			print, err := testPrinter(format, a.verbose, coverage)
			if err != nil {
				return err
			}
			o := sitetest.Options{Load: loadToTest(sandbox), Parallel: parallel, Timeout: timeout}
			if only != "" {
				if o.Only, err = regexp.Compile(only); err != nil {
					return fmt.Errorf("--run: %w", err)
				}
			}
			if len(args) == 0 {
				args = []string{"."}
			}
			files, err := sitetest.Find(args)
			if err != nil {
				return err
			}
			report, err := sitetest.Run(cmd.Context(), files, o)
			if err != nil {
				return err
			}
			if err := print(report, a.stdout); err != nil {
				return err
			}
			return judge(report, minimum)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&only, "run", "", "run only the tests whose names match this regular `expression`")
	flags.StringVar(&format, "format", "text", "how the report is written: `text`, tap or junit")
	flags.BoolVar(&coverage, "coverage", false, "list the rules that no test has met")
	flags.IntVar(&minimum, "min-coverage", 0, "the `percent` of the rules of each site that must be met")
	flags.IntVar(&parallel, "parallel", goruntime.GOMAXPROCS(0), "how many tests run at once")
	flags.DurationVar(&timeout, "timeout", timeout, "how long a test may take")
	sandboxFlags(cmd, &sandbox)
	return cmd
}

// testPrinter returns what writes a report in a format.
func testPrinter(format string, verbose, coverage bool) (func(*sitetest.Report, io.Writer) error, error) {
	switch format {
	case "text":
		return func(r *sitetest.Report, w io.Writer) error { return r.Text(w, verbose, coverage) }, nil
	case "tap":
		return (*sitetest.Report).TAP, nil
	case "junit":
		return (*sitetest.Report).JUnit, nil
	}
	return nil, fmt.Errorf("--format: expected text, tap or junit, got %q", format)
}

// judge says what makes the tests a failure.
func judge(r *sitetest.Report, minimum int) error {
	switch n := r.Failures(); {
	case len(r.Outcomes) == 0:
		return errors.New("no test has such a name")
	case n == 1:
		return errors.New("a test failed")
	case n > 1:
		return fmt.Errorf("%d tests failed", n)
	}
	for _, c := range r.Coverage {
		if c.Percent() < minimum {
			return fmt.Errorf("%s: %d%% of the rules were met, less than %d%%", c.Site, c.Percent(), minimum)
		}
	}
	return nil
}

// loadToTest returns what makes a program of a script in a sandbox, with what a test has in place
// of the real things.
func loadToTest(sandbox runtime.Sandbox) func(string, sitetest.Surroundings) (*runtime.Program, error) {
	return func(site string, s sitetest.Surroundings) (*runtime.Program, error) {
		return runtime.Load(site, runtime.Config{
			Modules: bindings.Modules(), Scripts: scripts.FS, Log: slog.New(slog.DiscardHandler), Inspect: true, Sandbox: sandbox,
			Now: s.Now, Overlay: s.Overlay, Values: map[any]any{bindings.BackendDialer{}: s.Connect},
		})
	}
}
