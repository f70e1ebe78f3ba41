package http1

import (
	"sync"
	"time"
)

// deadlines has somebody look at the sides of the sockets of a loop when their time is up. It is a
// heap, for which one timer runs: a timer for each socket takes as much memory as the session of
// an idle client, and is made and ended for each connection. Its methods may be called concurrently.
type deadlines struct {
	mu    sync.Mutex
	heap  []deadline  // each one is not before the one at half its number
	timer *time.Timer // nil until it was needed
	next  moment      // when the timer ends; never when it does not run

	closed bool // no timer runs any more
}

// deadline is when somebody is to look at a side.
type deadline struct {
	at   moment
	side *side
}

// set has somebody look at a side at a moment, in place of the one that was set before.
func (d *deadlines) set(s *side, at moment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.place == 0 {
		d.heap = append(d.heap, deadline{})
		s.place = int32(len(d.heap))
	}
	d.heap[s.place-1] = deadline{at, s}
	d.order(int(s.place))
	d.start()
}

// remove has nobody look at a side.
func (d *deadlines) remove(s *side) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.place > 0 {
		d.take(int(s.place))
	}
}

// take takes the deadline of a place, from 1 on, out of the heap.
func (d *deadlines) take(place int) {
	d.heap[place-1].side.place = 0
	last := len(d.heap)
	moved := d.heap[last-1]
	d.heap[last-1] = deadline{}
	d.heap = d.heap[:last-1]
	if place < last {
		d.heap[place-1] = moved
		d.order(place)
	}
}

// order moves the deadline of a place to where it belongs: up when it is before the one above,
// and otherwise down as long as one below is before it.
func (d *deadlines) order(place int) {
	moves := d.heap[place-1]
	for ; place > 1 && moves.at < d.heap[place/2-1].at; place /= 2 {
		d.put(place, d.heap[place/2-1])
	}
	for {
		below := 2 * place
		if below < len(d.heap) && d.heap[below].at < d.heap[below-1].at {
			below++
		}
		if below > len(d.heap) || moves.at <= d.heap[below-1].at {
			break
		}
		d.put(place, d.heap[below-1])
		place = below
	}
	d.put(place, moves)
}

func (d *deadlines) put(place int, what deadline) {
	d.heap[place-1] = what
	what.side.place = int32(place)
}

// start has the timer end in time for the first deadline. One that ends earlier is left alone.
func (d *deadlines) start() {
	if len(d.heap) == 0 || d.closed || d.next != never && d.next <= d.heap[0].at {
		return
	}
	d.next = d.heap[0].at
	if wait := time.Duration(d.next - now()); d.timer == nil {
		d.timer = time.AfterFunc(wait, d.timeUp)
	} else {
		d.timer.Reset(wait)
	}
}

// close ends the timer, which would keep the loop in memory.
func (d *deadlines) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed = true; d.timer != nil {
		d.timer.Stop()
	}
}

// timeUp is called by the timer.
func (d *deadlines) timeUp() {
	for sides := d.due(now()); len(sides) > 0; sides = d.due(now()) {
		for _, s := range sides {
			s.socket.timeUp(s)
		}
	}
}

// dueAtOnce keeps ten thousand clients whose time is up at once from holding the others up.
const dueAtOnce = 64

// due takes out the first sides whose time is up. When there are none the timer is to end for the
// next one.
func (d *deadlines) due(now moment) (sides []*side) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.heap) > 0 && d.heap[0].at <= now && len(sides) < dueAtOnce {
		sides = append(sides, d.heap[0].side)
		d.take(1)
	}
	if len(sides) == 0 {
		d.next = never
		d.start()
	}
	return sides
}
