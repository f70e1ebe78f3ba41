package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"luaserve/lint"
	"luaserve/lint/report"
	"luaserve/runtime"
)

// checkOptions are the flags of check.
type checkOptions struct {
	connect, fix, diff, strict bool
	timeout                    time.Duration
	format                     checkFormat
	sandbox                    runtime.Sandbox
}

func (a *app) checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check SITE.lua…",
		Short: "Load scripts and say what is wrong with them",
		Long: `Load scripts without listening anywhere, and say what is wrong with them: errors,
rules that can never be reached, orders that undo each other, names that are nil where
they are used. Each finding has a code; "luaserve explain-code L003" says more, and
docs/lints.md has them all. A comment "-- luaserve:ignore L003" on the line or the line
above keeps a finding away.

The exit code is 1 when a script does not load or has an error in it, with --strict also
when there are warnings.

With --verbose what is only good to know is shown as well, and how many Lua states the
handlers of the script run in: a handler that writes to a variable of the script must
always meet the same state.`,
		Example: `  luaserve check site.lua
  luaserve check --connect --strict site.lua
  luaserve check --diff site.lua
  luaserve check --format sarif site.lua > site.sarif`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("expected at least one script: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.check(args, o) },
	}
	sandboxFlags(cmd, &o.sandbox)
	cmd.Flags().BoolVar(&o.connect, "connect", false, "also try to connect to the backends")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 2*time.Second, "how long a backend has for that")
	cmd.Flags().BoolVar(&o.fix, "fix", false, "correct what can be corrected safely")
	cmd.Flags().BoolVar(&o.diff, "diff", false, "show what --fix would change, and change nothing")
	cmd.Flags().BoolVar(&o.strict, "strict", false, "exit with 1 for warnings, too")
	cmd.Flags().Var(&o.format, "format", "`format` of the findings: text, json or sarif (SARIF 2.1.0)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(checkFormats, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// errFound is how check ends when it has printed why.
var errFound = errors.New("")

// check checks scripts one after another.
func (a *app) check(sites []string, o checkOptions) error {
	tuneToolMemory(slog.New(slog.DiscardHandler))
	text := &report.Text{Out: a.stdout, Color: colors(a.stdout), Lines: true}
	var all []lint.Finding
	failed := false
	for _, site := range sites {
		found, v := a.examine(site, o)
		if o.fix || o.diff {
			changed, err := a.correct(found, o)
			if err != nil {
				return err
			}
			if changed && !o.diff {
				found, v = a.examine(site, o)
			}
		}
		if o.format == formatText && !o.diff {
			a.sayFindings(text, site, found, v)
		}
		all = append(all, found...)
		failed = failed || isBad(found, o.strict)
	}
	if err := a.writeFindings(all, o); err != nil {
		return err
	}
	if failed {
		return errFound
	}
	return nil
}

// writeFindings writes what programs read.
func (a *app) writeFindings(all []lint.Finding, o checkOptions) error {
	switch o.format {
	case formatJSON:
		return report.JSON(a.stdout, all)
	case formatSARIF:
		return report.SARIF(a.stdout, all, version())
	}
	return nil
}

// verdict is what a script came to.
type verdict struct {
	err    error // why it does not load
	states string
}

// examine loads a script and looks for what is wrong with it.
func (a *app) examine(site string, o checkOptions) ([]lint.Finding, verdict) {
	log := slog.New(slog.DiscardHandler) // what matters comes back as a finding
	if a.verbose && o.format == formatText {
		log = a.logger()
	}
	p, err := loadToInspect(site, log, o.sandbox)
	if err != nil {
		return []lint.Finding{report.LoadError(site, err)}, verdict{err: err}
	}
	defer p.Close()
	options := lint.Options{Timeout: o.timeout}
	if o.connect {
		options.Connect = new(net.Dialer).DialContext
	}
	return lint.Check(p, options), verdict{states: describeStates(p)}
}

// shown leaves out what is only good to know unless it was asked for.
func (a *app) shown(found []lint.Finding) []lint.Finding {
	var out []lint.Finding
	for _, f := range found {
		if f.Rule.Severity != lint.Info || a.verbose {
			out = append(out, f)
		}
	}
	return out
}

// sayFindings writes what one script came to.
func (a *app) sayFindings(text *report.Text, site string, found []lint.Finding, v verdict) {
	if v.err != nil {
		a.sayError(v.err)
		return
	}
	text.Findings(a.shown(found))
	errs, warnings := count(found)
	switch {
	case errs+warnings == 0:
		fmt.Fprintf(a.stdout, "%s: ok\n", site)
	default:
		fmt.Fprintf(a.stdout, "%s: %s, %s\n", site, plural(errs, "error"), plural(warnings, "warning"))
	}
	if a.verbose {
		fmt.Fprintln(a.stdout, v.states)
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func count(found []lint.Finding) (errs, warnings int) {
	for _, f := range found {
		switch f.Rule.Severity {
		case lint.Error:
			errs++
		case lint.Warning:
			warnings++
		}
	}
	return errs, warnings
}

func isBad(found []lint.Finding, strict bool) bool {
	errs, warnings := count(found)
	return errs > 0 || strict && warnings > 0
}

// correct makes the fixes of all files, or shows them, and reports whether there are any.
func (a *app) correct(found []lint.Finding, o checkOptions) (changed bool, err error) {
	byFile := map[string][]lint.Finding{}
	var files []string
	for _, f := range found {
		if f.Fix == nil {
			continue
		}
		if byFile[f.Pos.File] == nil {
			files = append(files, f.Pos.File)
		}
		byFile[f.Pos.File] = append(byFile[f.Pos.File], f)
	}
	for _, file := range files {
		before, err := os.ReadFile(file)
		if err != nil {
			return changed, err
		}
		after, n := report.Apply(string(before), byFile[file])
		if o.diff {
			fmt.Fprint(a.stdout, report.Diff(file, string(before), after))
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			return changed, err
		}
		if err := os.WriteFile(file, []byte(after), info.Mode().Perm()); err != nil {
			return changed, fmt.Errorf("--fix: %w", err)
		}
		fmt.Fprintf(a.stderr, "%s: %s corrected\n", file, plural(n, "place"))
		changed = true
	}
	return changed, nil
}

// The formats of --format.
const (
	formatText  = "text"
	formatJSON  = "json"
	formatSARIF = "sarif"
)

var checkFormats = []string{formatText, formatJSON, formatSARIF}

// checkFormat is one of them; "" is text.
type checkFormat string

func (f *checkFormat) String() string {
	if *f == "" {
		*f = formatText
	}
	return string(*f)
}
func (f *checkFormat) Type() string { return "format" }

func (f *checkFormat) Set(s string) error {
	for _, known := range checkFormats {
		if s == known {
			*f = checkFormat(s)
			return nil
		}
	}
	return errors.New("expected text, json or sarif")
}

// colors reports whether what is written may have colours: on a terminal, unless NO_COLOR is
// set (https://no-color.org).
func colors(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func describeStates(p *runtime.Program) string {
	n, forced := p.States()
	switch {
	case n == 0:
		return "no Lua at request time: the script is all actions"
	case forced != nil:
		return fmt.Sprintf("1 Lua state: a handler writes to a variable of the script, at %s", forced)
	case n == 1:
		return "1 Lua state"
	}
	return fmt.Sprintf("%d Lua states", n)
}
