package http1

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

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

	mu    sync.Mutex
	conns map[net.Conn]bool // true while idle
	wg    sync.WaitGroup
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{handle: cfg.Handle, refuse: cfg.Refuse, log: cfg.Log, limits: cfg.Limits, conns: map[net.Conn]bool{}}
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
	if !s.track(rwc) {
		rwc.Close()
		return
	}
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("a request panicked", "panic", r, "remote", rwc.RemoteAddr().String(), "stack", string(debug.Stack()))
			rwc.Close()
		}
		s.mu.Lock()
		delete(s.conns, rwc)
		s.mu.Unlock()
		s.wg.Done()
	}()
	s.serveConn(rwc, peer, last)
}

func (s *Server) track(rwc net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.conns[rwc] = true
	s.wg.Add(1)
	return true
}

func (s *Server) setIdle(rwc net.Conn, idle bool) {
	s.mu.Lock()
	s.conns[rwc] = idle
	s.mu.Unlock()
}

// Shutdown takes no more connections, closes idle ones, and waits for the requests that
// run; when ctx ends first it returns its error, and Close does the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing.Store(true)
	for rwc, idle := range s.conns {
		if idle {
			rwc.Close()
		}
	}
	s.mu.Unlock()
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	for rwc := range s.conns {
		rwc.Close()
	}
}

// clock formats the Date field once a second.
type clock struct {
	cached atomic.Pointer[stamp]
}

type stamp struct {
	second int64
	text   string
}

func (c *clock) now() string {
	t := time.Now()
	if s := c.cached.Load(); s != nil && s.second == t.Unix() {
		return s.text
	}
	s := &stamp{t.Unix(), t.UTC().Format(http.TimeFormat)}
	c.cached.Store(s)
	return s.text
}
