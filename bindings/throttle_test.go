package bindings

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// throttled is a site in which /N answers with N KiB.
func throttled(t *testing.T, actions string) *guardSite {
	t.Helper()
	files := map[string]string{"8": strings.Repeat("x", 8<<10), "64": strings.Repeat("x", 64<<10)}
	return newGuard(t, `actions = { `+actions+`, docroot "@DIR@", static() }`, files)
}

// took returns how long an answer of n KiB took to come to addr, in milliseconds.
func took(t *testing.T, s *guardSite, addr, target string) int64 {
	r := httptest.NewRequest("GET", target, nil)
	r.RemoteAddr = addr
	w := httptest.NewRecorder()
	begin := time.Now()
	s.ServeHTTP(w, r)
	if want := fmt.Sprint(w.Body.Len()); w.Header().Get("Content-Length") != want || w.Code != 200 {
		t.Errorf("%s: %d, Content-Length %s, %s bytes came", target, w.Code, w.Header().Get("Content-Length"), want)
	}
	return time.Since(begin).Milliseconds()
}

func TestThrottle(t *testing.T) {
	const a, b = "192.0.2.1:1", "192.0.2.2:1"
	for _, tt := range []struct {
		name, actions string
		addrs         []string // one after another
		want          []int64  // milliseconds that 64 KiB take
	}{
		{"twice the rate at once", "action.io.throttle(8192)", []string{a, a}, []int64{6000, 6000}},
		{"burst and rate", "action.io.throttle(32768, 16384)", []string{a}, []int64{2000}},
		{"burst and rate in a list", "action.io.throttle{32768, 16384}", []string{a}, []int64{2000}},
		{"the last counts", "action.io.throttle(8192), action.io.throttle(65536)", []string{a}, []int64{0}},
		{"ended", "action.io.throttle(8192), action.io.throttle(0)", []string{a}, []int64{0}},
		{"pool", "action.io.throttle_pool(16384)", []string{a, b}, []int64{3000, 4000}},
		{"the same pool twice", "(function() local p = action.io.throttle_pool(16384); return {p, p} end)()", []string{a}, []int64{3000}},
		{"address", "action.io.throttle_ip(16384)", []string{a, a, b}, []int64{3000, 4000, 3000}},
		{"IPv6 network", "action.io.throttle_ip(16384)", []string{"[2001:db8::1]:1", "[2001:db8:0:ff::1]:1", "[2001:db8:0:100::1]:1"}, []int64{3000, 4000, 3000}},
		{"no address", "action.io.throttle_ip(8192)", []string{"@"}, []int64{0}},
		{"all hold", "action.io.throttle_pool(16384), action.io.throttle(65536, 8192)", []string{a}, []int64{3000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := throttled(t, tt.actions)
				for i, addr := range tt.addrs {
					if got := took(t, s, addr, "/64"); got < tt.want[i]-5 || got > tt.want[i]+5 {
						t.Errorf("answer %d took %d ms, want %d", i+1, got, tt.want[i])
					}
				}
				time.Sleep(time.Minute) // what is to be forgotten is
			})
		})
	}
}

// TestThrottleTogether has two answers of a pool at once: they take turns, and together
// as long as one after another.
func TestThrottleTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := throttled(t, "action.io.throttle_pool(16384)")
		var all sync.WaitGroup
		var times [2]int64
		for i := range times {
			all.Go(func() { times[i] = took(t, s, "192.0.2.1:1", "/64") })
		}
		all.Wait()
		if first, last := min(times[0], times[1]), max(times[0], times[1]); first < 4995 || last < 6995 || last > 7005 {
			t.Errorf("took %d and %d ms, want at least 5 s and 7 s", first, last)
		}
	})
}

// TestThrottleForgets looks at the memory of io.throttle_ip.
func TestThrottleForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pools := &addressBuckets{rate: minRate, buckets: map[netip.Prefix]*addressBucket{}}
		network := networkOf(netip.MustParseAddr("192.0.2.1"))
		b := &addressBucket{bucket: newBucket(minRate, minRate), users: 1}
		pools.buckets[network] = b
		b.take(2 * minRate)
		pools.leave(network, b)
		known := func() int {
			pools.mu.Lock()
			defer pools.mu.Unlock()
			return len(pools.buckets)
		}
		if time.Sleep(1900 * time.Millisecond); known() != 1 {
			t.Error("forgotten too early")
		}
		if time.Sleep(200 * time.Millisecond); known() != 0 {
			t.Error("not forgotten")
		}
	})
}

// TestThrottleClientGone has a client leave while it is made to wait; what it did not
// get is there for others.
func TestThrottleClientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := throttled(t, "action.io.throttle_pool(8192)")
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		func() {
			defer func() {
				if r := recover(); r != http.ErrAbortHandler {
					t.Errorf("the response was not cut: %v", r)
				}
			}()
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/64", nil).WithContext(ctx))
		}()
		if got := time.Since(begin); got != 500*time.Millisecond {
			t.Errorf("the wait ended after %v", got)
		}
		time.Sleep(500 * time.Millisecond)
		if got := took(t, s, "192.0.2.1:1", "/8"); got > 5 {
			t.Errorf("the next waited %d ms", got)
		}
	})
}

func TestThrottleErrors(t *testing.T) {
	for _, tt := range []struct{ script, want string }{
		{`action.io.throttle(100)`, "site.lua:1: io.throttle: rate: expected 8192 (8 KiB) to 536870912 (512 MiB) bytes in a second, got 100"},
		{`action.io.throttle(1000, 100000)`, "burst: expected at least a fifth of the rate, got 1000 for 100000"},
		{`action.io.throttle(1e9, 100000)`, "burst: expected at most 536870912 (512 MiB) bytes, got 1000000000"},
		{`action.io.throttle()`, "io.throttle: rate is missing"},
		{`action.io.throttle("x")`, "expected a number, got a string"},
		{`action.io.throttle_pool(1e10)`, "io.throttle_pool: rate: expected 8192"},
		{`action.io.throttle_ip(0)`, "io.throttle_ip: rate: expected 8192"},
	} {
		_, err := loadGuard(t, "actions = "+tt.script, nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.script, err, tt.want)
		}
	}
}
