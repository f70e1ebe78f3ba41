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

// tuneMemory sets how often garbage is collected, unless the environment says it (GOGC), and
// the limit that the collector keeps to: nine tenths of that of the control group, unless the
// environment says it (GOMEMLIMIT). With a limit the collector works harder near it instead of
// having the kernel end the process.
func tuneMemory(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(mostGC)
		afterEachGC(mostGC)
	}
	limit, err := memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup))
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
