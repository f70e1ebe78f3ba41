package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"luaserve/lint"
	"luaserve/runtime"
)

func (a *app) explainCodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain-code [CODE]",
		Short: "Explain a code that check has printed",
		Long: `Print what a finding of "luaserve check" means: what is wrong, why that is bad, a wrong
script and a right one. Without a code all of them are listed. docs/lints.md has the same.`,
		Example: `  luaserve explain-code L003
  luaserve explain-code docroot-after-alias`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var codes []string
			for _, r := range lint.Rules() {
				codes = append(codes, r.Code+"\t"+r.Name)
			}
			return codes, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				for _, r := range lint.Rules() {
					fmt.Fprintf(a.stdout, "%s %-8s %s\n", r.Code, r.Severity, r.Summary)
				}
				return nil
			}
			rule := lint.Lookup(args[0])
			if rule == nil {
				var names []string
				for _, r := range lint.Rules() {
					names = append(names, r.Code, r.Name)
				}
				return runtime.Unknown("code", args[0], names)
			}
			fmt.Fprint(a.stdout, rule.Text())
			return nil
		},
	}
}
