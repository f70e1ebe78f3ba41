package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// settings are how it is measured.
type settings struct {
	Rounds      int
	Duration    time.Duration
	Connections int
	Workers     int // of each server; threads of the client
}

// bench measures workloads on servers.
type bench struct {
	settings
	servers []server
	drive   driver
	log     io.Writer // progress
	tmp     string    // of this run; the programs that were built, sites, sockets
}

// build compiles luaserve and the upstream into the temporary directory.
func build(ctx context.Context, tmp string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", tmp+string(filepath.Separator), "luaserve/cmd/luaserve", "luaserve/bench/upstream")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

const upstreamBody = "hello from behind"

func (b *bench) fastcgiSocket() string { return filepath.Join(b.tmp, "fastcgi.sock") }
func (b *bench) httpSocket() string    { return filepath.Join(b.tmp, "http.sock") }
func (b *bench) htdocs() string        { return filepath.Join(b.tmp, "htdocs") }

// run measures all workloads, one after another. An answer that is not the expected one
// ends it; returned are also then the results of the workloads before.
func (b *bench) run(ctx context.Context, list []workload) ([]result, error) {
	if err := os.Mkdir(b.htdocs(), 0o755); err != nil {
		return nil, err
	}
	if err := writeFiles(b.htdocs()); err != nil {
		return nil, err
	}
	upstream, err := start("upstream", b.tmp, b.Workers, filepath.Join(b.tmp, "upstream"), b.fastcgiSocket(), b.httpSocket(), upstreamBody)
	if err != nil {
		return nil, err
	}
	defer upstream.stop()
	ready := func() bool {
		text, err := os.ReadFile(upstream.log)
		return err == nil && string(text) == "ready\n"
	}
	if err := upstream.await(ctx, ready); err != nil {
		return nil, err
	}
	var results []result
	for _, w := range list {
		r, err := b.workload(ctx, w)
		if err != nil {
			return results, fmt.Errorf("%s: %w", w.Name, err)
		}
		results = append(results, r...)
	}
	return results, nil
}

// contender is a server that runs.
type contender struct {
	*running
	addr   string
	result *result
}

// workload starts all servers, and measures them in turn, as often as there are rounds.
func (b *bench) workload(ctx context.Context, w workload) ([]result, error) {
	results := make([]result, len(b.servers))
	var field []contender
	defer func() {
		for _, c := range field {
			c.stop()
		}
	}()
	for i, s := range b.servers {
		results[i] = result{Workload: w.Name, Server: s.name}
		c, err := b.start(ctx, s, w)
		var why unsupported
		if errors.As(err, &why) {
			results[i].Missing = string(why)
			continue
		}
		if c.running != nil {
			c.result = &results[i]
			field = append(field, c)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, c := range field { // caches and pools fill
		if _, err := b.drive(ctx, c.addr, w.ask[0], time.Second); err != nil {
			return nil, c.failed(err)
		}
	}
	for round := range b.Rounds {
		for i := range field {
			c := field[(i+round)%len(field)] // nobody is always first
			if err := b.measure(ctx, c, w); err != nil {
				return nil, c.failed(err)
			}
		}
	}
	for _, c := range field {
		if err := c.lookAtMemory(); err != nil {
			return nil, c.failed(err)
		}
	}
	return results, nil
}

// start starts a server and verifies all its answers. The contender is returned also with
// an error, once it runs.
func (b *bench) start(ctx context.Context, s server, w workload) (contender, error) {
	dir, err := os.MkdirTemp(b.tmp, s.name)
	if err != nil {
		return contender{}, err
	}
	addr, err := freeAddr()
	if err != nil {
		return contender{}, err
	}
	args, err := s.configure(site{workload: w, dir: dir, addr: addr, htdocs: b.htdocs(), workers: b.Workers,
		connections: b.Connections, fastcgiSocket: b.fastcgiSocket(), httpSocket: b.httpSocket()})
	if err != nil {
		return contender{}, err
	}
	r, err := start(s.name, dir, b.Workers, s.program, args...)
	if err != nil {
		return contender{}, err
	}
	c := contender{running: r, addr: addr}
	if err := r.await(ctx, func() bool { return listens(addr) }); err != nil {
		return c, err
	}
	for _, e := range w.ask {
		if err := e.verify(ctx, addr); err != nil {
			return c, r.failed(err)
		}
	}
	return c, nil
}

// measure adds a sample to the result of a server.
func (b *bench) measure(ctx context.Context, c contender, w workload) error {
	proc, pid := os.DirFS("/proc"), c.cmd.Process.Pid
	if err := w.ask[0].verify(ctx, c.addr); err != nil {
		return err
	}
	before, err := tree(proc, pid)
	if err != nil {
		return err
	}
	l, err := b.drive(ctx, c.addr, w.ask[0], b.Duration)
	if err != nil {
		return err
	}
	after, err := tree(proc, pid)
	if err != nil {
		return err
	}
	user, system, err := spent(before, after)
	if err != nil {
		return err
	}
	s := newSample(l, user, system)
	c.result.Samples = append(c.result.Samples, s)
	fmt.Fprintf(b.log, "%-14s %-9s %8.1f µs %9.0f/s\n", w.Name, c.name, s.cpu(), s.rate())
	return nil
}

func (c contender) lookAtMemory() error {
	processes, err := tree(os.DirFS("/proc"), c.cmd.Process.Pid)
	if err != nil {
		return err
	}
	c.result.PeakRSS, err = peak(os.DirFS("/proc"), processes)
	return err
}
