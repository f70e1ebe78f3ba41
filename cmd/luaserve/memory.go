package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

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

// tuneMemory sets how often a server collects garbage, unless the environment says it (GOGC),
// and limits the memory.
func tuneMemory(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(mostGC)
		afterEachGC(mostGC)
	}
	limitMemory(log, memlimit.FromCgroup)
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

// afterEachGC has the percentage follow what is in use; it was percent before. Go runs the
// cleanup of an object that nothing refers to behind the next collection.
func afterEachGC(percent int) {
	runtime.AddCleanup(&struct{ alone *byte }{}, func(int) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		now := gcPercent(live[0].Value.Uint64())
		if now != percent {
			debug.SetGCPercent(now)
		}
		afterEachGC(now)
	}, 0)
}

// gcPercent is how much a heap may grow of which so many bytes are in use.
func gcPercent(live uint64) int {
	return int(min(max(gcGrowth*100/max(live, 1), leastGC), mostGC))
}
