package bindings

import (
	"strconv"
	"sync"

	"luaserve/bindings/balancer"
	"luaserve/runtime"
)

// balancers are the balancers of a program, for those who show them.
type balancers struct {
	mu   sync.Mutex
	list []namedPool
}

// namedPool is a balancer with the place in the script where it was made.
type namedPool struct {
	name string
	pool *balancer.Pool
}

type balancersKey struct{}

// balancersOf returns the list of the program.
func balancersOf(b *runtime.Builder) *balancers {
	return b.Shared(balancersKey{}, func() any { return &balancers{} }).(*balancers)
}

// add adds a balancer. Of several on a line all but the first get a number.
func (l *balancers) add(place string, pool *balancer.Pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	name, count := place, 1
	for _, other := range l.list {
		if other.name == name {
			count++
			name = place + "#" + strconv.Itoa(count)
		}
	}
	l.list = append(l.list, namedPool{name, pool})
}

// balancerStatus is what a balancer shows of itself.
type balancerStatus struct {
	Name string
	balancer.Status
}

func (l *balancers) status() []balancerStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]balancerStatus, len(l.list))
	for i, b := range l.list {
		all[i] = balancerStatus{b.name, b.pool.Status()}
	}
	return all
}
