package bindings

import (
	"container/list"
	"sync"

	"luaserve/runtime"
)

// maxSharedClients is how many clients of backends are remembered for actions made in handlers.
const maxSharedClients = 64

// clientFor returns a client of a backend. What the script of the site makes has one of its
// own, which lives as long as the program. An action that is made in a handler, perhaps for
// each request, shares one with those that were made alike, which is what key says. Those that
// were not asked for lately are forgotten: they keep no connections any more, and actions that
// still have them go on.
func clientFor[C interface{ Close() }](b *runtime.Builder, key any, make func() C) C {
	if b.InSite() {
		c := make()
		b.OnClose(c.Close)
		return c
	}
	shared := b.Shared(sharedClientsKey{}, func() any {
		s := &sharedClients{byKey: map[any]*list.Element{}}
		b.OnClose(s.close)
		return s
	}).(*sharedClients)
	return shared.get(key, func() closer { return make() }).(C)
}

type sharedClientsKey struct{}

type closer interface{ Close() }

// sharedClients are those of actions made in handlers.
type sharedClients struct {
	mu     sync.Mutex
	byKey  map[any]*list.Element
	recent list.List // of sharedClient, the one asked for last in front
}

type sharedClient struct {
	key any
	closer
}

func (s *sharedClients) get(key any, make func() closer) closer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byKey[key]; e != nil {
		s.recent.MoveToFront(e)
		return e.Value.(sharedClient).closer
	}
	c := make()
	s.byKey[key] = s.recent.PushFront(sharedClient{key, c})
	if s.recent.Len() > maxSharedClients {
		oldest := s.recent.Remove(s.recent.Back()).(sharedClient)
		delete(s.byKey, oldest.key)
		oldest.Close()
	}
	return c
}

func (s *sharedClients) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.recent.Front(); e != nil; e = e.Next() {
		e.Value.(sharedClient).Close()
	}
}
