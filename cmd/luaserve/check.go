package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"luaserve/runtime"
)

func (a *app) checkCommand() *cobra.Command {
	var sandbox runtime.Sandbox
	cmd := &cobra.Command{
		Use:   "check SITE.lua",
		Short: "Load a script and say what is wrong with it",
		Long: `Load a script without listening anywhere. An error is printed with its place,
site.lua:12: …, and the exit code is 1.

With --verbose it also prints how many Lua states the handlers of the script run in, and
the place that forces them into a single one: a handler that writes to a variable of the
script must always meet the same state.`,
		Args: oneScript,
		RunE: func(_ *cobra.Command, args []string) error {
			log := slog.New(slog.DiscardHandler) // what matters comes back as the error
			if a.verbose {
				log = a.logger()
			}
			tuneMemory(log)
			p, err := load(args[0], log, sandbox)
			if err != nil {
				return err
			}
			defer p.Close()
			for _, w := range p.Warnings() {
				fmt.Fprintln(a.stderr, w)
			}
			fmt.Fprintf(a.stdout, "%s: ok\n", args[0])
			if a.verbose {
				fmt.Fprintln(a.stdout, describeStates(p))
			}
			return nil
		},
	}
	sandboxFlags(cmd, &sandbox)
	return cmd
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
