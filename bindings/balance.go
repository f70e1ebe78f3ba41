package bindings

import (
	"errors"
	"fmt"
	"net/http"

	"luaserve/bindings/balancer"
	"luaserve/bindings/upstream"
	"luaserve/runtime"
)

func balanceModule() *runtime.Module {
	backends := runtime.Param{Name: "backends", Type: runtime.TExact,
		Instead: "actions|table[]", Options: describeOptions(balanceTable, newBalanceOptions()),
		Doc: `an action, or a list with an action for each backend, or a table with that list as "backends" and other options`}
	key := runtime.Param{Name: "key", Type: runtime.TPattern, Doc: "what decides on the backend"}
	return &runtime.Module{
		Name: "balance",
		Doc:  balanceDoc,
		Actions: []runtime.ActionDef{
			{Name: "balance.rr", Params: []runtime.Param{backends}, New: newBalance(balancer.RoundRobin),
				Doc:     "Round robin: the backends take turns.",
				Example: `actions = balance.rr { fastcgi "127.0.0.1:9090", fastcgi "127.0.0.1:9091" }`},
			{Name: "balance.sqf", Params: []runtime.Param{backends}, New: newBalance(balancer.ShortestQueue),
				Doc: "Shortest queue first: the backend with the fewest requests in progress, the first of several.",
				Example: `actions = balance.sqf {
  backends = { proxy "10.0.0.1:8080", { action = proxy "10.0.0.2:8080", weight = 3 } },
  max_in_flight = 20, backlog = 500, wait = 5,
  check = { path = "/health", interval = 2 },
}`},
			{Name: "balance.least_time", Params: []runtime.Param{backends}, New: newBalance(balancer.LeastTime),
				Doc: "Least time: the backend where the next request is likely to wait the least. That is its time to the first byte of an answer, as an average of the last seconds, times its requests in progress. " +
					"One that was not used for some seconds is tried again.",
				Example: `actions = balance.least_time { proxy "10.0.0.1:8080", proxy "10.0.0.2:8080" }`},
			{Name: "balance.hash", Params: []runtime.Param{key, backends}, New: newBalance(balancer.Hash),
				Doc: "Consistent hashing: the same key always has the same backend, also on other servers and after a restart. " +
					"A backend that is taken away, fails or is full leaves its keys to all the others, and no other key moves; one that is added gets its share from all the others. " +
					`What a backend is known by is its name: the address, unless the table has another one as "name".`,
				Example: `actions = balance.hash("%{req.path}", { proxy "10.0.0.1:8080", proxy "10.0.0.2:8080" })`},
		},
		Options: []runtime.Option{{
			Name: "balance.debug", Type: runtime.TBool, Default: false,
			Doc:     "Logs which backend each request is given to.",
			Example: `setup.balance.debug(true)`,
		}},
	}
}

const balanceDoc = `Spreads requests over several backends, which may be any actions: fastcgi, scgi, proxy, lists of them, Lua functions.

A backend that fails is left out for a second, then a single request tries it; after each further failure it is left out for twice as long. ` +
	`A request that no backend has seen goes to another one. One that a backend may have begun to work on is repeated only when the method allows that (RFC 9110, 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE), ` +
	`nothing of an answer has come, and the request body can be sent again: it has at most 32 KiB, or was not read yet. ` +
	`The actions of a backend may therefore run more than once for a request.

When all backends are left out or busy, requests wait, and those that came first go first. Where too many wait already, or one has waited for too long, the answer is a 503 with Retry-After. A client that goes away waits no more.`

// balance is the action: it gives requests to the actions of its backends.
type balance struct {
	pool    *balancer.Pool
	actions []runtime.Action // of the backends
	key     *runtime.Pattern // nil where it does not count
	tries   int64
	debug   runtime.OptionRef
}

// keptBody is the longest request body, in bytes, that is kept for another attempt. It is what
// a FastCGI client reads before it connects.
const keptBody = 32 << 10

// mostAttempts ends the way of a request whatever the backends do.
const mostAttempts = 100

// Run gives the request to a backend, and to another one as long as that can be done.
func (b *balance) Run(vr *runtime.VRequest) error {
	if vr.IsHandled() {
		return nil
	}
	if err := vr.KeepBody(keptBody); err != nil {
		return err
	}
	key := ""
	if b.key != nil {
		key = b.key.Eval(vr, nil)
	}
	turn := b.pool.Begin(key)
	vr.OnFinish(turn.Leave)
	var last error
	seen := int64(0) // by how many backends
	for range mostAttempts {
		at, err := turn.Next(vr.Context)
		if err != nil {
			return b.nobody(err, last)
		}
		if vr.Option(b.debug).(bool) {
			vr.Log().Info("backend selected", "backend", b.pool.Name(at), "path", vr.Request.URI.Path)
		}
		last = b.actions[at].Run(vr)
		fault := faultOf(last)
		b.tell(vr, turn, fault, at, last)
		if fault == broken {
			seen++
		}
		if !b.again(vr, fault, seen) {
			break
		}
	}
	return last
}

// Children returns the actions of the backends, by their names.
func (b *balance) Children() []runtime.Child {
	out := make([]runtime.Child, len(b.actions))
	for i, a := range b.actions {
		out[i] = runtime.Child{Label: b.pool.Name(i), Action: a}
	}
	return out
}

// again reports whether the request may go to another backend, and makes its body whole for that.
func (b *balance) again(vr *runtime.VRequest, f fault, seen int64) bool {
	switch {
	case f <= notBackend, vr.IsHandled():
		return false
	case f == broken && (seen >= b.tries || !upstream.Idempotent(vr.Request.Method)):
		return false
	}
	return vr.RewindBody(f == unreached)
}

// fault says what the error of a backend's action means for it and for the request.
type fault int

const (
	noFault    fault = iota
	notBackend       // a script broke, or the client did
	unreached        // nobody took the connection
	overloaded       // the backend said so, and did nothing else
	unsent           // the backend failed, and did nothing
	broken           // the backend may have begun to work on the request
)

func faultOf(err error) fault {
	if err == nil {
		return noFault
	}
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		switch {
		case e.Kind == upstream.Canceled, e.Kind == upstream.BadRequest:
			return notBackend
		case e.Sent:
			return broken
		case e.Op == "dial":
			return unreached
		case e.Kind == upstream.Unavailable:
			return overloaded
		}
		return unsent
	}
	if status, ok := errors.AsType[*runtime.StatusError](err); ok && status.Status == http.StatusServiceUnavailable {
		return unsent // a balancer among the backends has nobody
	}
	return notBackend
}

// tell tells the pool what became of the attempt, and the log when a backend fails or works
// again.
func (b *balance) tell(vr *runtime.VRequest, turn *balancer.Turn, f fault, at int, err error) {
	switch f {
	case noFault:
		if turn.Worked() {
			vr.Log().Info("backend works again", "backend", b.pool.Name(at))
		}
	case notBackend: // nothing was learnt
	case overloaded:
		turn.Refused()
	default:
		if pause := turn.Failed(); pause > 0 {
			vr.Log().Warn("backend left out", "backend", b.pool.Name(at), "pause", pause, "error", err.Error())
		}
	}
}

// nobody is the error of a request that no backend can take; last is why the last one that
// was tried did not.
func (b *balance) nobody(err, last error) error {
	busy, ok := errors.AsType[*balancer.BusyError](err)
	if !ok {
		return &runtime.StatusError{Status: upstream.Canceled.Status(), Err: fmt.Errorf("waiting for a backend: %w", err)}
	}
	if last != nil {
		err = fmt.Errorf("%w; the last failure: %w", err, last)
	}
	return &runtime.StatusError{Status: http.StatusServiceUnavailable, Err: err, RetryAfter: busy.RetryAfter}
}
