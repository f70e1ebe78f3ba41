package http1

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"luaserve/runtime"
)

// Config says how a [Server] serves.
type Config struct {
	// Handle answers one request; see [runtime.Program.Handle]. It is called concurrently.
	Handle func(runtime.Exchange) *runtime.Reply
	// Refuse answers a request whose head is malformed or too large; see
	// [runtime.Program.Refuse], and nil means [runtime.NewErrorReply].
	Refuse func(ex runtime.Exchange, status int) *runtime.Reply
	Log    *slog.Logger // nil means slog.Default()
	// Limits is asked when a connection begins and when a request does, concurrently, so
	// that it can follow a reload; nil means [runtime.DefaultLimits].
	Limits func() *runtime.Limits
}

// Server serves HTTP/1.0 and HTTP/1.1 on connections that somebody else accepts. It is safe for concurrent use.
type Server struct {
	handle  func(runtime.Exchange) *runtime.Reply
	refuse  func(runtime.Exchange, int) *runtime.Reply
	log     *slog.Logger
	limits  func() *runtime.Limits
	clock   clock
	closing atomic.Bool

	elsewhere atomic.Int32 // see Elsewhere; requests that loops have passed on are among them

	mu       sync.Mutex
	sessions *session // the first of all
	loops    *loops   // nil until there is something for them
	closed   bool
	wg       sync.WaitGroup
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{handle: cfg.Handle, refuse: cfg.Refuse, log: cfg.Log, limits: cfg.Limits}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.refuse == nil {
		s.refuse = func(_ runtime.Exchange, status int) *runtime.Reply { return runtime.NewErrorReply(status) }
	}
	if s.limits == nil {
		limits := runtime.DefaultLimits()
		s.limits = func() *runtime.Limits { return &limits }
	}
	return s
}

// ServeConn serves a connection until it ends, and closes it. peer is what requests are
// told of it. last, if any, is asked before each answer whether the connection ends with
// it. Once the server is shut down a connection is closed at once.
func (s *Server) ServeConn(rwc net.Conn, peer runtime.Connection, last func() bool) {
	one := &session{srv: s, rwc: rwc, peer: peer, last: last}
	if s.track(one) {
		one.serve()
	} else {
		rwc.Close()
	}
}

// Elsewhere says that n more connections are open that goroutines serve, not the loops of the
// server, n below zero that fewer are: while there are any, a loop that waits keeps no processor
// from them. Those of [Server.ServeConn] are to be counted too. It returns how many there are now,
// requests that wait outside of the loops among them.
func (s *Server) Elsewhere(n int) (now int) { return int(s.elsewhere.Add(int32(n))) }

func (s *Server) track(one *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	if one.next = s.sessions; one.next != nil {
		one.next.previous = one
	}
	s.sessions = one
	s.wg.Add(1)
	return true
}

func (s *Server) forget(one *session) {
	s.mu.Lock()
	if one.next != nil {
		one.next.previous = one.previous
	}
	if one.previous != nil {
		one.previous.next = one.next
	} else {
		s.sessions = one.next
	}
	one.previous, one.next = nil, nil
	s.mu.Unlock()
	s.wg.Done()
}

// end takes no more connections, and cuts those of which which says so.
func (s *Server) end(which func(*session) bool) {
	var all []*session
	s.mu.Lock()
	s.closing.Store(true)
	for one := s.sessions; one != nil; one = one.next {
		if which(one) {
			all = append(all, one)
		}
	}
	s.mu.Unlock()
	for _, one := range all {
		one.cut()
	}
}

// Shutdown takes no more connections, closes idle ones, and waits for the requests that
// run; when ctx ends first it returns its error, and Close does the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end(func(one *session) bool { return one.state.CompareAndSwap(waiting, ended) })
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close takes no more connections and cuts those that there are.
func (s *Server) Close() {
	s.end(func(*session) bool { return true })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed = true; s.loops != nil {
		s.loops.close()
		s.loops = nil
	}
}
