package bindings

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/runtime"
)

func limitModule() *runtime.Module {
	params := []runtime.Param{
		{Name: "limit", Type: runtime.TNumber, Doc: "how many are let through, at least 1"},
		{Name: "action", Type: runtime.TAction, Optional: true, Doc: "what to run beyond the limit, in place of the 503"}}
	return &runtime.Module{
		Name: "limit",
		Doc: "Limits requests: how many are in progress, or how many begin in a second, of all clients together or of each address. " +
			"Put a limit before what answers the request: it does nothing when the request is answered already. " +
			"A count belongs to the action that a script made: used in two places, they share it; made twice, each counts for itself. " +
			"Counting starts anew when the configuration is loaded again.",
		Actions: []runtime.ActionDef{
			{Name: "limit.con", New: newLimit("limit.con", limitCon), Params: params,
				Doc: "Answers with 503 while this number of requests is in progress. " +
					"A request is in progress until its answer has been sent, so a slow download counts all the time.",
				Example: `actions = { limit.con(10, respond(503, "busy, come back later")), respond "a large download" }`},
			{Name: "limit.con_ip", New: newLimit("limit.con_ip", limitConIP), Params: params,
				Doc: "Answers with 503 while this number of requests from the client's address is in progress. " +
					"Every IPv6 address counts for itself. Clients on a unix socket have no address: for them it is an error (500).",
				Example: `actions = { when(request.path:prefix "/downloads/", { limit.con_ip(2) }), respond "a large download" }`},
			{Name: "limit.req", New: newLimit("limit.req", limitReq), Params: params,
				Doc: "Answers with 503 beyond this number of requests in a second. " +
					"The second begins with the first request; behind it counting starts again.",
				Example: `actions = { limit.req(100), respond "ok" }`},
			{Name: "limit.req_ip", New: newLimit("limit.req_ip", limitReqIP), Params: params,
				Doc: "Answers with 503 beyond this number of requests in a second from the client's address. " +
					"The second begins with the address's first request. Every IPv6 address counts for itself. " +
					fmt.Sprintf("Of more than %d addresses in a second the first ones are forgotten early. ", maxAddresses) +
					"Clients on a unix socket have no address: for them it is an error (500).",
				Example: `actions = { when(request.path:eq "/login", { limit.req_ip(1, log.write "hurried: %{req.remoteip}") }), respond "ok" }`},
		},
	}
}

// admit counts a request and reports whether it is within the limit.
type admit func(vr *runtime.VRequest) (bool, error)

func newLimit(name string, counter func(limit int64) admit) func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
	return func(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
		limit, beyond := args.Int(0), args.Action(1)
		if limit < 1 {
			return nil, fmt.Errorf("limit: expected a number of at least 1, got %s", args.Value(0))
		}
		admit := counter(limit)
		return runtime.Containing(func(vr *runtime.VRequest) error {
			if vr.IsHandled() {
				return nil
			}
			ok, err := admit(vr)
			if ok || err != nil {
				return err
			}
			vr.Log().Debug("limit reached", "action", name, "limit", limit, "client", vr.Con.Remote.Addr())
			if beyond != nil {
				return beyond.Run(vr)
			}
			deny(vr, http.StatusServiceUnavailable)
			return nil
		}, given(runtime.Child{Label: "action", Action: beyond})...), nil
	}
}

func limitCon(limit int64) admit {
	var active atomic.Int64
	done := func() { active.Add(-1) }
	return func(vr *runtime.VRequest) (bool, error) {
		for {
			n := active.Load()
			if n >= limit {
				return false, nil
			}
			if active.CompareAndSwap(n, n+1) {
				vr.OnFinish(done)
				return true, nil
			}
		}
	}
}

func limitConIP(limit int64) admit {
	active := activeAddresses{counts: map[netip.Addr]int64{}}
	return func(vr *runtime.VRequest) (bool, error) {
		addr, err := clientAddress(vr)
		if err != nil || !active.enter(addr, limit) {
			return false, err
		}
		vr.OnFinish(func() { active.leave(addr) })
		return true, nil
	}
}

// activeAddresses counts the requests in progress of each address. It holds nothing else,
// so it is no longer than the list of those requests.
type activeAddresses struct {
	mu     sync.Mutex
	counts map[netip.Addr]int64
}

func (a *activeAddresses) enter(addr netip.Addr, limit int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.counts[addr]
	if n >= limit {
		return false
	}
	a.counts[addr] = n + 1
	return true
}

func (a *activeAddresses) leave(addr netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts[addr]--; a.counts[addr] <= 0 {
		delete(a.counts, addr)
	}
}

// limitPeriod is the time in which requests are counted.
const limitPeriod = time.Second

func limitReq(limit int64) admit {
	var (
		mu    sync.Mutex
		begin time.Time
		count int64
	)
	return func(*runtime.VRequest) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); count == 0 || now.Sub(begin) >= limitPeriod {
			begin, count = now, 0
		}
		if count >= limit {
			return false, nil
		}
		count++
		return true, nil
	}
}

func limitReqIP(limit int64) admit {
	recent := recentAddresses{counts: map[netip.Addr]int64{}}
	return func(vr *runtime.VRequest) (bool, error) {
		addr, err := clientAddress(vr)
		if err != nil {
			return false, err
		}
		return recent.enter(addr, limit), nil
	}
}

// maxAddresses bounds the memory of one limit.req_ip: who owns an IPv6 network can come
// from any number of addresses.
const maxAddresses = 1 << 16

// recentAddresses counts the requests of each address in a period that begins with the
// address's first request. All periods are equally long, so they end in the order in which
// they began.
type recentAddresses struct {
	mu     sync.Mutex
	counts map[netip.Addr]int64
	order  []firstRequest // one for each entry of counts, oldest first
}

type firstRequest struct {
	addr netip.Addr
	at   time.Time
}

func (r *recentAddresses) enter(addr netip.Addr, limit int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.order) > 0 && now.Sub(r.order[0].at) >= limitPeriod {
		r.forgetOldest()
	}
	n, known := r.counts[addr]
	if !known {
		if len(r.order) >= maxAddresses {
			r.forgetOldest()
		}
		r.order = append(r.order, firstRequest{addr, now})
	}
	if n >= limit {
		return false
	}
	r.counts[addr] = n + 1
	return true
}

func (r *recentAddresses) forgetOldest() {
	delete(r.counts, r.order[0].addr)
	r.order = r.order[1:]
}

var errNoAddress = errors.New("the client has no IP address to be counted by: it came over a unix socket")

func clientAddress(vr *runtime.VRequest) (netip.Addr, error) {
	addr := vr.Con.Remote.Addr().Unmap()
	if !addr.IsValid() {
		return addr, errNoAddress
	}
	return addr, nil
}
