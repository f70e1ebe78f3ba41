package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"luaserve/bindings"
	"luaserve/playground"
	"luaserve/runtime"
	"luaserve/scripts"
)

func (a *app) playgroundCommand() *cobra.Command {
	var port uint16
	var open bool
	var sandbox runtime.Sandbox
	cmd := &cobra.Command{
		Use:   "playground [SITE.lua]",
		Short: "Try a script in the browser: requests, and their path through the pipeline",
		Long: `Serve a page to try a script in: an editor that completes, explains and checks while one
types; requests that run through the script without a server; and the pipeline as a tree in
which the path of the request is lit up. Without a script it begins with the one of
luaserve init.

The page is on 127.0.0.1 only, at the printed address: the key behind the # opens it, and it
is another one each time. What is typed into the page runs as Lua in this process, also while
it is typed, with a second of time; it runs no commands, unless --sandbox trusted or the name
of an allowed function lets it. The listen setups of the script have no effect; FastCGI,
SCGI, CGI and HTTP backends are asked when the page says so. Relative paths in the script begin
at its directory. Ctrl+S writes the file, unless another program has changed it meanwhile.`,
		Example: `  luaserve playground
  luaserve playground site.lua --open`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.runPlayground(cmd.Context(), args, port, open, sandbox)
		},
	}
	cmd.Flags().Uint16Var(&port, "port", 0, "listen on this `port` of 127.0.0.1; 0 is a free one")
	sandboxFlags(cmd, &sandbox)
	cmd.Flags().Lookup("sandbox").Usage = "what the script may do, a `level`: trusted, handler (the default) or untrusted"
	cmd.Flags().BoolVar(&open, "open", false, "open the page in the browser")
	return cmd
}

// runPlayground serves the page until a signal ends it.
func (a *app) runPlayground(ctx context.Context, args []string, port uint16, open bool, sandbox runtime.Sandbox) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	ref, err := newReference()
	if err != nil {
		return err
	}
	dir, file := "", "site.lua"
	if len(args) > 0 {
		dir, file = filepath.Split(args[0])
	} else {
		if dir, err = unpackStarter(); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if dir != "" {
		if err := os.Chdir(dir); err != nil {
			return err
		}
	}
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		return fmt.Errorf("cannot read the script %q: %w", filepath.Join(dir, file), reason(err))
	}
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	page := playground.New(playground.Config{File: file, Save: len(args) > 0, Reference: ref,
		Runtime: runtime.Config{Modules: bindings.Modules(), Scripts: scripts.FS, Sandbox: sandbox}})
	defer page.Close()
	url := page.URL(l.Addr())
	fmt.Fprintln(a.stdout, "the playground is at", url)
	if open {
		if err := openBrowser(url); err != nil {
			a.logger().Warn("the browser was not opened", "error", err)
		}
	}
	return servePage(ctx, l, page)
}

// reason is why a file cannot be read.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	if err == nil {
		return syscall.EISDIR
	}
	return err
}

// servePage serves until the context ends, and lets answers that are on their way end first.
func servePage(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		stopped <- s.Shutdown(ctx)
	})
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	if err := <-stopped; errors.Is(err, context.DeadlineExceeded) {
		return s.Close()
	} else if err != nil {
		return err
	}
	return nil
}

// unpackStarter writes the site of init to a directory of its own.
func unpackStarter() (string, error) {
	dir, err := os.MkdirTemp("", "luaserve-playground-")
	if err != nil {
		return "", fmt.Errorf("no directory for the script: %w", err)
	}
	files, err := starterFiles()
	for _, f := range files {
		if err == nil {
			err = writeNew(filepath.Join(dir, filepath.FromSlash(f.name)), f.data)
		}
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("unpacking the script: %w", err)
	}
	return dir, nil
}

// openBrowser asks the desktop to open an address.
func openBrowser(url string) error {
	switch goruntime.GOOS {
	case "darwin":
		return exec.Command("open", url).Start()
	case "windows":
		return exec.Command("rundll32", "url.dll,FileProtocolHandler", url).Start()
	}
	return exec.Command("xdg-open", url).Start()
}
