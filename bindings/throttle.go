package bindings

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"luaserve/runtime"
)

func throttleModule() *runtime.Module {
	rate := []runtime.Param{{Name: "rate", Type: runtime.TNumber, Doc: "bytes in a second, from 8 KiB to 512 MiB"}}
	return &runtime.Module{
		Name: "throttle",
		Doc: "Limits how fast response bodies are sent. A limit is a bucket of bytes that is filled at the rate: what is in it may go at once. " +
			"Several limits all hold. Lengths, ranges and caching are as without. " +
			"Lua has a library called io, so the actions are written with action. before their name.",
		Actions: []runtime.ActionDef{
			{Name: "io.throttle", New: newThrottle,
				Doc: "Limits this response: io.throttle(rate), or as in lighttpd2 the burst first, io.throttle(burst, rate). " +
					"The burst is what may go at once in the beginning, in bytes; it is twice the rate unless given. " +
					"The last io.throttle of a request counts; io.throttle(0) ends the limit. A limit begins anew with each request of a connection.",
				Example: `actions = { when(request.path:suffix ".flv", action.io.throttle(500000, 150000)), docroot "/var/www", static() }`,
				Params: []runtime.Param{
					{Name: "rate", Type: runtime.TNumber, Doc: "bytes in a second, from 8 KiB to 512 MiB; the burst when there are two numbers"},
					{Name: "rate behind a burst", Type: runtime.TNumber, Optional: true, Doc: "bytes in a second"}}},
			{Name: "io.throttle_pool", New: newThrottlePool, Params: rate,
				Doc:     "Limits all responses together that pass this action. Used in two places, an action that was made once is one pool.",
				Example: `local downloads = action.io.throttle_pool(1048576)` + "\n" + `actions = { when(request.path:prefix "/iso/", downloads), when(request.path:prefix "/deb/", downloads), respond "ok" }`},
			{Name: "io.throttle_ip", New: newThrottleIP, Params: rate,
				Doc: "Limits all responses together that pass this action and go to one address, of IPv6 to one /56 network. " +
					"Clients on a unix socket are not limited.",
				Example: `actions = { action.io.throttle_ip(204800), respond "ok" }`},
		},
	}
}

const (
	minRate, maxRate = 8 << 10, 512 << 20 // bytes in a second, as in lighttpd2
	// minBurst is the part of a second's bytes that must fit into a bucket.
	minBurst = 0.2
)

func checkRate(rate, burst int64) error {
	switch {
	case rate < minRate || rate > maxRate:
		return fmt.Errorf("rate: expected %d (8 KiB) to %d (512 MiB) bytes in a second, got %d", minRate, maxRate, rate)
	case float64(burst) < minBurst*float64(rate):
		return fmt.Errorf("burst: expected at least a fifth of the rate, got %d for %d bytes in a second", burst, rate)
	case burst > maxRate:
		return fmt.Errorf("burst: expected at most %d (512 MiB) bytes, got %d", maxRate, burst)
	}
	return nil
}

// bucket is filled with rate bytes a second up to burst. Who takes more than there is
// waits for the rest; those who come after wait behind.
type bucket struct {
	rate, burst float64

	mu     sync.Mutex
	tokens float64 // below 0 while somebody waits
	last   time.Time
}

func newBucket(rate, burst int64) *bucket {
	return &bucket{rate: float64(rate), burst: float64(burst), tokens: float64(burst), last: time.Now()}
}

// take takes n bytes, or gives them back when n is negative, and returns how long to wait.
func (b *bucket) take(n float64) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.tokens = math.Min(b.tokens+b.rate*now.Sub(b.last).Seconds(), b.burst) - n
	b.last = now
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / b.rate * float64(time.Second))
}

// untilFull returns when the bucket will be full if nobody takes anything.
func (b *bucket) untilFull() time.Duration {
	b.take(0)
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Duration((b.burst - b.tokens) / b.rate * float64(time.Second))
}

var errWaitEnded = errors.New("throttle: the client went away")

// pace has the responses of vr wait for the bucket.
func (b *bucket) pace(vr *runtime.VRequest, key any) {
	vr.Pace(key, func(n int) error {
		wait := b.take(float64(n))
		if wait <= 0 {
			return nil
		}
		if err := sleep(vr.Context(), wait); err != nil {
			b.take(-float64(n))
			return err
		}
		return nil
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errWaitEnded
	case <-timer.C:
		return nil
	}
}

// throttleKey stands for the limit of one response: the last counts.
type throttleKey struct{}

func newThrottle(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	rate, burst := args.Int(0), 2*args.Int(0)
	if args.Has(1) {
		burst, rate = args.Int(0), args.Int(1)
	} else {
		burst = min(burst, maxRate)
	}
	if rate == 0 && burst == 0 {
		return runtime.ActionFunc(func(vr *runtime.VRequest) error {
			vr.Pace(throttleKey{}, nil)
			return nil
		}), nil
	}
	if err := checkRate(rate, burst); err != nil {
		return nil, err
	}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		newBucket(rate, burst).pace(vr, throttleKey{})
		return nil
	}), nil
}

func newThrottlePool(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	rate := args.Int(0)
	if err := checkRate(rate, rate); err != nil {
		return nil, err
	}
	pool := newBucket(rate, rate)
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		pool.pace(vr, pool)
		return nil
	}), nil
}

func newThrottleIP(_ *runtime.Builder, args runtime.Args) (runtime.Action, error) {
	rate := args.Int(0)
	if err := checkRate(rate, rate); err != nil {
		return nil, err
	}
	pools := &addressBuckets{rate: rate, buckets: map[netip.Prefix]*addressBucket{}}
	return runtime.ActionFunc(func(vr *runtime.VRequest) error {
		if addr := vr.Con.Remote.Addr().Unmap(); addr.IsValid() {
			pools.enter(vr, networkOf(addr))
		}
		return nil
	}), nil
}

// networkOf returns what one client is taken to be: an IPv4 address, an IPv6 /56.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 56
	}
	network, _ := addr.WithZone("").Prefix(bits) // the length fits the family
	return network
}

// addressBuckets has a bucket for each network that gets something. One that nobody uses
// is forgotten when it is full again, so that a new connection is no new start.
type addressBuckets struct {
	rate int64

	mu      sync.Mutex
	buckets map[netip.Prefix]*addressBucket
}

type addressBucket struct {
	*bucket
	users int
}

func (a *addressBuckets) enter(vr *runtime.VRequest, network netip.Prefix) {
	a.mu.Lock()
	b := a.buckets[network]
	if b == nil {
		b = &addressBucket{bucket: newBucket(a.rate, a.rate)}
		a.buckets[network] = b
	}
	b.users++
	a.mu.Unlock()
	b.pace(vr, b)
	vr.OnFinish(func() { a.leave(network, b) })
}

func (a *addressBuckets) leave(network netip.Prefix, b *addressBucket) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.users--; b.users == 0 {
		a.forget(network, b)
	}
}

// forget removes a bucket that nobody uses and that is full, or tries again when it is.
func (a *addressBuckets) forget(network netip.Prefix, b *addressBucket) {
	if b.users > 0 || a.buckets[network] != b {
		return
	}
	wait := b.untilFull()
	if wait <= 0 {
		delete(a.buckets, network)
		return
	}
	time.AfterFunc(wait, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.forget(network, b)
	})
}
