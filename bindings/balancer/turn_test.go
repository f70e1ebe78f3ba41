package balancer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// enter begins a turn that need not wait.
func enter(t *testing.T, p *Pool, key string) *Turn {
	t.Helper()
	turn := p.Begin(key)
	if _, err := turn.Next(t.Context); err != nil {
		t.Fatal(err)
	}
	return turn
}

// attempt gives one request to backends that work or not, and returns whom it met.
func attempt(p *Pool, works func(i int) bool) (met []int) {
	turn := p.Begin("")
	defer turn.Leave()
	for {
		i, err := turn.Next(context.Background)
		if err != nil {
			return met
		}
		met = append(met, i)
		if works(i) {
			turn.Worked()
			return met
		}
		turn.Failed()
	}
}

func firstDead(i int) bool { return i != 0 }
func none(int) bool        { return false }
func every(int) bool       { return true }

func expect(t *testing.T, when string, met []int, want ...int) {
	t.Helper()
	if !slices.Equal(met, want) {
		t.Errorf("%s: met %v, want %v", when, met, want)
	}
}

func TestEjection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b"), Policy: ShortestQueue, Fails: 3, Pause: time.Second, MaxPause: 5 * time.Second})
		for range 2 {
			expect(t, "failures", attempt(p, firstDead), 0, 1)
			expect(t, "failures", attempt(p, firstDead), 0, 1)
			expect(t, "it works in between", attempt(p, every), 0)
		}
		for range 3 {
			expect(t, "failures in a row", attempt(p, firstDead), 0, 1)
		}
		expect(t, "in the pause", attempt(p, firstDead), 1)
		for _, pause := range []time.Duration{1, 2, 4, 5, 5} {
			time.Sleep(pause*time.Second - 1)
			expect(t, "shortly before the end of a pause", attempt(p, firstDead), 1)
			time.Sleep(time.Nanosecond)
			expect(t, "behind a pause", attempt(p, firstDead), 0, 1)
		}
		if s := p.Status().Backends[0]; s.State != Ejected || s.Failed != 12 || s.Requests != 14 {
			t.Errorf("%+v", s)
		}
		time.Sleep(5 * time.Second)
		expect(t, "works again", attempt(p, every), 0)
		expect(t, "and stays", attempt(p, every), 0)
		for range 3 {
			expect(t, "fails again", attempt(p, firstDead), 0, 1)
		}
		time.Sleep(time.Second)
		expect(t, "the pause is short again", attempt(p, every), 0)
	})
}

// What Worked and Failed report is what is worth a line in the log.
func TestEjectionIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a"), Fails: 2, Pause: time.Second, MaxPause: time.Minute})
		together := []*Turn{enter(t, p, ""), enter(t, p, ""), enter(t, p, ""), enter(t, p, "")}
		for i, want := range []time.Duration{0, time.Second, 0} {
			if got := together[i].Failed(); got != want {
				t.Errorf("failure %d: left out for %v, want %v", i, got, want)
			}
		}
		if together[3].Worked() {
			t.Error("an answer from before it broke took it back into use")
		}
		time.Sleep(time.Second)
		if pause := enter(t, p, "").Failed(); pause != 0 {
			t.Errorf("that it still fails is no news: %v", pause)
		}
		time.Sleep(2 * time.Second)
		if trial := enter(t, p, ""); !trial.Worked() {
			t.Error("that it works again was not told")
		}
		if enter(t, p, "").Worked() {
			t.Error("told twice")
		}
	})
}

// While one request tries a backend that failed, the others leave it alone, and a request
// that finds nothing out leaves the trial to another one.
func TestSingleTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b"), Fails: 1, Pause: time.Second, MaxPause: time.Second})
		attempt(p, firstDead)
		time.Sleep(time.Second)
		for range 2 {
			trial := enter(t, p, "")
			if trial.at != 0 {
				t.Fatalf("the trial met %d", trial.at)
			}
			for range 3 {
				expect(t, "meanwhile", attempt(p, every), 1)
			}
			trial.Leave()
		}
		expect(t, "the trial itself", attempt(p, every), 0)
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b"), Policy: ShortestQueue, Fails: 1, Pause: time.Minute, MaxPause: time.Minute})
		if !p.SetDown(0, true) || p.SetDown(0, true) {
			t.Error("what is news was not told")
		}
		expect(t, "down", attempt(p, every), 1)
		if got := p.Status().Backends[0].State; got != Down {
			t.Errorf("state %s", got)
		}
		p.SetDown(0, false)
		expect(t, "up", attempt(p, firstDead), 0, 1)
		p.SetDown(0, true)
		p.SetDown(0, false)
		expect(t, "what was before is forgotten", attempt(p, every), 0)
	})
}

// busy expects a turn to be refused.
func busy(t *testing.T, p *Pool, reason string, after time.Duration) {
	t.Helper()
	_, err := p.Begin("").Next(t.Context)
	e, ok := errors.AsType[*BusyError](err)
	if !ok || e.Reason != reason || e.RetryAfter != after {
		t.Errorf("got %+v, want %q, %v", err, reason, after)
	}
}

func TestNoBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b"), Fails: 1, Pause: 4 * time.Second, MaxPause: time.Minute, MaxInFlight: 1, Wait: time.Minute})
		expect(t, "all fail", attempt(p, none), 0, 1)
		time.Sleep(time.Second)
		busy(t, p, "no backend can take the request", 3*time.Second)
		p.SetDown(0, true)
		p.SetDown(0, false)
		enter(t, p, "")
		time.Sleep(2900 * time.Millisecond)
		busy(t, p, "no backend can take the request", time.Second)
	})
}

// waiter is a request that waits in a goroutine of its own.
type waiter struct {
	*Turn
	err error
}

// queue has n requests wait, one after the other, and reports each of them when it does not
// wait any more.
func queue(p *Pool, ctx context.Context, n int) (list []*waiter, through chan int) {
	through = make(chan int, n)
	for i := range n {
		w := &waiter{Turn: p.Begin("")}
		list = append(list, w)
		go func() {
			_, w.err = w.Next(func() context.Context { return ctx })
			through <- i
		}()
		synctest.Wait()
	}
	return list, through
}

// arrived returns who does not wait any more.
func arrived(through chan int) (list []int) {
	synctest.Wait()
	for len(through) > 0 {
		list = append(list, <-through)
	}
	return list
}

func TestBacklogOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b"), Fails: 1, Pause: time.Second, MaxPause: time.Second, MaxInFlight: 1, Backlog: 5, Wait: 10 * time.Second})
		first, second := enter(t, p, ""), enter(t, p, "")
		list, through := queue(p, t.Context(), 5)
		expect(t, "nobody is free", arrived(through))
		if got := p.Status().Waiting; got != 5 {
			t.Errorf("%d wait", got)
		}
		busy(t, p, "too many requests wait for a backend", time.Second)
		second.Leave()
		expect(t, "one is free", arrived(through), 0)
		first.Leave()
		expect(t, "another one is free", arrived(through), 1)
		if list[0].at != 1 || list[1].at != 0 {
			t.Errorf("they got %d and %d", list[0].at, list[1].at)
		}
		list[1].Failed() // a is ejected; the request is older than those that wait
		go func() {
			_, list[1].err = list[1].Next(t.Context)
			through <- 1
		}()
		expect(t, "it waits again", arrived(through))
		list[0].Leave()
		expect(t, "it comes first", arrived(through), 1)
		time.Sleep(time.Second)
		expect(t, "the pause is over", arrived(through), 2)
		list[2].Worked()
		list[2].Leave()
		expect(t, "it works again", arrived(through), 3)
		list[1].Leave()
		expect(t, "the last one", arrived(through), 4)
		for i, w := range list {
			w.Leave()
			if w.err != nil {
				t.Errorf("%d: %v", i, w.err)
			}
		}
	})
}

func TestBacklogTimeAndClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a"), Fails: 1, Pause: time.Minute, MaxPause: time.Minute, MaxInFlight: 1, Backlog: 5, Wait: 10 * time.Second})
		busyOne := enter(t, p, "")
		gone := errors.New("the client is gone")
		ctx, leave := context.WithCancelCause(t.Context())
		clients, left := queue(p, ctx, 2)
		time.Sleep(4 * time.Second)
		patient, through := queue(p, t.Context(), 2)
		leave(gone)
		expect(t, "the clients have left", sorted(arrived(left)), 0, 1)
		if clients[0].err != gone || clients[1].err != gone || p.Status().Waiting != 2 {
			t.Errorf("%v, %v, %d wait", clients[0].err, clients[1].err, p.Status().Waiting)
		}
		busyOne.Leave()
		expect(t, "the first of the others", arrived(through), 0)
		time.Sleep(7 * time.Second)
		patient[0].Failed()
		go func() {
			_, patient[0].err = patient[0].Next(t.Context)
			through <- 0
		}()
		synctest.Wait()
		time.Sleep(3*time.Second - 1)
		expect(t, "not yet", arrived(through))
		time.Sleep(time.Nanosecond)
		expect(t, "time is over", arrived(through), 1)
		e, ok := errors.AsType[*BusyError](patient[1].err)
		if !ok || e.Reason != "no backend took the request in time" || e.RetryAfter != 57*time.Second {
			t.Errorf("got %+v", patient[1].err)
		}
		time.Sleep(7*time.Second - 1)
		expect(t, "what it waited before does not count for the request that had a backend", arrived(through))
		time.Sleep(time.Nanosecond)
		expect(t, "time is over for that one too", arrived(through), 0)
		if p.Status().Waiting != 0 {
			t.Error("somebody still waits")
		}
		_, err := patient[0].Next(t.Context)
		if e, ok := errors.AsType[*BusyError](err); !ok || e.Reason != "no backend took the request in time" {
			t.Errorf("got %v", err)
		}
	})
}

func sorted(list []int) []int { slices.Sort(list); return list }

func TestBacklogHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a"), Fails: 1, Backlog: 5, Wait: time.Minute})
		p.SetDown(0, true)
		_, through := queue(p, t.Context(), 3)
		expect(t, "down", arrived(through))
		p.SetDown(0, false)
		expect(t, "up", sorted(arrived(through)), 0, 1, 2)
	})
}

// A pause that ended a moment ago is for those that wait, not for who comes now.
func TestBacklogIsNotOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a"), Fails: 1, Pause: time.Second, MaxPause: time.Second, Backlog: 5, Wait: time.Minute})
		enter(t, p, "").Failed()
		_, through := queue(p, t.Context(), 1)
		p.mu.Lock()
		p.wake.Stop() // as if it were late
		p.mu.Unlock()
		time.Sleep(time.Second)
		_, late := queue(p, t.Context(), 1)
		expect(t, "who waited", arrived(through), 0)
		expect(t, "who came now", arrived(late))
		p.SetDown(0, true)
		p.SetDown(0, false)
		expect(t, "who came now", arrived(late), 0)
	})
}

// A backend that refuses for load gets a request for each that it has done.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a", "b"), Policy: ShortestQueue, Fails: 1, Pause: time.Second, MaxPause: time.Second, Backlog: 5, Wait: time.Minute})
		p.SetDown(1, true)
		busyOne, refused := enter(t, p, ""), enter(t, p, "")
		refused.Refused()
		list, through := queue(p, t.Context(), 3)
		expect(t, "full", arrived(through))
		busyOne.Leave()
		expect(t, "one is done", arrived(through), 0)
		if s := p.Status().Backends[0]; s.State != Up || s.Failed != 0 {
			t.Errorf("%+v", s)
		}
		p.SetDown(1, false)
		expect(t, "another backend", sorted(arrived(through)), 1, 2)
		p.SetDown(1, true)
		list[0].Leave()
		enter(t, p, "").Refused()
		_, through = queue(p, t.Context(), 2)
		time.Sleep(time.Second)
		expect(t, "what it said is forgotten", sorted(arrived(through)), 0, 1)
	})
}

// A trial that is refused for load shows that the backend is there.
func TestRefusedTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Backends: list("a"), Fails: 1, Pause: time.Second, MaxPause: time.Minute})
		enter(t, p, "").Failed()
		time.Sleep(time.Second)
		enter(t, p, "").Refused()
		time.Sleep(time.Second)
		enter(t, p, "")
		if s := p.Status().Backends[0]; s.State != Up || s.InFlight != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Whatever happens at once, nothing is lost: in the end nobody waits and none is busy.
func TestPoolTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for policy := RoundRobin; policy <= Hash; policy++ {
			p := New(Config{Backends: list("a", "b*3", "c"), Policy: policy, MaxInFlight: 2, Fails: 2, Pause: time.Millisecond, MaxPause: 4 * time.Millisecond, Backlog: 30, Wait: 20 * time.Millisecond})
			var all sync.WaitGroup
			for i := range 64 {
				all.Go(func() {
					for j := range 50 {
						together(t, p, i*j)
					}
				})
			}
			all.Go(func() {
				for i := range 300 {
					p.SetDown(i%3, i%2 == 0)
					p.Status()
					time.Sleep(time.Millisecond / 3)
				}
			})
			all.Wait()
			s := p.Status()
			for _, b := range s.Backends {
				if b.InFlight != 0 || b.Requests == 0 {
					t.Errorf("policy %d: %+v", policy, b)
				}
			}
			if s.Waiting != 0 {
				t.Errorf("policy %d: %d wait", policy, s.Waiting)
			}
		}
	})
}

// together is a request to which happens what n says.
func together(t *testing.T, p *Pool, n int) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%17)*time.Millisecond)
	defer cancel()
	turn := p.Begin(string(rune(n)))
	defer turn.Leave()
	for range 3 {
		if _, err := turn.Next(func() context.Context { return ctx }); err != nil {
			return
		}
		time.Sleep(time.Duration(n%5) * 100 * time.Microsecond)
		switch n++; n % 4 {
		case 0:
			turn.Failed()
		case 1:
			turn.Refused()
		case 2:
			turn.Leave()
		default:
			turn.Worked()
			return
		}
	}
}
