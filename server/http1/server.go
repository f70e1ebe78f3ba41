package http1

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"luaserve/runtime"
)

// Timeouts bound how long a connection waits; 0 means the default.
type Timeouts struct {
	Head  time.Duration // for a whole request head, default 20 s
	Body  time.Duration // for the next bytes of a request body, default 60 s
	Idle  time.Duration // between two requests, default 75 s
	Write time.Duration // for progress in sending the answer, default 60 s
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		value    *time.Duration
		fallback time.Duration
	}{{&t.Head, 20 * time.Second}, {&t.Body, time.Minute}, {&t.Idle, 75 * time.Second}, {&t.Write, time.Minute}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	return t
}

// Config says how a [Server] serves.
type Config struct {
	// Handle answers one request; see [runtime.Program.Handle]. It is called concurrently.
	Handle   func(runtime.Exchange) *runtime.Reply
	Log      *slog.Logger // nil means slog.Default()
	Limits   Limits
	Timeouts Timeouts
}

// Server serves HTTP/1.0 and HTTP/1.1. It is safe for concurrent use.
type Server struct {
	handle   func(runtime.Exchange) *runtime.Reply
	log      *slog.Logger
	limits   Limits
	timeouts Timeouts
	clock    clock
	closing  atomic.Bool

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]bool // true while idle
	wg        sync.WaitGroup
}

// New returns a server.
func New(cfg Config) *Server {
	s := &Server{
		handle: cfg.Handle, log: cfg.Log, limits: cfg.Limits.withDefaults(), timeouts: cfg.Timeouts.withDefaults(),
		listeners: map[net.Listener]struct{}{}, conns: map[net.Conn]bool{},
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	return s
}

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = http.ErrServerClosed

// Serve accepts connections until the server is shut down; it always returns an error.
// When the process runs out of file descriptors it pauses accepting and goes on.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	pause := 5 * time.Millisecond
	for {
		rwc, err := l.Accept()
		if err != nil {
			if s.closing.Load() {
				return ErrServerClosed
			}
			if !passes(err) {
				return err
			}
			s.log.Warn("cannot accept a connection; pausing", "error", err, "pause", pause)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		if !s.track(rwc) {
			rwc.Close()
			return ErrServerClosed
		}
		go s.run(rwc)
	}
}

// passes reports whether accepting may succeed again: the process or the machine is out of
// descriptors or memory, or the client has left already.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
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

func (s *Server) run(rwc net.Conn) {
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
	s.serveConn(rwc)
}

func (s *Server) setIdle(rwc net.Conn, idle bool) {
	s.mu.Lock()
	s.conns[rwc] = idle
	s.mu.Unlock()
}

// Shutdown stops accepting, closes idle connections, and waits for the requests that run;
// when ctx ends first it returns its error, and Close does the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing.Store(true)
	for l := range s.listeners {
		l.Close()
	}
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

// Close stops accepting and cuts all connections.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	for l := range s.listeners {
		l.Close()
	}
	for rwc := range s.conns {
		rwc.Close()
	}
	return nil
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
