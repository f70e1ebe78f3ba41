package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"luaserve/runtime"
	"luaserve/server"
)

// serve runs a script until a signal ends it. ready, if any, is called with the URLs once
// all of them answer.
func (a *app) serve(ctx context.Context, site string, listen []string, ready func(urls []string)) error {
	ctx, restore := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore) // a second signal does not wait for anybody
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	log := a.logger()
	s, err := server.New(server.Config{
		Site:    site,
		Listen:  listen,
		Sockets: activation.Files(true),
		Load:    func(path string) (*runtime.Program, error) { return load(path, log) },
		Log:     log,
	})
	if err != nil {
		return err
	}
	urls := s.URLs()
	for _, url := range urls {
		fmt.Fprintln(a.stdout, "listening on", url)
	}
	if ready != nil {
		ready(urls)
	}
	notify(log, daemon.SdNotifyReady)
	go reloadOn(ctx, hangup, s, log)
	context.AfterFunc(ctx, func() { notify(log, daemon.SdNotifyStopping) })
	return s.Serve(ctx)
}

// reloadOn loads the script again at each signal, until ctx is done.
func reloadOn(ctx context.Context, hangup <-chan os.Signal, s *server.Server, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		notify(log, reloading())
		if err := s.Reload(); err != nil {
			log.Error("the script was not reloaded; the old one goes on", "error", err)
		} else {
			log.Info("the script was reloaded")
		}
		notify(log, daemon.SdNotifyReady)
	}
}
