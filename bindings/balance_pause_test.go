package bindings

import (
	"slices"
	"testing"
	"time"
)

// attempt gives one request to a backend that works or not. It returns the order in which the
// request met the backends.
func (b *balancer) attempt(works func(i int) bool) (met []int) {
	turn := &balanceTurn{list: b, at: -1}
	for turn.enter() {
		met = append(met, turn.at)
		if works(turn.at) {
			turn.works()
			turn.leave()
			return met
		}
		turn.failed()
		turn.leave()
	}
	return met
}

// later lets time pass for the pauses.
func (b *balancer) later(d time.Duration) {
	for i := range b.backends {
		b.backends[i].wake = b.backends[i].wake.Add(-d)
	}
}

func TestBalancePauses(t *testing.T) {
	b := &balancer{pick: (*balancer).leastBusy, backends: make([]balanced, 2)}
	firstDead := func(i int) bool { return i != 0 }
	all := func(int) bool { return true }
	expect := func(when string, met []int, want ...int) {
		t.Helper()
		if !slices.Equal(met, want) {
			t.Errorf("%s: met %v, want %v", when, met, want)
		}
	}
	expect("first failure", b.attempt(firstDead), 0, 1)
	expect("in the pause", b.attempt(firstDead), 1)
	for _, pause := range []time.Duration{1, 2, 4, 8, 8, 8} {
		b.later((pause - 1) * time.Second)
		b.later(900 * time.Millisecond)
		expect("shortly before the end of a pause", b.attempt(firstDead), 1)
		b.later(100 * time.Millisecond)
		expect("behind a pause", b.attempt(firstDead), 0, 1)
	}
	b.later(8 * time.Second)
	expect("works again", b.attempt(all), 0)
	expect("and stays", b.attempt(all), 0)
	expect("fails again", b.attempt(firstDead), 0, 1)
	b.later(time.Second)
	expect("the pause is short again", b.attempt(all), 0)
}

// While one request tries a backend that failed, the others leave it alone.
func TestBalanceSingleProbe(t *testing.T) {
	b := &balancer{pick: (*balancer).nextInTurn, backends: make([]balanced, 2)}
	b.attempt(func(i int) bool { return i != 0 })
	b.later(time.Second)
	probe := &balanceTurn{list: b, at: -1}
	if probe.enter(); probe.at != 0 {
		t.Fatalf("the probe met %d", probe.at)
	}
	for range 3 {
		if met := b.attempt(func(int) bool { return true }); !slices.Equal(met, []int{1}) {
			t.Errorf("met %v", met)
		}
	}
}

// Requests that fail at the same time are one failure.
func TestBalanceFailuresTogether(t *testing.T) {
	b := &balancer{pick: (*balancer).leastBusy, backends: make([]balanced, 1)}
	turns := make([]*balanceTurn, 10)
	for i := range turns {
		turns[i] = &balanceTurn{list: b, at: -1}
		turns[i].enter()
	}
	for i, turn := range turns {
		if worked := turn.failed(); worked != (i == 0) {
			t.Errorf("request %d: worked so far: %v", i, worked)
		}
		turn.leave()
	}
	if be := b.backends[0]; be.failures != 1 || be.load != 0 {
		t.Errorf("%d failures, load %d", be.failures, be.load)
	}
}

// When all pause, a request has one attempt, with the backend whose pause ends first.
func TestBalanceLastResort(t *testing.T) {
	b := &balancer{pick: (*balancer).nextInTurn, backends: make([]balanced, 3)}
	none := func(int) bool { return false }
	if met := b.attempt(none); !slices.Equal(met, []int{0, 1, 2}) {
		t.Errorf("met %v", met)
	}
	b.backends[1].wake = b.backends[1].wake.Add(-500 * time.Millisecond)
	if met := b.attempt(none); !slices.Equal(met, []int{1}) {
		t.Errorf("met %v", met)
	}
	if met := b.attempt(func(int) bool { return true }); !slices.Equal(met, []int{0}) {
		t.Errorf("met %v", met)
	}
}
