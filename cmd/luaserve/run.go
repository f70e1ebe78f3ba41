package main

import "github.com/spf13/cobra"

func (a *app) runCommand() *cobra.Command {
	var listen []string
	cmd := &cobra.Command{
		Use:   "run SITE.lua",
		Short: "Serve a script",
		Long: `Serve a script until SIGTERM or SIGINT; requests that are on their way end first.

SIGHUP loads the script again. When that fails, the error is logged and the script
that was loaded before goes on. systemd is told of all that (Type=notify-reload), and
may open the sockets (listen "systemd:").`,
		Example: `  luaserve run site.lua
  luaserve run site.lua --listen 127.0.0.1:8080 --listen unix:/run/site.sock`,
		Args: oneScript,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.serve(cmd.Context(), args[0], listen, nil)
		},
	}
	listenFlag(cmd, &listen, nil)
	return cmd
}

func listenFlag(cmd *cobra.Command, into *[]string, preset []string) {
	cmd.Flags().StringArrayVar(into, "listen", preset,
		"`address` to listen on, in place of those of the script: 127.0.0.1:8080, [::1]:8080, unix:/path, systemd:name; may be repeated")
}
