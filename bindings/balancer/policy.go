package balancer

import (
	"math"
	"time"
)

// Policy is how a backend is picked of those that can take a request.
type Policy int

// The policies.
const (
	// RoundRobin: they take turns.
	RoundRobin Policy = iota
	// ShortestQueue: the one with the fewest requests in progress for its weight.
	ShortestQueue
	// LeastTime: the one where the next request is likely to wait the least: its average
	// time to the first byte of an answer times the requests in progress, for its weight.
	LeastTime
	// Hash: the one that the key of the request belongs to (rendezvous hashing): each backend
	// has a score for the key and the highest one counts. So a backend that goes takes only
	// its own keys along, which spread over the others, and one that comes takes its share
	// from all of them.
	Hash
)

// pick returns a backend that t was not given yet and that can take it, -1 when there is none.
func (p *Pool) pick(t *Turn, now time.Time) int {
	if p.config.Policy == RoundRobin {
		return p.nextInTurn(t, now)
	}
	cost := func(b *backend) float64 { return float64(b.inFlight) / b.weight }
	switch p.config.Policy {
	case LeastTime:
		slowest := p.slowest()
		cost = func(b *backend) float64 { return b.expected(slowest, now) * float64(b.inFlight+1) / b.weight }
	case Hash:
		cost = func(b *backend) float64 { return -b.score(t.key) }
	}
	best, least := -1, 0.0
	for i := range p.backends {
		if b := &p.backends[i]; !t.hasTried(i) && p.usable(b, now) {
			if c := cost(b); best < 0 || c < least {
				best, least = i, c
			}
		}
	}
	return best
}

// nextInTurn picks the first usable backend behind the one picked before.
func (p *Pool) nextInTurn(t *Turn, now time.Time) int {
	for k := range p.schedule {
		place := (p.next + k) % len(p.schedule)
		if i := p.schedule[place]; !t.hasTried(i) && p.usable(&p.backends[i], now) {
			p.next = place + 1
			return i
		}
	}
	return -1
}

// schedule spreads the turns of each backend evenly: weights of 3, 1 and 1 are a b a c a. At
// each place everybody gains its weight, and who has the most has the turn and pays for it.
func schedule(backends []Backend) []int {
	divisor, total := 0, 0
	for _, b := range backends {
		divisor = gcd(divisor, b.Weight)
		total += b.Weight
	}
	credit := make([]int, len(backends))
	turns := make([]int, total/divisor)
	for place := range turns {
		best := 0
		for i, b := range backends {
			credit[i] += b.Weight
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= total
		turns[place] = best
	}
	return turns
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// average is an exponentially weighted moving average of times: what is older than a few
// averageTimes does not count any more. Nothing is known as long as at is zero.
type average struct {
	value float64 // in seconds
	at    time.Time
}

// averageTime is how fast an average forgets.
const averageTime = 10 * time.Second

func (a *average) add(d time.Duration, now time.Time) {
	old := 0.0
	if !a.at.IsZero() {
		old = math.Exp(-now.Sub(a.at).Seconds() / averageTime.Seconds())
	}
	a.value = old*a.value + (1-old)*d.Seconds()
	a.at = now
}

// leastLatency is added to every average, in seconds, so that those which cannot be told
// apart are compared by their requests in progress.
const leastLatency = 100e-6

// expected is how long an answer of b may take, in seconds. What is known of an idle backend
// grows old, so that a slow one is tried again one day. One that has not answered yet is
// tried at once, and until it has answered counts as the slowest.
func (b *backend) expected(slowest float64, now time.Time) float64 {
	known := b.latency.value
	switch {
	case b.latency.at.IsZero() && b.inFlight > 0:
		known = slowest
	case b.inFlight == 0:
		known *= math.Exp(-now.Sub(b.latency.at).Seconds() / averageTime.Seconds())
	}
	return known + leastLatency
}

func (p *Pool) slowest() float64 {
	slowest := 0.0
	for i := range p.backends {
		slowest = max(slowest, p.backends[i].latency.value)
	}
	return slowest
}

// score is the claim of b to a key: the larger the weight, the more keys it wins. It is an
// exponentially distributed number, divided by the weight and reversed.
func (b *backend) score(key uint64) float64 {
	uniform := (float64(mix(key^b.seed)>>11) + 0.5) / (1 << 53) // between 0 and 1, neither included
	return b.weight / -math.Log(uniform)
}

// hash is FNV-1a. It has no secret, so that servers, and a server before and after a restart,
// agree on whose a key is.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix spreads every bit of x over the whole number (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
