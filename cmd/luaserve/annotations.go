package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"luaserve/bindings"
	"luaserve/reference"
	"luaserve/scripts"
)

func (a *app) annotationsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "annotations [PLUGIN.lua…]",
		Short: "Print annotations for editors",
		Long: `Print lighty.d.lua: what scripts can use as annotations of lua-language-server, for
completion, hover texts and checks in editors. It belongs beside the scripts, and into a
new state after each update of luaserve; luaserve init writes it first.

Functions of the site's own plugins are in it too when their files are named. A plugin
describes them in comments as scripts/core.lua does.`,
		Example: `  luaserve annotations > lighty.d.lua
  luaserve annotations edge.lua > lighty.d.lua`,
		RunE: func(_ *cobra.Command, files []string) error {
			text, err := annotations(files)
			if err == nil {
				_, err = fmt.Fprint(a.stdout, text)
			}
			return err
		},
	}
}

// annotations describes what luaserve offers, and the plugins in files.
func annotations(files []string) (string, error) {
	plugins, err := reference.ReadPlugins(scripts.FS)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		plugin, err := reference.ReadPlugin(filepath.Base(file), string(text))
		if err != nil {
			return "", err
		}
		plugins = append(plugins, plugin)
	}
	return reference.New(bindings.Modules(), plugins...).Annotations(), nil
}
