package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// load is what a client saw of a server.
type load struct {
	requests int
	elapsed  time.Duration
	p99      time.Duration
}

// driver puts load on a server with one request over and over, for as long as it is told.
type driver func(ctx context.Context, addr string, ask exchange, duration time.Duration) (load, error)

// wrk returns a driver that runs the program wrk, with as many threads as the servers have
// workers.
func wrk(program string, threads, connections int) driver {
	return func(ctx context.Context, addr string, ask exchange, duration time.Duration) (load, error) {
		args := []string{"--latency", "--timeout", "30s",
			"-t", strconv.Itoa(threads), "-c", strconv.Itoa(connections), "-d", fmt.Sprintf("%.0fs", duration.Seconds()),
			"-H", "Host: " + ask.hostOrDefault()}
		if ask.closes {
			args = append(args, "-H", "Connection: close")
		}
		cmd := exec.CommandContext(ctx, program, append(args, "http://"+addr+ask.path)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return load{}, fmt.Errorf("wrk: %w: %s", err, out)
		}
		return parseWrk(string(out))
	}
}

var (
	wrkTotal  = regexp.MustCompile(`(?m)^ *(\d+) requests in ([0-9.]+(?:us|ms|s|m|h)),`)
	wrkP99    = regexp.MustCompile(`(?m)^ *99% +([0-9.]+(?:us|ms|s|m|h)) *$`)
	wrkErrors = regexp.MustCompile(`(?m)^ *(Socket errors: .*|Non-2xx or 3xx responses: .*)$`)
)

// parseWrk reads the output of wrk --latency. Errors of connections and answers other than
// 2xx and 3xx are errors, and so is no request at all.
func parseWrk(text string) (load, error) {
	if m := wrkErrors.FindStringSubmatch(text); m != nil {
		return load{}, fmt.Errorf("wrk: %s", m[1])
	}
	total, p99 := wrkTotal.FindStringSubmatch(text), wrkP99.FindStringSubmatch(text)
	if total == nil || p99 == nil {
		return load{}, fmt.Errorf("wrk: expected a number of requests and the latency of 99%%, got %q", text)
	}
	requests, err1 := strconv.Atoi(total[1])
	elapsed, err2 := time.ParseDuration(total[2])
	slow, err3 := time.ParseDuration(p99[1])
	if err := errors.Join(err1, err2, err3); err != nil {
		return load{}, fmt.Errorf("wrk: %w", err)
	}
	if requests == 0 || elapsed == 0 {
		return load{}, errors.New("wrk: no request was answered")
	}
	return load{requests: requests, elapsed: elapsed, p99: slow}, nil
}
