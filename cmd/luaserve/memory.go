package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// gcPercent lets the heap grow to five times of what is in use before garbage is collected. A
// request leaves little behind, and the heap of a server with nothing to do is a few MB, so
// this is a dozen MB more for a fifth of the CPU time of a Lua handler.
const gcPercent = 400

// tuneMemory sets how often garbage is collected, unless the environment says it (GOGC), and
// the limit that the collector keeps to: nine tenths of that of the control group, unless the
// environment says it (GOMEMLIMIT). With a limit the collector works harder near it instead of
// having the kernel end the process.
func tuneMemory(log *slog.Logger) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	limit, err := memlimit.Set(memlimit.WithProvider(memlimit.FromCgroup))
	if err == nil && limit > 0 {
		log.Debug("the memory is limited", "bytes", limit)
	}
}
