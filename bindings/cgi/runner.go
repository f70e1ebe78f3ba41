package cgi

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"luaserve/bindings/fcgi"
	"luaserve/bindings/upstream"
)

// Config says within which limits programs run. The zero value has sensible ones.
type Config struct {
	// Timeout limits how long a program may neither give output nor take the request body,
	// while it could; and how long it may go on when its answer is complete. 0 means 60
	// seconds, less no limit.
	Timeout time.Duration
	// Grace is the time between SIGTERM and SIGKILL. 0 means 5 seconds.
	Grace time.Duration
	// MaxProcesses is how many programs may run at once. 0 means 64.
	MaxProcesses int
	// MaxHeadBytes limits a response head. 0 means 64 KiB.
	MaxHeadBytes int
	// MaxOutputBytes limits a response body. 0 means no limit.
	MaxOutputBytes int64
	// MaxStderrBytes limits what is passed on of the stderr of one program; the rest is
	// read past. 0 means 64 KiB.
	MaxStderrBytes int64
}

// WithDefaults returns c with the defaults in place of what is 0.
func (c Config) WithDefaults() Config {
	orDefault(&c.Timeout, 60*time.Second)
	orDefault(&c.Grace, 5*time.Second)
	orDefault(&c.MaxProcesses, 64)
	orDefault(&c.MaxHeadBytes, 64<<10)
	orDefault(&c.MaxStderrBytes, 64<<10)
	return c
}

func orDefault[T int | int64 | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Runner runs programs. It is safe for concurrent use.
type Runner struct {
	config Config

	mu      sync.Mutex
	places  int // how many programs may be started yet
	running map[*process]bool
	closed  bool
	all     sync.WaitGroup // of the places taken and the stderr that is read
}

// NewRunner returns a runner with these limits. Descriptors that this process has inherited from
// its own parent are marked so that no program inherits them.
func NewRunner(config Config) *Runner {
	config = config.WithDefaults()
	keepInherited()
	return &Runner{config: config, places: config.MaxProcesses, running: map[*process]bool{}}
}

// Do runs a program and returns when the head of the response is there. The caller must close
// the response's Body, which is never nil; that of an answer to HEAD, of 204 and 304 is empty.
// When ctx ends, at any time until Body was read to its end, the program is stopped and what
// is waiting for it returns. A Body that is closed before its end gives the program until
// Config.Timeout to end by itself.
//
// An error is an [Error].
func (r *Runner) Do(ctx context.Context, req *Request) (*fcgi.Response, error) {
	env, err := req.environment()
	if err != nil {
		return nil, &Error{Proto: proto, Op: "request", Addr: req.Program, Kind: upstream.BadRequest, Err: err}
	}
	p, err := r.start(req, env)
	if err != nil {
		return nil, &Error{Proto: proto, Op: "start", Addr: req.Program, Kind: startKind(err), Err: err}
	}
	x := &exchange{process: p, config: &r.config, ctx: ctx, program: req.Program}
	x.unwatch = context.AfterFunc(ctx, func() { p.stop(canceled(ctx, req.Program)) })
	return x.run(req)
}

var (
	errClosed = errors.New("the server is ending")
	errFull   = errors.New("too many programs are running")
)

// start takes a place and starts the program in it.
func (r *Runner) start(req *Request, env []string) (*process, error) {
	if err := r.takePlace(); err != nil {
		return nil, err
	}
	p, err := startProcess(req, env, r.config.Grace)
	if err != nil {
		r.freePlace(nil)
		return nil, err
	}
	r.mu.Lock()
	r.running[p] = true
	closed := r.closed
	r.mu.Unlock()
	if req.Stderr != nil {
		r.all.Go(func() { p.passStderr(req.Stderr, r.config.MaxStderrBytes) })
	}
	if closed {
		p.stop(r.ending(p))
	}
	go func() {
		p.wait()
		r.freePlace(p)
	}()
	return p, nil
}

func (r *Runner) takePlace() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return errClosed
	case r.places == 0:
		return fmt.Errorf("%w: %d", errFull, r.config.MaxProcesses)
	}
	r.places--
	r.all.Add(1)
	return nil
}

func (r *Runner) freePlace(p *process) {
	r.mu.Lock()
	r.places++
	delete(r.running, p)
	r.mu.Unlock()
	r.all.Done()
}

// Close stops the programs that still run and waits for them and their last words, which takes
// little more than Config.Grace at most. No program is started any more.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	for p := range r.running {
		p.stop(r.ending(p))
	}
	r.mu.Unlock()
	r.all.Wait()
}

// ending is why a program is stopped by Close.
func (r *Runner) ending(p *process) *Error {
	return &Error{Proto: proto, Op: "wait", Addr: p.cmd.Path, Kind: upstream.Unavailable, Sent: true, Err: errClosed}
}

// startKind tells a program that cannot be run from a server that has no room for one.
func startKind(err error) upstream.Kind {
	switch {
	case errors.Is(err, errFull), errors.Is(err, errClosed):
		return upstream.Unavailable
	case errors.Is(err, syscall.E2BIG): // a variable of more than 128 KiB, on Linux
		return upstream.BadRequest
	}
	for _, scarce := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, scarce) {
			return upstream.Unavailable
		}
	}
	return upstream.Misconfigured
}
