// Command luaserve is a web server whose whole configuration is a Lua script.
//
//	luaserve demo             a site to try, with an application behind FastCGI
//	luaserve init             writes a small site to begin with
//	luaserve run site.lua     serves a script
//	luaserve check site.lua   loads a script and says what is wrong with it
//	luaserve explain site.lua http://example.net/   tells which rules take a request
//	luaserve playground site.lua                    the same in the browser, with an editor
//	luaserve explain-code     says more about a code that check has printed
//	luaserve doc expire       shows the reference
//
// docs/exit-codes.md lists how it exits.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"luaserve/lint/report"
	"luaserve/runtime"
)

// The exit codes; docs/exit-codes.md has them for users.
const (
	exitOK      = 0
	exitRefused = 1 // the script, the address or the environment did not allow it
	exitUsage   = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// app is what the commands share: where they write, and the flags of all of them.
type app struct {
	stdout, stderr io.Writer
	verbose        bool
	logFormat      logFormat
}

// run executes the command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	root := a.rootCommand()
	parsed := false
	root.PersistentPreRun = func(*cobra.Command, []string) { parsed = true }
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)

	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case !parsed:
		fmt.Fprintf(stderr, "%v\nsee %s --help\n", err, cmd.CommandPath())
		return exitUsage
	}
	if !errors.Is(err, errFound) {
		a.sayError(err)
	}
	return exitRefused
}

// sayError writes why a command failed: that of a script on a terminal with its line.
func (a *app) sayError(err error) {
	fmt.Fprintln(a.stderr, err)
	le, ok := errors.AsType[*runtime.LoadError](err)
	if !ok {
		return
	}
	if isTerminal(a.stderr) {
		text := report.Text{Out: a.stderr, Color: colors(a.stderr)}
		text.LoadError(report.LoadError("", le))
	}
	if a.verbose && le.Traceback != "" {
		fmt.Fprintln(a.stderr, le.Traceback)
	}
}

// rootCommand is the command line with everything in it.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "luaserve",
		Short:         "A web server whose configuration is a Lua script",
		SilenceErrors: true, // printed here, once
		SilenceUsage:  true,
	}
	root.PersistentFlags().BoolVarP(&a.verbose, "verbose", "v", false, "log more; print the Lua traceback of an error")
	root.PersistentFlags().Var(&a.logFormat, "log-format", "how messages are written: `text` or json")
	root.AddCommand(
		a.initCommand(), a.runCommand(), a.demoCommand(),
		a.checkCommand(), a.explainCodeCommand(), a.explainCommand(), a.testCommand(), a.replayCommand(),
		a.replCommand(), a.playgroundCommand(),
		a.docCommand(), a.annotationsCommand(), a.versionCommand(),
	)
	return root
}

// logger writes to stderr.
func (a *app) logger() *slog.Logger {
	level := slog.LevelInfo
	if a.verbose {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	if a.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, options))
	}
	return slog.New(slog.NewTextHandler(a.stderr, options))
}

// logFormat is a flag that takes "text" or "json"; "" is text.
type logFormat string

func (f *logFormat) String() string { return cmp.Or(string(*f), "text") }
func (f *logFormat) Type() string   { return "format" }

func (f *logFormat) Set(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("expected text or json")
	}
	*f = logFormat(s)
	return nil
}
