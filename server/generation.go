package server

import (
	"sync/atomic"

	"luaserve/runtime"
)

// site is what the server needs of a *runtime.Program.
type site interface {
	Handle(runtime.Exchange) *runtime.Reply
	Refuse(ex runtime.Exchange, status int) *runtime.Reply
	Listeners() []runtime.Listener
	Proxying() runtime.Proxying
	Limits() runtime.Limits
	Start() // it takes over
	Outdate(error)
	Close() error
}

// generation is a site with the number of its users: the requests that it serves, and
// the server as long as it is the site in force. The last one closes it.
type generation struct {
	site  site
	users atomic.Int64
	leave func() // release, made once
}

func newGeneration(s site) *generation {
	g := &generation{site: s}
	g.leave = g.release
	g.users.Store(1)
	return g
}

// acquire adds a user, unless the last one has left already.
func (g *generation) acquire() bool {
	for {
		n := g.users.Load()
		if n == 0 {
			return false
		}
		if g.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *generation) release() {
	if g.users.Add(-1) == 0 {
		g.site.Close()
	}
}

// acquire returns the site in force with one more user, nil when the server is closed.
func (s *Server) acquire() *generation {
	for {
		g := s.current.Load()
		if g == nil || g.acquire() {
			return g
		}
		// replaced and closed between the two steps; the next one is there already
	}
}
