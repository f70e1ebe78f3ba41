package http1

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"luaserve/runtime"
)

// Whatever is set, set again and removed: sides are due when their time is up, and the earliest
// come first.
func TestDeadlines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d deadlines
		sides := make([]side, 3*dueAtOnce)
		want := map[*side]moment{}
		later := now() + moment(time.Hour) // no timer ends meanwhile
		moments := rapid.Custom(func(t *rapid.T) moment { return later + moment(rapid.IntRange(0, 50).Draw(t, "at")) })
		some := rapid.Custom(func(t *rapid.T) *side { return &sides[rapid.IntRange(0, len(sides)-1).Draw(t, "side")] })
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				s, at := some.Draw(t, "s"), moments.Draw(t, "at")
				d.set(s, at)
				want[s] = at
			},
			"set many": func(t *rapid.T) {
				first, at := moments.Draw(t, "first"), moments.Draw(t, "at")
				for i := range sides {
					want[&sides[i]] = first + moment(i%7)*(at-first)/7
					d.set(&sides[i], want[&sides[i]])
				}
			},
			"remove": func(t *rapid.T) {
				s := some.Draw(t, "s")
				d.remove(s)
				delete(want, s)
			},
			"due": func(t *rapid.T) {
				now := moments.Draw(t, "now")
				var got []*side
				for some := d.due(now); len(some) > 0; some = d.due(now) {
					if got = append(got, some...); len(some) > dueAtOnce {
						t.Fatalf("%d at once", len(some))
					}
				}
				if !slices.IsSortedFunc(got, func(a, b *side) int { return int(want[a] - want[b]) }) {
					t.Fatalf("not the earliest first: %v", got)
				}
				for _, s := range got {
					if at, ok := want[s]; !ok || at > now {
						t.Fatalf("at %d one is due that was set for %d, %v", now, at, ok)
					}
					delete(want, s)
				}
				for _, at := range want {
					if at <= now {
						t.Fatalf("at %d one is not due that was set for %d", now, at)
					}
				}
			},
			"": func(t *rapid.T) {
				var first moment
				for i, e := range d.heap {
					if want[e.side] != e.at || e.side.place != int32(i+1) {
						t.Fatalf("place %d: %+v, of which place %d and moment %d are known", i+1, e, e.side.place, want[e.side])
					}
				}
				if len(want) > 0 {
					first = slices.Min(slices.Collect(maps.Values(want)))
				}
				if len(d.heap) != len(want) || first != never && (d.heap[0].at != first || d.next == never || d.next > first) {
					t.Fatalf("%d are set, the first for %d; the heap has %d, and the timer ends at %d", len(want), first, len(d.heap), d.next)
				}
			},
		})
		for got := d.due(later + 50); len(got) > 0; got = d.due(later + 50) {
			for _, s := range got {
				delete(want, s)
			}
		}
		if len(want) > 0 {
			t.Fatalf("left behind: %v", want)
		}
		d.close()
		d.set(&sides[0], later)
		if d.timer != nil && d.timer.Stop() {
			t.Fatal("a timer runs behind the end")
		}
	})
}

// Each session whose time is up ends, and of one that ends nothing is left.
func TestDeadlinesOfSessions(t *testing.T) {
	r := newRow(t, 0, false)
	limits := runtime.DefaultLimits()
	limits.HeaderTimeout = time.Hour
	r.srv.limits = func() *runtime.Limits { return &limits }
	for range 100 {
		r.connect()
	}
	r.run()
	set := func() int {
		r.loop.deadlines.mu.Lock()
		defer r.loop.deadlines.mu.Unlock()
		return len(r.loop.deadlines.heap)
	}
	if n := set(); n != 100 {
		t.Errorf("%d deadlines of 100 sessions", n)
	}
	for _, far := range r.far[:10] {
		far.Close()
	}
	r.await("the end of those whose clients are gone", func() bool { return r.ended.Load() == 10 && set() == 90 })

	for _, near := range r.near[10:] {
		near.mu.Lock()
		near.in.deadline, near.attached.until = now(), now()
		near.mu.Unlock()
	}
	r.loop.deadlines.mu.Lock()
	for i := range r.loop.deadlines.heap { // so that all are due at once
		r.loop.deadlines.heap[i].at = now()
	}
	r.loop.deadlines.mu.Unlock()
	r.loop.deadlines.timeUp()
	r.await("the end of the others", func() bool { return r.ended.Load() == 100 && set() == 0 })
}
