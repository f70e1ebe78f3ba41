package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"luaserve/bindings"
	"luaserve/reference"
	"luaserve/runtime"
	"luaserve/scripts"
)

func (a *app) docCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doc [NAME]",
		Short: "Show the reference",
		Long: `Show what scripts can use: without a name the list of modules, else what is called so: a
module, an action, setup, option, condition, Lua object, its field or method, or a
function of a built-in plugin. It is the text of docs/reference.md. An unknown name is
answered with those that are near, and with exit code 1.`,
		Example: `  luaserve doc
  luaserve doc expire
  luaserve doc setup.listen
  luaserve doc vr.req.uri`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			ref, err := newReference()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			return ref.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			ref, err := newReference()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.printer().List(a.stdout, ref.Modules())
			}
			return a.explain(ref, args[0])
		},
	}
}

// newReference describes what luaserve's modules and built-in plugins offer.
func newReference() (*reference.Reference, error) {
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil {
		return nil, err
	}
	return reference.New(bindings.Modules(), plugins...), nil
}

// explain prints what is called name, and the names that begin with it.
func (a *app) explain(ref *reference.Reference, name string) error {
	p := a.printer()
	found := ref.Find(name)
	for i, e := range found {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		if err := p.Entry(a.stdout, e); err != nil {
			return err
		}
	}
	below := ref.Below(name)
	switch {
	case len(found) == 0 && len(below) == 0:
		return unknownName(name, ref.Near(name))
	case len(below) == 0 || len(found) > 0 && found[0].Kind == reference.Module:
		return nil
	case len(found) > 0:
		fmt.Fprintln(a.stdout)
	}
	return p.List(a.stdout, below)
}

func unknownName(name string, near []string) error {
	unknown := &runtime.UnknownNameError{What: "name", Name: name}
	switch len(near) {
	case 0:
	case 1:
		unknown.Nearest = near[0]
	default:
		unknown.Hint = "look at " + strings.Join(near, ", ")
	}
	return unknown
}

const (
	defaultWidth = 80  // where no terminal tells another
	widestText   = 100 // longer lines are hard to read
)

// printer fits stdout: on a terminal lines are as long as it is wide and titles are bold,
// unless NO_COLOR is set (https://no-color.org).
func (a *app) printer() reference.Printer {
	p := reference.Printer{Width: defaultWidth}
	file, ok := a.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return p
	}
	p.Bold = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 0 {
		p.Width = min(columns, widestText)
	}
	return p
}
