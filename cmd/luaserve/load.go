package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"luaserve/bindings"
	"luaserve/devpage"
	"luaserve/runtime"
	"luaserve/scripts"
)

// load makes a program of a script, with every module that luaserve has.
func load(site string, log *slog.Logger, sandbox runtime.Sandbox) (*runtime.Program, error) {
	return runtime.Load(site, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: log, Sandbox: sandbox})
}

// loadForDevelopment is load for those who develop the site: they see in the browser what went wrong.
func loadForDevelopment(site string, log *slog.Logger, sandbox runtime.Sandbox) (*runtime.Program, error) {
	return runtime.Load(site, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: log, Sandbox: sandbox, ErrorPage: devpage.Page})
}

// loadToInspect is load for commands that look at the pipeline: it keeps the arguments of
// actions.
func loadToInspect(site string, log *slog.Logger, sandbox runtime.Sandbox) (*runtime.Program, error) {
	return runtime.Load(site, runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Log: log, Inspect: true, Sandbox: sandbox})
}

// oneScript is what the commands take that load a script.
func oneScript(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected one script, got %d arguments: %s", len(args), cmd.UseLine())
	}
	return nil
}
