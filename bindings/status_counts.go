package bindings

import (
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
	classes  [6]atomic.Int64 // by the first digit of the status, 0 for all that is none of 1 to 5
	buckets  [len(durationBounds) + 1]atomic.Int64
	nanos    atomic.Int64 // all durations together

	mu     sync.Mutex
	recent []counts // one a second, the oldest first
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
	return b.Shared(programStatsKey{}, func() any {
		s := &programStats{started: time.Now()}
		s.recent = []counts{s.counts()}
		b.Observe(runtime.Observer{Begin: s.begin, End: s.end})
		stop := make(chan struct{})
		b.OnClose(func() { close(stop) })
		go s.sample(stop)
		return s
	}).(*programStats)
}

func (s *programStats) begin(*runtime.VRequest) { s.inFlight.Add(1) }

func (s *programStats) end(vr *runtime.VRequest) {
	class := vr.Response.Status / 100
	if class < 1 || class > 5 {
		class = 0
	}
	took := time.Since(vr.Started())
	bucket := 0
	for bucket < len(durationBounds) && took > durationBounds[bucket] {
		bucket++
	}
	s.buckets[bucket].Add(1)
	s.nanos.Add(int64(took))
	s.out.Add(bytesSent(vr))
	s.in.Add(bytesReceived(vr))
	s.classes[class].Add(1)
	s.inFlight.Add(-1)
}

// sample takes the totals once a second until the program is closed.
func (s *programStats) sample(stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-stop:
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
	for i := range c.Classes {
		c.Classes[i] = s.classes[i].Load()
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
	Buckets            [len(durationBounds) + 1]int64
	Durations          time.Duration // all together

	before counts // some seconds ago
}

func (s *programStats) snapshot(p *runtime.Program) *snapshot {
	memory := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(memory)
	snap := &snapshot{counts: s.counts(), InFlight: s.inFlight.Load(), Uptime: time.Since(s.started), Started: s.started,
		Memory: memory[0].Value.Uint64(), Heap: memory[1].Value.Uint64(),
		Goroutines: goruntime.NumGoroutine(), CPUs: goruntime.GOMAXPROCS(0), GoVersion: goruntime.Version(),
		Script: p.Name(), Addresses: addresses(p), Durations: time.Duration(s.nanos.Load())}
	snap.Requests = snap.requests()
	for i := range snap.Buckets {
		snap.Buckets[i] = s.buckets[i].Load()
	}
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
