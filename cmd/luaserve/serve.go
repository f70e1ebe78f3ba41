package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"luaserve/runtime"
	"luaserve/server"
)

// serveOptions say what is served and how.
type serveOptions struct {
	site    string
	listen  []string            // in place of the script's addresses
	sandbox runtime.Sandbox     // what the script may do
	watch   bool                // load the script again when its files change
	dev     bool                // show clients what went wrong
	user    string              // whom to become once everything is open, "" to stay
	pprof   string              // an address for the profiles of the process, "" for none
	ready   func(urls []string) // called once all of them answer, if it is not nil
}

// tellWithin is how long the end of the server waits for a systemd that does not listen, or
// for a script that is still being loaded.
const tellWithin = 5 * time.Second

// serve runs a script until a signal ends it.
func (a *app) serve(ctx context.Context, o serveOptions) error {
	ctx, stop := untilSignal(ctx)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	var become account
	if o.user != "" {
		var err error
		if become, err = lookupAccount(o.user); err != nil {
			return fmt.Errorf("--user: %w", err)
		}
	}
	log := a.logger()
	loader := siteLoader{log: log, sandbox: o.sandbox, dev: o.dev, pace: tuneMemory(log)}
	if o.dev {
		log.Warn("--dev: a request that fails shows parts of the script to its client")
	}
	s, err := server.New(server.Config{
		Site: o.site, Listen: o.listen, Sockets: activation.Files(true), Load: loader.load, Log: log, ShowReloadErrors: o.dev,
	})
	if err != nil {
		return err
	}
	if o.pprof != "" {
		closeProfiles, err := servePprof(o.pprof, log)
		if err != nil {
			s.Close()
			return err
		}
		defer closeProfiles()
	}
	if o.user != "" {
		if err := become.assume(); err != nil {
			s.Close()
			return fmt.Errorf("--user: %w", err)
		}
	}
	urls := s.URLs()
	for _, url := range urls {
		fmt.Fprintln(a.stdout, "listening on", url)
	}
	if o.ready != nil {
		o.ready(urls)
	}
	var changes <-chan struct{}
	if o.watch {
		if changes, err = watchFiles(ctx, loader.files, log); err != nil {
			s.Close()
			return fmt.Errorf("--watch: %w", err)
		}
	}
	notify(log, daemon.SdNotifyReady)
	told := make(chan struct{})
	go func() {
		(&reloader{s, log, hangup, changes, o.dev}).run(ctx)
		notify(log, daemon.SdNotifyStopping) // by the one who tells of reloads, so nothing comes behind it
		close(told)
	}()
	err = s.Serve(ctx)
	stop()   // the reloads, whatever has ended Serve
	select { // an idle server ends sooner than systemd is told
	case <-told:
	case <-time.After(tellWithin):
	}
	return err
}

// untilSignal returns a context that the first SIGINT or SIGTERM ends. The second one ends the
// process, because nobody catches it: that is so before the context is done.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
	}()
	return ctx, cancel
}

// reloader loads the script again.
type reloader struct {
	server  *server.Server
	log     *slog.Logger
	hangup  <-chan os.Signal
	changes <-chan struct{} // of files, nil when they are not watched
	dev     bool
}

// run does that at each signal and change, until ctx is done.
func (r *reloader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
		case <-r.changes:
		}
		notify(r.log, reloading())
		switch err := r.server.Reload(); {
		case ctx.Err() != nil:
			return // an error may say no more than that
		case err == nil:
			r.log.Info("the script was reloaded")
		case r.dev:
			r.log.Error("the script was not reloaded; requests are answered with the error", "error", err)
		default:
			r.log.Error("the script was not reloaded; the old one goes on", "error", err)
		}
		notify(r.log, daemon.SdNotifyReady)
	}
}
