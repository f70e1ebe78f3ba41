package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 4 << 20: 400, 16 << 20: 400, 32 << 20: 200, 64 << 20: 100, 100 << 20: 64, 128 << 20: 50, 4 << 30: 50} {
		if got := gcPercent(live, false); got != want {
			t.Errorf("%d MB in use: %d percent, want %d", live>>20, got, want)
		}
	}
}

// While a site is loaded the heap may become 170 MB before the first collection, and then
// behaves as ever.
func TestGCPercentOfALoad(t *testing.T) {
	for live, want := range map[uint64]int{0: 4150, 4 << 20: 4150, 50 << 20: 240, 100 << 20: 70, 106 << 20: 60, 150 << 20: 50, 4 << 30: 50} {
		if got := gcPercent(live, true); got != want {
			t.Errorf("%d MB in use: %d percent, want %d", live>>20, got, want)
		}
	}
}

// The percentage follows the heap, up and down, and a load.
func TestAfterEachGC(t *testing.T) {
	old := debug.SetGCPercent(mostGC)
	defer debug.SetGCPercent(old)
	p := &gcPace{}
	p.afterEachGC()
	p.during(func() {
		if got := debug.SetGCPercent(-1); got <= mostGC {
			t.Errorf("%d percent during a load", got)
		}
	})
	if got := debug.SetGCPercent(mostGC); got != mostGC {
		t.Errorf("%d percent behind it", got)
	}
	large := make([]byte, 256<<20)
	awaitGCPercent(t, leastGC)
	runtime.KeepAlive(large)
	large = nil
	awaitGCPercent(t, mostGC)
}

func awaitGCPercent(t *testing.T, want int) {
	t.Helper()
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for range 1000 {
		runtime.GC()
		if metrics.Read(percent); percent[0].Value.Uint64() == uint64(want) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d percent, want %d", percent[0].Value.Uint64(), want)
}

// The limit is nine tenths of what there is, unless the environment has one.
func TestMemoryLimit(t *testing.T) {
	const available = 1 << 40
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	provider := func() (uint64, error) { return available, nil }
	log := slog.New(slog.DiscardHandler)
	t.Setenv("GOMEMLIMIT", "2TiB")
	limitMemory(log, provider)
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("the environment has one: got %d, before %d", got, before)
	}
	os.Unsetenv("GOMEMLIMIT")
	limitMemory(log, provider)
	if got := debug.SetMemoryLimit(-1); got < available/10*9-1 || got > available/10*9+1+available/1000 {
		t.Errorf("got %d, want nine tenths of %d", got, int64(available))
	}
}
