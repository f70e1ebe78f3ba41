package bindings

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

func balanceModule() *runtime.Module {
	backends := runtime.Param{Name: "backends", Type: runtime.TActions, Doc: "an action, or a list with an action for each backend"}
	return &runtime.Module{
		Name: "balance",
		Doc: "Spreads requests over several backends. A backend that cannot be reached is left out for a second, after each further failure for twice as long, up to 8 seconds, " +
			"and another one is tried. When all are left out a request still tries one of them; when none can be reached the answer is a 503. " +
			"Only a request that no backend has seen is given to another one. " +
			"The actions of a backend may therefore run more than once for a request.",
		Actions: []runtime.ActionDef{
			{Name: "balance.rr", Params: []runtime.Param{backends},
				New:     newBalancer((*balancer).nextInTurn),
				Doc:     "Round robin: the backends take turns.",
				Example: `actions = balance.rr { fastcgi "127.0.0.1:9090", fastcgi "127.0.0.1:9091" }`},
			{Name: "balance.sqf", Params: []runtime.Param{backends},
				New:     newBalancer((*balancer).leastBusy),
				Doc:     "Shortest queue first: the backend with the fewest requests in progress, the first of several.",
				Example: `actions = balance.sqf { fastcgi "127.0.0.1:9090", fastcgi "127.0.0.1:9091" }`},
		},
		Options: []runtime.Option{{
			Name: "balance.debug", Type: runtime.TBool, Default: false,
			Doc:     "Logs which backend each request is given to.",
			Example: `setup.balance.debug(true)`,
		}},
	}
}

// balancer spreads requests over backends.
type balancer struct {
	pick  func(b *balancer, usable func(i int) bool) int // index of a backend, -1 when none is usable
	debug runtime.OptionRef

	mu       sync.Mutex
	backends []balanced
	next     int
}

// balanced is one backend and what is known of it.
type balanced struct {
	action   runtime.Action
	load     int       // requests in progress
	failures int       // since it last worked
	failedAt time.Time // the last of them
	wake     time.Time // when it may be tried again
}

const (
	firstPause    = time.Second // as long as lighttpd2 leaves a dead backend out
	mostDoublings = 3
)

func newBalancer(pick func(*balancer, func(int) bool) int) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(b *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		list := &balancer{pick: pick, debug: b.Option("balance.debug")}
		v := args.Value(0)
		if node, ok := v.Action(); ok && v.Kind() == runtime.KindAction {
			list.backends = []balanced{{action: node}}
			return list, nil
		}
		items, _ := v.List()
		if len(items) == 0 {
			return nil, errors.New("the list of backends is empty")
		}
		for _, item := range items {
			node, _ := item.Action() // checked with the arguments
			list.backends = append(list.backends, balanced{action: node})
		}
		return list, nil
	}
}

// Run gives the request to a backend, and to another one while it was not seen by any.
func (b *balancer) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	turn := &balanceTurn{list: b, at: -1}
	vr.OnFinish(turn.leave)
	var last error
	if len(b.backends) > 1 {
		if last = vr.KeepBody(keptBody); last != nil {
			return last
		}
	}
	for turn.enter() {
		if vr.Option(b.debug).(bool) {
			vr.Log().Info("backend selected", "place", b.place(turn.at), "path", vr.Request.URI.Path)
		}
		last = b.backends[turn.at].action.Run(vr)
		if last == nil {
			if turn.works() {
				vr.Log().Info("backend works again", "place", b.place(turn.at))
			}
			return nil
		}
		if !unreached(last) || vr.IsHandled() {
			return last
		}
		if turn.failed() {
			vr.Log().Warn("backend left out", "place", b.place(turn.at), "error", last.Error())
		}
		turn.leave()
		if len(b.backends) == 1 || !again(vr, last) {
			return last
		}
	}
	return &runtime.StatusError{Status: http.StatusServiceUnavailable, Err: fmt.Errorf("none of %d backends can be reached: %w", len(b.backends), last)}
}

// place names a backend in the log.
func (b *balancer) place(i int) string { return fmt.Sprintf("%d of %d", i+1, len(b.backends)) }

// unreached reports whether err says that the backend did not take the request: it may be
// given to another one.
func unreached(err error) bool {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return !e.Sent && (e.Kind == upstream.Unavailable || e.Kind == upstream.Timeout)
	}
	status, ok := errors.AsType[*runtime.StatusError](err)
	return ok && status.Status == http.StatusServiceUnavailable
}

// again reports whether the request can be given to another backend, as far as its body goes.
func again(vr *runtime.VRequest, err error) bool {
	e, ok := errors.AsType[*upstream.Error](err)
	return vr.RewindBody(ok && e.Op == "dial")
}

// nextInTurn picks the first usable backend behind the one picked before.
func (b *balancer) nextInTurn(usable func(int) bool) int {
	for i := range b.backends {
		if i = (b.next + i) % len(b.backends); usable(i) {
			return i
		}
	}
	return -1
}

// leastBusy picks the usable backend with the fewest requests in progress.
func (b *balancer) leastBusy(usable func(int) bool) int {
	best := -1
	for i := range b.backends {
		if usable(i) && (best < 0 || b.backends[i].load < b.backends[best].load) {
			best = i
		}
	}
	return best
}

// balanceTurn is one request on its way through the backends.
type balanceTurn struct {
	list  *balancer
	at    int       // the backend that has it now, -1
	began time.Time // when it got it
	tried []bool    // backends that could not be reached, nil while there is none
}

// enter picks a backend that was not tried yet. One that failed gets a single request when
// its pause is over; only when it took that one is it used again as the others are. When all of them
// pause, the request has one attempt with the one whose pause ends first.
func (t *balanceTurn) enter() bool {
	b, now := t.list, time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.pick(b, func(i int) bool {
		return (t.tried == nil || !t.tried[i]) && (b.backends[i].failures == 0 || !now.Before(b.backends[i].wake))
	})
	if i < 0 && t.tried == nil {
		i = 0
		for j := range b.backends {
			if b.backends[j].wake.Before(b.backends[i].wake) {
				i = j
			}
		}
	}
	if i < 0 {
		return false
	}
	be := &b.backends[i]
	be.load++
	if be.failures > 0 {
		be.wake = now.Add(be.pause())
	}
	b.next = i + 1
	t.at, t.began = i, now
	return true
}

// pause is how long the backend is left out.
func (be *balanced) pause() time.Duration { return firstPause << min(be.failures-1, mostDoublings) }

// works says that the backend took the request. It reports whether it had failed before.
func (t *balanceTurn) works() bool {
	t.list.mu.Lock()
	defer t.list.mu.Unlock()
	be := &t.list.backends[t.at]
	had := be.failures > 0
	be.failures = 0
	return had
}

// failed says that the backend could not be reached. It reports whether it had worked so far.
// Requests that fail at the same time count once.
func (t *balanceTurn) failed() bool {
	now := time.Now()
	t.list.mu.Lock()
	defer t.list.mu.Unlock()
	if t.tried == nil {
		t.tried = make([]bool, len(t.list.backends))
	}
	t.tried[t.at] = true
	be := &t.list.backends[t.at]
	worked := be.failures == 0
	if worked || be.failedAt.Before(t.began) {
		be.failures++
		be.failedAt = now
		be.wake = now.Add(be.pause())
	}
	return worked
}

// leave says that the request is over for the backend that has it.
func (t *balanceTurn) leave() {
	if t.at < 0 {
		return
	}
	t.list.mu.Lock()
	defer t.list.mu.Unlock()
	t.list.backends[t.at].load--
	t.at = -1
}

// keptBody is the longest request body, in bytes, that is kept for another attempt. It is what
// a FastCGI client reads before it connects.
const keptBody = 32 << 10
