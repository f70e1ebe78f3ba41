package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"luaserve/cmd/luaserve/demo"
)

func (a *app) demoCommand() *cobra.Command {
	var listen []string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Serve a site to try, with an application behind FastCGI",
		Long: `Serve a complete site: static files, aliases, expiry, handlers in Lua, and an
application behind FastCGI that is split into SCRIPT_NAME and PATH_INFO. Nothing has to be
installed: the application runs in this process. Its page / explains what each URL shows.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runDemo(cmd.Context(), listen)
		},
	}
	listenFlag(cmd, &listen, []string{"127.0.0.1:8080"})
	return cmd
}

// runDemo unpacks the site into a directory of its own, which is gone afterwards.
func (a *app) runDemo(ctx context.Context, listen []string) (err error) {
	dir, err := os.MkdirTemp("", "luaserve-demo-")
	if err != nil {
		return fmt.Errorf("no directory for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := demo.Extract(dir); err != nil {
		return fmt.Errorf("unpacking the demo: %w", err)
	}
	application, err := demo.StartApplication(filepath.Join(dir, demo.Socket))
	if err != nil {
		return fmt.Errorf("starting the application of the demo: %w", err)
	}
	defer application.Close()
	return a.serve(ctx, serveOptions{site: filepath.Join(dir, demo.Script), listen: listen,
		ready: func(urls []string) { printTour(a.stdout, urls[0]) }})
}

// printTour prints what to try.
func printTour(w io.Writer, url string) {
	fmt.Fprintf(w, "\nOpen %s/ in a browser, or try:\n\n", url)
	for _, step := range [][2]string{
		{"/trac-static/demo.css", "a static file by an alias; expires in a week"},
		{"/wiki/Start?a=1", `the application: SCRIPT_NAME "", PATH_INFO /wiki/Start`},
		{"/trac/wiki/Start?a=1", "the same below /trac: SCRIPT_NAME /trac"},
		{"/tracker", "not below /trac, whatever the first letters say"},
		{"/stream", "lines that arrive one by one"},
		{"/status", "a page that a Lua function writes, with live counters"},
		{"/.git/config", "404: hidden files"},
	} {
		fmt.Fprintf(w, "  curl -i %-50s # %s\n", "'"+url+step[0]+"'", step[1])
	}
	fmt.Fprintf(w, "\nCtrl-C ends it.\n")
}
