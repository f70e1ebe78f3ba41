package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// How often garbage is collected: when the heap has grown by so much since the last time, but
// by no less than leastGC and no more than mostGC percent of what is in use. A request leaves
// little behind, and the heap of a server with nothing to do is a few MB, so a dozen MB more
// save a fifth of the CPU time of a Lua handler. While a site with 200,000 rules is loaded, and
// as long as it is in use, the same percentage would be half a GB.
const (
	gcGrowth = 64 << 20
	leastGC  = 50
	mostGC   = 400
)

// loadingHeap is what the heap may become while a site is loaded before any garbage is
// collected. Little of what a large site is made from is garbage before the end, and to go
// through all of it each time that 64 MB were added took half of the time.
const loadingHeap = 170 << 20

// tuneMemory sets how often a server collects garbage, unless the environment says it (GOGC),
// and limits the memory.
func tuneMemory(log *slog.Logger) *gcPace {
	p := &gcPace{fixed: os.Getenv("GOGC") != ""}
	if !p.fixed {
		p.adjust()
		p.afterEachGC()
	}
	limitMemory(log, memlimit.FromCgroup)
	return p
}

// gcPace is how often garbage is collected. It is safe for concurrent use.
type gcPace struct {
	fixed bool // by the environment

	mu      sync.Mutex
	loads   int // of the site that run
	percent int // that was set
}

// during has the pace be that of a load while f runs.
func (p *gcPace) during(f func()) {
	p.count(1)
	defer p.count(-1)
	f()
}

func (p *gcPace) count(loads int) {
	p.mu.Lock()
	p.loads += loads
	p.mu.Unlock()
	if !p.fixed {
		p.adjust()
	}
}

// adjust has the percentage follow what is in use.
func (p *gcPace) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	p.mu.Lock()
	defer p.mu.Unlock()
	if percent := gcPercent(live[0].Value.Uint64(), p.loads > 0); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
}

// afterEachGC adjusts the pace from now on. Go runs the cleanup of an object that nothing
// refers to behind the next collection.
func (p *gcPace) afterEachGC() {
	runtime.AddCleanup(&struct{ alone *byte }{}, func(p *gcPace) {
		p.adjust()
		p.afterEachGC()
	}, p)
}

// leastHeap is what Go takes for the heap that is in use when less is.
const leastHeap = 4 << 20

// gcPercent is how much a heap may grow of which so many bytes are in use.
func gcPercent(live uint64, loading bool) int {
	live = max(live, leastHeap)
	if loading && live+gcGrowth < loadingHeap {
		return int((loadingHeap - live) * 100 / live)
	}
	return int(min(max(gcGrowth*100/live, leastGC), mostGC))
}

// toolGC is the percentage of commands that end soon: nothing that they make is garbage for
// long, and to look for it in a large site each time that 64 MB were added took two thirds of
// the time of check.
const toolGC = 200

// tuneToolMemory is tuneMemory for a command that reads a script, says something and ends.
func tuneToolMemory(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(toolGC)
	}
	limitMemory(log, memlimit.FromCgroup)
}

// limitMemory has the collector keep to nine tenths of what is available, the limit of the control
// group, unless the environment says it (GOMEMLIMIT). Near the limit the collector works harder instead of
// having the kernel end the process.
func limitMemory(log *slog.Logger, available memlimit.Provider) {
	limit, err := memlimit.Set(memlimit.WithProvider(available))
	if err == nil && limit > 0 {
		log.Debug("the memory is limited", "bytes", limit)
	}
}
