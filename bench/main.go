// Command bench measures luaserve and other web servers of Debian side by side: the processor
// time that a server spends on a request, requests a second, latency and memory.
//
//	go run ./bench                                  all workloads, about a quarter of an hour
//	go run ./bench -only 'fixed|lua' -rounds 3      some of them
//	go run ./bench -servers luaserve,nginx -duration 5s
//	go run ./bench -write docs/performance.md       also puts the result into that page
//
// It runs on Linux and needs wrk; servers that are not installed are left out.
// docs/performance.md says how it measures and what to install.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	o := flags()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	settings
	only    string
	servers string
	out     string
	write   string
	idle    int
}

func flags() options {
	var o options
	flag.IntVar(&o.Rounds, "rounds", 5, "measurements of each workload on each server")
	flag.DurationVar(&o.Duration, "duration", 2*time.Second, "how long a measurement takes, in whole seconds")
	flag.IntVar(&o.Connections, "connections", 64, "connections of the client")
	flag.IntVar(&o.Workers, "workers", 2, "workers or processors of each server, and threads of the client")
	flag.StringVar(&o.only, "only", "", "regular `expression` for the workloads to measure (default all)")
	flag.StringVar(&o.servers, "servers", "", "`list` of the servers to measure, with commas (default all that are installed)")
	flag.StringVar(&o.out, "out", "bench-results", "`directory` for results.md, results.csv, results.json and cpu.svg")
	flag.StringVar(&o.write, "write", "", "Markdown `page` in which to replace the block with the results")
	flag.IntVar(&o.idle, "idle", 0, "measure nothing but the memory that so `many` idle and slow connections take; nginx and luaserve can hold thousands")
	flag.Parse()
	return o
}

// check refuses settings that nothing could be measured with.
func (o options) check() error {
	switch {
	case o.Rounds < 1 || o.Workers < 1:
		return errors.New("rounds, workers: expected at least 1")
	case o.Duration < time.Second || o.Duration%time.Second != 0:
		return fmt.Errorf("duration: expected whole seconds, which is all that wrk takes, got %s", o.Duration)
	case o.Connections < o.Workers:
		return fmt.Errorf("connections: expected at least one for each of the %d threads of wrk, got %d", o.Workers, o.Connections)
	}
	return nil
}

func (o options) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	list, err := selectWorkloads(o.only)
	if err != nil {
		return err
	}
	client, err := find("wrk")
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := build(ctx, tmp); err != nil {
		return err
	}
	servers, err := selectServers(peers(tmp+"/luaserve"), o.servers)
	if err != nil {
		return err
	}
	r := report{Date: time.Now(), Commit: checkout(ctx), Machine: thisMachine(), Settings: o.settings}
	for _, s := range servers {
		v, err := s.printVersion()
		if err != nil {
			return err
		}
		r.Servers = append(r.Servers, version{s.name, v})
	}
	b := &bench{settings: o.settings, servers: servers, drive: wrk(client, o.Workers, o.Connections), log: os.Stderr, tmp: tmp}
	if o.idle > 0 {
		return b.idle(ctx, o.idle)
	}
	r.Results, err = b.run(ctx, list)
	if err := errors.Join(err, r.save(o.out)); err != nil || o.write == "" {
		return err
	}
	return r.embed(o.write)
}

// selectWorkloads returns those whose name the expression matches.
func selectWorkloads(only string) ([]workload, error) {
	re, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("only: %w", err)
	}
	var names []string
	var list []workload
	for _, w := range workloads() {
		names = append(names, w.Name)
		if re.MatchString(w.Name) {
			list = append(list, w)
		}
	}
	if list == nil {
		return nil, fmt.Errorf("only: %q matches none of %s", only, strings.Join(names, ", "))
	}
	return list, nil
}

// selectServers returns the servers of a list of names, and where their programs are. No
// names stand for all that are installed.
func selectServers(known []server, names string) ([]server, error) {
	wanted := strings.FieldsFunc(names, func(r rune) bool { return r == ',' })
	for _, name := range wanted {
		if !slices.ContainsFunc(known, func(s server) bool { return s.name == name }) {
			return nil, fmt.Errorf("servers: expected some of luaserve, nginx, lighttpd, haproxy and caddy, got %q", name)
		}
	}
	var list []server
	for _, s := range known {
		if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		program, err := find(s.program)
		switch {
		case err == nil:
			s.program = program
			list = append(list, s)
		case len(wanted) > 0:
			return nil, err
		default:
			fmt.Fprintf(os.Stderr, "%s is left out: %v\n", s.name, err)
		}
	}
	return list, nil
}
