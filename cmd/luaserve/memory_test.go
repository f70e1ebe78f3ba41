package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 4 << 20: 400, 16 << 20: 400, 32 << 20: 200, 64 << 20: 100, 100 << 20: 64, 128 << 20: 50, 4 << 30: 50} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d MB in use: %d percent, want %d", live>>20, got, want)
		}
	}
}

// The percentage follows the heap, up and down.
func TestAfterEachGC(t *testing.T) {
	old := debug.SetGCPercent(mostGC)
	defer debug.SetGCPercent(old)
	afterEachGC(mostGC)
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
