package bindings

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"luaserve/runtime"
)

// inFlight knows the requests that a program is working on. It is there only when a
// script shows them. What it knows of a request is as the client sent it: what becomes of
// a request belongs to the goroutine that serves it.
type inFlight struct {
	mu   sync.Mutex
	last int64
	byVR map[*runtime.VRequest]inFlightRequest
}

type inFlightRequest struct {
	ID                          int64
	Started                     time.Time
	Client, Server              netip.AddrPort
	TLS                         bool
	Method, Host, Target, Proto string
}

type inFlightKey struct{}

// inFlightOf returns the table of the program.
func inFlightOf(b *runtime.Builder) *inFlight {
	return b.Shared(inFlightKey{}, func() any {
		t := &inFlight{byVR: map[*runtime.VRequest]inFlightRequest{}}
		b.Observe(runtime.Observer{Begin: t.begin, End: t.end})
		return t
	}).(*inFlight)
}

func (t *inFlight) begin(vr *runtime.VRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	t.byVR[vr] = inFlightRequest{
		ID: t.last, Started: vr.Started(), Client: vr.Con.Remote, Server: vr.Con.Local, TLS: vr.Con.TLS != nil,
		Method: vr.Request.Method, Host: vr.Request.URI.Host, Target: originalTarget(vr), Proto: vr.Request.Version,
	}
}

func (t *inFlight) end(vr *runtime.VRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byVR, vr)
}

// list returns the requests, the oldest first. Their strings are copied: a front end may
// reuse the memory of its own when the request is over.
func (t *inFlight) list() []inFlightRequest {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]inFlightRequest, 0, len(t.byVR))
	for _, r := range t.byVR {
		for _, s := range []*string{&r.Method, &r.Host, &r.Target, &r.Proto} {
			*s = strings.Clone(*s)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b inFlightRequest) int { return cmp.Compare(a.ID, b.ID) })
	return all
}
