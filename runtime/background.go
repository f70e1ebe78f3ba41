package runtime

import (
	"context"
	"sync"
	"sync/atomic"
)

// background is the work that a program does by itself while it serves.
type background struct {
	begun atomic.Bool

	mu      sync.Mutex
	waiting []func(context.Context) // to be started with the program
	ctx     context.Context         // nil until the start
	cancel  context.CancelFunc
	closed  bool
	running sync.WaitGroup
}

// Background has f run in a goroutine of its own while the program serves: from
// [Program.Start] on, and not at all when it is only checked. f must return soon after ctx
// has ended; [Program.Close] waits for that. What is made while requests run starts at once.
func (b *Builder) Background(f func(ctx context.Context)) {
	g := &b.prog.background
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
	case g.ctx == nil:
		g.waiting = append(g.waiting, f)
	default:
		g.run(f)
	}
}

// Start begins what the program does besides answering requests: health checks, averages.
// Servers call it when the program takes over; the first request does so as well. It may be
// called again.
func (p *Program) Start() {
	if !p.background.begun.Load() {
		p.background.start()
	}
}

func (g *background) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.begun.Swap(true) {
		return
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for _, f := range g.waiting {
		g.run(f)
	}
	g.waiting = nil
}

func (g *background) run(f func(context.Context)) {
	g.running.Go(func() { f(g.ctx) })
}

// stop ends the work and waits for its end.
func (g *background) stop() {
	g.mu.Lock()
	g.closed = true
	if g.cancel != nil {
		g.cancel()
	}
	g.mu.Unlock()
	g.running.Wait()
}
