package bindings

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"luaserve/runtime"
)

// holdModule has hold(), an answer that takes until somebody lets it go.
func holdModule(inside chan<- struct{}, leave <-chan struct{}) *runtime.Module {
	return &runtime.Module{Name: "hold", Actions: []runtime.ActionDef{{Name: "hold",
		New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
			return runtime.ActionFunc(func(vr *runtime.VRequest) error {
				if vr.HandleDirect() {
					vr.Response.Status = 200
					inside <- struct{}{}
					<-leave
				}
				return nil
			}), nil
		}}}}
}

// statusFor returns the status that a client at addr gets.
func statusFor(s *guardSite, addr, target string) int {
	r := httptest.NewRequest("GET", target, nil)
	r.RemoteAddr = addr
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code
}

func TestLimitErrors(t *testing.T) {
	for _, tt := range []struct{ script, want string }{
		{`limit.req()`, "site.lua:1: limit.req: limit is missing; expected limit.req(limit, [action])"},
		{`limit.req("x")`, "limit: expected a number, got a string"},
		{`limit.con(0)`, "limit.con: limit: expected a number of at least 1, got 0"},
		{`limit.con_ip(-3)`, "expected a number of at least 1, got -3"},
		{`limit.con_ip(0.5)`, "expected a number of at least 1, got 0.5"},
		{`limit.req_ip(1, "x")`, "action: expected an action, got a string"},
		{`limit.req_ip(1, {}, 3)`, "got 3 arguments"},
	} {
		_, err := loadGuard(t, "actions = "+tt.script, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.script, err, tt.want)
		}
	}
}

func TestLimitRequests(t *testing.T) {
	const a, b, b6, c6 = "192.0.2.1:1", "192.0.2.2:1", "[2001:db8::2]:1", "[2001:db8::3]:1"
	type step struct {
		after time.Duration
		addr  string
		want  int
	}
	for _, tt := range []struct {
		name, script string
		steps        []step
	}{
		{"all together", `{ limit.req(2), respond "ok" }`,
			[]step{{0, a, 200}, {0, b, 200}, {0, a, 503}, {999 * time.Millisecond, b, 503}, {time.Millisecond, a, 200}, {0, b, 200}, {0, b, 503}}},
		{"the second begins with the first request", `{ limit.req(1), respond "ok" }`,
			[]step{{700 * time.Millisecond, a, 200}, {700 * time.Millisecond, a, 503}, {300 * time.Millisecond, a, 200}}},
		{"each address", `{ limit.req_ip(2), respond "ok" }`,
			[]step{{0, a, 200}, {0, a, 200}, {0, a, 503}, {0, b, 200}, {500 * time.Millisecond, b, 200}, {0, b, 503}, {500 * time.Millisecond, a, 200}, {0, b, 200}}},
		{"IPv6 addresses count for themselves", `{ limit.req_ip(1), respond "ok" }`,
			[]step{{0, b6, 200}, {0, c6, 200}, {0, b6, 503}}},
		{"IPv4 in IPv6 is IPv4", `{ limit.req_ip(1), respond "ok" }`,
			[]step{{0, a, 200}, {0, "[::ffff:192.0.2.1]:1", 503}}},
		{"an action", `{ limit.req_ip(1, respond(429, "slow down")), respond "ok" }`, []step{{0, a, 200}, {0, a, 429}}},
		{"a list, as a table", `{ limit.req_ip { 1, { header.add("X", "1"), respond(429) } }, respond "ok" }`, []step{{0, a, 200}, {0, a, 429}}},
		{"a Lua function", `{ limit.req(1, function(vr) vr:handle_direct(); vr.resp.status = 420 end), respond "ok" }`, []step{{0, a, 200}, {0, a, 420}}},
		{"an action that lets the request go on", `{ limit.req(1, header.add("X", "1")), respond "ok" }`, []step{{0, a, 200}, {0, a, 200}}},
		{"an action that fails", `{ limit.req(1, function() error "x" end), respond "ok" }`, []step{{0, a, 200}, {0, a, 500}}},
		{"answered already", `{ respond "ok", limit.req(1), limit.req_ip(1) }`, []step{{0, a, 200}, {0, a, 200}}},
		{"one after another", `{ limit.con(1), limit.con_ip(1), respond "ok" }`, []step{{0, a, 200}, {0, a, 200}, {0, b, 200}}},
		{"no address, by address", `{ limit.req_ip(9), respond "ok" }`, []step{{0, "@", 500}}},
		{"no address, connections", `{ limit.con_ip(9), respond "ok" }`, []step{{0, "@", 500}}},
		{"no address, all together", `{ limit.req(9), limit.con(9), respond "ok" }`, []step{{0, "@", 200}}},
		{"shared", `(function() local l = limit.req(1); return { when(request.path:eq "/", l, l), respond "ok" } end)()`, []step{{0, a, 200}, {0, a, 503}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newGuard(t, "actions = "+tt.script, nil)
				for i, step := range tt.steps {
					time.Sleep(step.after)
					if got := statusFor(s, step.addr, "/"); got != step.want {
						t.Errorf("request %d, from %s: %d, want %d\n%s", i+1, step.addr, got, step.want, s.log)
					}
				}
			})
		})
	}
}

func TestLimitInProgress(t *testing.T) {
	const a, b = "192.0.2.1:1", "[2001:db8::1]:1"
	for _, tt := range []struct {
		script       string
		same, others int // status for the client that has two requests in progress, and for others
	}{
		{`limit.con(2)`, 503, 503},
		{`limit.con_ip(2)`, 503, 200},
		{`limit.con(3)`, 200, 200},
		{`limit.con(2, respond(429))`, 429, 429},
	} {
		t.Run(tt.script, func(t *testing.T) {
			inside, leave := make(chan struct{}), make(chan struct{})
			s := newGuard(t, `actions = { `+tt.script+`, when(request.path:eq "/hold", { hold() }), respond "ok" }`, nil, holdModule(inside, leave))
			var held sync.WaitGroup
			for range 2 {
				held.Go(func() {
					if got := statusFor(s, a, "/hold"); got != 200 {
						t.Errorf("held: %d", got)
					}
				})
				<-inside
			}
			if got := statusFor(s, a, "/"); got != tt.same {
				t.Errorf("the same client: %d, want %d", got, tt.same)
			}
			if got := statusFor(s, b, "/"); got != tt.others {
				t.Errorf("another client: %d, want %d", got, tt.others)
			}
			close(leave)
			held.Wait()
			for range 5 {
				if got := statusFor(s, a, "/"); got != 200 {
					t.Errorf("afterwards: %d", got)
				}
			}
		})
	}
}

// Many at once: never more than the limit, and nothing stays counted.
func TestLimitConcurrent(t *testing.T) {
	const limit = 4
	for _, name := range []string{"limit.con", "limit.con_ip"} {
		var active, most atomic.Int64
		refused, refuse := context.WithTimeout(t.Context(), 20*time.Second)
		defer refuse()
		busy := &runtime.Module{Name: "busy", Actions: []runtime.ActionDef{{Name: "busy",
			New: func(*runtime.Builder, runtime.Args) (runtime.Action, error) {
				return runtime.ActionFunc(func(vr *runtime.VRequest) error {
					if !vr.HandleDirect() {
						refuse()
						return nil
					}
					vr.Response.Status = 200
					n := active.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					<-refused.Done() // the first ones hold their places until one too many has come
					time.Sleep(100 * time.Microsecond)
					active.Add(-1)
					return nil
				}), nil
			}}}}
		s := newGuard(t, fmt.Sprintf(`actions = { %s(%d), limit.req(1000000), limit.req_ip(1000000), busy() }`, name, limit), nil, busy)
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for range 20 {
					statusFor(s, "192.0.2.1:1", "/")
				}
			})
		}
		wg.Wait()
		if most.Load() > limit || most.Load() == 0 {
			t.Errorf("%s: %d requests at once, the limit is %d", name, most.Load(), limit)
		}
		if refused.Err() != context.Canceled {
			t.Errorf("%s: nothing was refused", name)
		}
		if got := statusFor(s, "192.0.2.1:1", "/"); got != 200 {
			t.Errorf("%s: afterwards %d", name, got)
		}
	}
}

func TestLimitTablesStaySmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := recentAddresses{counts: map[netip.Addr]int64{}}
		addr := netip.MustParseAddr("2001:db8::")
		first := addr
		for range maxAddresses + 10 {
			recent.enter(addr, 1)
			addr = addr.Next()
		}
		if len(recent.counts) != maxAddresses || len(recent.order) != maxAddresses {
			t.Errorf("%d counts of %d addresses, want %d", len(recent.counts), len(recent.order), maxAddresses)
		}
		if !recent.enter(first, 1) {
			t.Error("the first address was not forgotten")
		}
		if recent.enter(addr.Prev(), 1) {
			t.Error("the last address was forgotten")
		}
		time.Sleep(limitPeriod)
		recent.enter(first, 1)
		if len(recent.counts) != 1 || len(recent.order) != 1 {
			t.Errorf("a period later: %d counts of %d addresses, want 1", len(recent.counts), len(recent.order))
		}
	})
	active := activeAddresses{counts: map[netip.Addr]int64{}}
	a := netip.MustParseAddr("192.0.2.1")
	active.enter(a, 2)
	active.enter(a, 2)
	active.leave(a)
	active.leave(a)
	if len(active.counts) != 0 {
		t.Errorf("still counted: %v", active.counts)
	}
}

func BenchmarkLimitReqIP(b *testing.B) {
	recent := recentAddresses{counts: map[netip.Addr]int64{}}
	var next atomic.Uint32
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			recent.enter(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 10)
		}
	})
}
