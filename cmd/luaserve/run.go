package main

import "github.com/spf13/cobra"

func (a *app) runCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "run SITE.lua",
		Short: "Serve a script",
		Long: `Serve a script until SIGTERM or SIGINT; requests that are on their way end first.

SIGHUP loads the script again. When that fails, the error is logged and the script
that was loaded before goes on; with --dev requests are answered with the error
until a script loads. With --watch the same happens when a file of the site
changes: the script, a plugin, or a handler that was used.

systemd is told of all that (Type=notify-reload), and may open the sockets
(listen "systemd:").`,
		Example: `  luaserve run site.lua
  luaserve run site.lua --dev --watch
  luaserve run site.lua --listen 127.0.0.1:8080 --listen unix:/run/site.sock`,
		Args: oneScript,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.site = args[0]
			return a.serve(cmd.Context(), o)
		},
	}
	listenFlag(cmd, &o.listen, nil)
	sandboxFlags(cmd, &o.sandbox)
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "load the script again when one of its files changes")
	cmd.Flags().BoolVar(&o.dev, "dev", false, "for development: a request that fails (5xx), and each one while the script does not load, is answered with the error, the lines of the script and the traceback")
	cmd.Flags().StringVar(&o.user, "user", "", "`user[:group]` to become when the addresses are open; later loads run as that user")
	cmd.Flags().StringVar(&o.pprof, "pprof", "", "`address` to serve profiles of the process on, for example 127.0.0.1:6060; nobody else should reach it")
	return cmd
}

func listenFlag(cmd *cobra.Command, into *[]string, preset []string) {
	cmd.Flags().StringArrayVar(into, "listen", preset,
		"`address` to listen on, in place of those of the script: 127.0.0.1:8080, [::1]:8080, unix:/path, systemd:name; may be repeated")
}
