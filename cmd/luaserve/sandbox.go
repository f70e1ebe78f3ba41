package main

import (
	"github.com/spf13/cobra"

	"luaserve/runtime"
)

var sandboxFlagNames = []string{"sandbox", "sandbox-root", "sandbox-allow"}

// sandboxFlags adds the flags that say what a script may do.
func sandboxFlags(cmd *cobra.Command, s *runtime.Sandbox) {
	cmd.Flags().Var((*sandboxLevel)(&s.Level), "sandbox", "what the script may do, a `level`: trusted, handler or untrusted; without it the script is trusted while it is loaded, and its handlers are handlers")
	cmd.Flags().StringVar(&s.Root, "sandbox-root", "", "`directory` that an untrusted script is confined to; without it it has no files")
	cmd.Flags().StringArrayVar(&s.Allow, "sandbox-allow", nil, "`name` of an action, a setup or a Lua function that the level refuses and the script may use; may be repeated")
}

// sandboxLevel is a flag that takes the name of a level.
type sandboxLevel runtime.SandboxLevel

func (l *sandboxLevel) String() string {
	if *l == sandboxLevel(runtime.SandboxDefault) {
		return ""
	}
	return runtime.SandboxLevel(*l).String()
}

func (l *sandboxLevel) Type() string { return "level" }

func (l *sandboxLevel) Set(name string) error {
	level, err := runtime.ParseSandboxLevel(name)
	*l = sandboxLevel(level)
	return err
}
