// Command soak keeps luaserve under a mixed load for a long time, reloads its script all the
// while, and draws what the process needs: memory, goroutines, descriptors, and the latency that
// clients see. All of these must stay flat, and every answer is compared byte for byte.
//
//	go run ./bench/soak                                    an hour
//	go run ./bench/soak -duration 5m -rate 1000            shorter, with more load
//	go run ./bench/soak -write docs/soak.md                also puts the result into that page
//
// It runs on Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o := options{still: 12}
	flag.DurationVar(&o.duration, "duration", time.Hour, "how long the load lasts")
	flag.DurationVar(&o.every, "every", 5*time.Second, "time between two samples, and between two reloads")
	flag.IntVar(&o.rate, "rate", 400, "requests a second that the clients aim at, together")
	flag.IntVar(&o.clients, "clients", 16, "clients at a time")
	flag.StringVar(&o.out, "out", "soak-results", "`directory` for samples.csv, soak.svg and soak.md")
	flag.StringVar(&o.write, "write", "", "Markdown `page` in which to replace the block with the result; the plot goes beside it")
	flag.Parse()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	duration, every time.Duration
	rate, clients   int
	still           int // see site
	out, write      string
}

func (o options) check() error {
	switch {
	case o.rate < 1 || o.clients < 1:
		return errors.New("rate, clients: expected at least 1")
	case o.every <= 0 || o.duration < 4*o.every:
		return errors.New("duration: expected at least four times the time between two samples")
	}
	return nil
}

// run measures and saves. An interrupted run is saved as far as it came.
func (o options) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	build := exec.CommandContext(ctx, "go", "build", "-o", tmp+string(filepath.Separator), "luaserve/cmd/luaserve", "luaserve/bench/upstream")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	s, err := startSite(tmp, o.still)
	if err != nil {
		return err
	}
	defer s.stop()
	r := &result{Options: o}
	if err := r.measure(ctx, s); err != nil {
		return err
	}
	if err := r.save(o.out, o.write); err != nil {
		return err
	}
	return r.verdict()
}

// measure runs the load and takes samples. The first and the last are taken without load, the
// last when the connections of the clients have ended.
func (r *result) measure(ctx context.Context, s *site) error {
	l := newLoad(s, r.Options)
	if err := l.once(ctx); err != nil {
		return err // an answer that is wrong from the start
	}
	first, err := s.rested()
	if err != nil {
		return err
	}
	r.Before = first
	r.Began = time.Now()
	loaded, end := context.WithTimeout(ctx, r.Options.duration)
	defer end()
	done := make(chan struct{})
	go func() { defer close(done); l.run(loaded) }()
	for tick := time.NewTicker(r.Options.every); loaded.Err() == nil; {
		select {
		case <-loaded.Done():
			tick.Stop()
		case <-tick.C:
			if err := r.sample(s, l); err != nil {
				return err
			}
			if err := s.reload(len(r.Samples)); err != nil {
				return err
			}
		}
	}
	<-done
	r.Lasted = time.Since(r.Began)
	r.Requests, r.Wrong = l.requests.Load(), l.wrong()
	r.After, err = s.rested()
	return err
}
