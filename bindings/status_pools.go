package bindings

import (
	"fmt"
	"strings"
	"sync"

	"luaserve/runtime"
)

// backendPools are the kept connections of the backends that a site names. Those made in
// handlers are left out: they may be any number.
type backendPools struct {
	mu    sync.Mutex
	order []string // addresses
	idle  map[string][]func() int
}

type backendPoolsKey struct{}

func poolsOf(b *runtime.Builder) *backendPools {
	return b.Shared(backendPoolsKey{}, func() any { return &backendPools{idle: map[string][]func() int{}} }).(*backendPools)
}

// showPool has status.metrics tell how many connections to address are kept.
func showPool(b *runtime.Builder, address string, idle func() int) {
	if !b.InSite() {
		return
	}
	p := poolsOf(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.idle[address] == nil {
		p.order = append(p.order, address)
	}
	p.idle[address] = append(p.idle[address], idle)
}

func (p *backendPools) writeMetrics(b *strings.Builder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.order) == 0 {
		return
	}
	const name = "luaserve_backend_idle_connections"
	metric(b, name, "gauge", "Connections to a backend that are kept for later requests.")
	for _, address := range p.order {
		sum := 0
		for _, idle := range p.idle[address] {
			sum += idle()
		}
		fmt.Fprintf(b, "%s{backend=%s} %d\n", name, labelText(address), sum)
	}
}
