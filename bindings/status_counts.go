package bindings

import (
	"context"
	"fmt"
	goruntime "runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/runtime"
)

// durationBounds are the upper ends of the buckets that durations are counted in.
var durationBounds = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	500 * time.Millisecond, time.Second, 5 * time.Second, 10 * time.Second, time.Minute,
}

// programStats counts the requests of one program.
type programStats struct {
	started  time.Time
	inFlight atomic.Int64
	out, in  atomic.Int64
	vhost    runtime.OptionRef
	rest     vhostCounts // of the requests that belong to no named vhost
	balanced *balancers
	lua      *runtime.LuaStats
	pools    *backendPools

	mu     sync.Mutex
	recent []counts // one a second, the oldest first
	vhosts []*vhostCounts
}

// vhostCounts counts the requests of one vhost.
type vhostCounts struct {
	name    string
	classes [6]atomic.Int64 // by the first digit of the status, 0 for all that is none of 1 to 5
	buckets [len(durationBounds) + 1]atomic.Int64
	nanos   atomic.Int64 // all durations together
}

func (c *vhostCounts) add(status int, took time.Duration) {
	class := status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	bucket := 0
	for bucket < len(durationBounds) && took > durationBounds[bucket] {
		bucket++
	}
	c.buckets[bucket].Add(1)
	c.nanos.Add(int64(took))
	c.classes[class].Add(1)
}

// maxVhosts bounds what a handler that makes names up can make.
const maxVhosts = 1000

// named returns the counts of a vhost.
func (s *programStats) named(name string) (*vhostCounts, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.vhosts {
		if v.name == name {
			return v, nil
		}
	}
	if len(s.vhosts) == maxVhosts {
		return nil, fmt.Errorf("more than %d names", maxVhosts)
	}
	v := &vhostCounts{name: name}
	s.vhosts = append(s.vhosts, v)
	return v, nil
}

// all returns the counts of every vhost, of the requests without one first.
func (s *programStats) all() []*vhostCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*vhostCounts{&s.rest}, s.vhosts...)
}

// counts are totals at one moment.
type counts struct {
	At      time.Time
	Classes [6]int64
	Out, In int64
}

func (c counts) requests() int64 {
	var n int64
	for _, class := range c.Classes {
		n += class
	}
	return n
}

func (c counts) out() int64 { return c.Out }
func (c counts) in() int64  { return c.In }

type programStatsKey struct{}

// recentSeconds is how far back the short average looks.
const recentSeconds = 5

// statsOf returns the counters of the program; the first call has them count.
func statsOf(b *runtime.Builder) *programStats {
	balanced, pools := balancersOf(b), poolsOf(b)
	return b.Shared(programStatsKey{}, func() any {
		s := &programStats{started: time.Now(), vhost: b.Option(optionStatusVhost), balanced: balanced, lua: b.LuaStats(), pools: pools}
		s.recent = []counts{s.counts()}
		b.Observe(runtime.Observer{Begin: s.begin, End: s.end})
		b.Background(s.sample)
		return s
	}).(*programStats)
}

func (s *programStats) begin(*runtime.VRequest) { s.inFlight.Add(1) }

func (s *programStats) end(vr *runtime.VRequest) {
	vhost, _ := vr.Option(s.vhost).(*vhostCounts)
	if vhost == nil {
		vhost = &s.rest
	}
	vhost.add(vr.Response.Status, time.Since(vr.Started()))
	s.out.Add(bytesSent(vr))
	s.in.Add(bytesReceived(vr))
	s.inFlight.Add(-1)
}

// sample takes the totals once a second.
func (s *programStats) sample(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.counts()
		s.mu.Lock()
		if s.recent = append(s.recent, now); len(s.recent) > recentSeconds+1 {
			s.recent = append(s.recent[:0], s.recent[1:]...)
		}
		s.mu.Unlock()
	}
}

func (s *programStats) counts() counts {
	c := counts{At: time.Now(), Out: s.out.Load(), In: s.in.Load()}
	for _, v := range s.all() {
		for i := range c.Classes {
			c.Classes[i] += v.classes[i].Load()
		}
	}
	return c
}

// snapshot is everything there is to show at one moment.
type snapshot struct {
	counts
	Requests, InFlight int64
	Uptime             time.Duration
	Started            time.Time
	Memory, Heap       uint64 // bytes
	Goroutines, CPUs   int
	GoVersion          string
	Script             string
	Addresses          []string
	States             int
	OneState           string // the place in the script that forced a single Lua state
	Vhosts             []*vhostCounts
	Lua                *runtime.LuaStats
	Pools              *backendPools
	Balancers          []balancerStatus

	before counts // some seconds ago
}

func (s *programStats) snapshot(p *runtime.Program) *snapshot {
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(memory)
	snap := &snapshot{counts: s.counts(), InFlight: s.inFlight.Load(), Uptime: time.Since(s.started), Started: s.started,
		Memory: memory[0].Value.Uint64(), Heap: memory[1].Value.Uint64(),
		Goroutines: goruntime.NumGoroutine(), CPUs: goruntime.GOMAXPROCS(0), GoVersion: goruntime.Version(),
		Script: p.Name(), Addresses: addresses(p), Vhosts: s.all(), Lua: s.lua, Pools: s.pools, Balancers: s.balanced.status()}
	snap.Requests = snap.requests()
	var forced *runtime.Pos
	if snap.States, forced = p.States(); forced != nil {
		snap.OneState = forced.String()
	}
	s.mu.Lock()
	snap.before = s.recent[0]
	s.mu.Unlock()
	return snap
}

// addresses returns where the program listens, as the script has it.
func addresses(p *runtime.Program) []string {
	var all []string
	for _, l := range p.Listeners() {
		all = append(all, l.Address)
	}
	return all
}

// Recent returns how much of something there was a second in the last seconds.
func (s *snapshot) Recent(of func(counts) int64) float64 {
	return float64(of(s.counts)-of(s.before)) / max(s.At.Sub(s.before.At).Seconds(), 1)
}

// Average returns how much of something there was a second since the start.
func (s *snapshot) Average(of func(counts) int64) float64 {
	return float64(of(s.counts)) / max(s.Uptime.Seconds(), 1)
}
