// Package server puts a loaded script on the network: listeners, the HTTP front end,
// reload without a lost request, and an orderly end.
//
//	s, err := server.New(server.Config{Site: "site.lua", Load: load})
//	…
//	err = s.Serve(ctx) // until ctx is done and the last request was answered
//
// It knows nothing of Lua; [Config.Load] makes the program.
package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"luaserve/runtime"
	"luaserve/server/http1"
)

// Config says what a [Server] serves and how.
type Config struct {
	// Site is the script.
	Site string
	// Listen replaces the addresses that the script names, when it is not empty:
	// "127.0.0.1:8080", ":8080", "[::1]:8080", "unix:/path".
	Listen []string
	// Sockets are sockets that were opened for the server, by systemd: the address
	// "systemd:NAME" means those of that name (os.File.Name), "systemd:" all. The server does
	// not close them.
	Sockets []*os.File
	// Load makes a program of the script: at the start and at each [Server.Reload].
	Load func(path string) (*runtime.Program, error)
	// ShowReloadErrors has requests fail with the error of a reload that has failed, until one
	// succeeds: for development, see [runtime.Program.Outdate].
	ShowReloadErrors bool
	// Log takes what the server has to say; nil means slog.Default().
	Log *slog.Logger
	// DrainTimeout is how long the requests that are on their way may take at the end;
	// 0 means 30 s.
	DrainTimeout time.Duration
}

const defaultDrainTimeout = 30 * time.Second

// Server serves one script on its addresses.
type Server struct {
	cfg     Config
	load    func(path string) (site, error)
	log     *slog.Logger
	http1   *http1.Server
	http2   *http2Front
	opening openings
	places  *places
	current atomic.Pointer[generation]     // nil once the server is closed
	limits  atomic.Pointer[runtime.Limits] // those of current
	failed  chan error                     // a listener that ended by itself

	reloading sync.Mutex // one reload at a time; loading may take long, so mu is not held
	mu        sync.Mutex
	listeners []*listener
	serving   bool
}

// New loads the script and opens its listeners; connections wait until [Server.Serve].
// After an error nothing is open.
func New(cfg Config) (*Server, error) {
	return newServer(cfg, func(path string) (site, error) {
		p, err := cfg.Load(path)
		if err != nil {
			return nil, err
		}
		return p, nil
	})
}

func newServer(cfg Config, load func(path string) (site, error)) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = defaultDrainTimeout
	}
	s := &Server{cfg: cfg, load: load, log: cfg.Log, failed: make(chan error, 1)}
	s.places = newPlaces(s.limits.Load, cfg.Log)
	s.http1 = http1.New(http1.Config{Handle: s.handle, Refuse: s.refuse, Log: cfg.Log, Limits: s.limits.Load})
	s.http2 = newHTTP2Front(s.handle, s.refuse, cfg.Log, s.limits.Load)
	next, err := s.load(cfg.Site)
	if err != nil {
		return nil, err
	}
	if err := s.install(next); err != nil {
		return nil, err
	}
	return s, nil
}

// Addrs returns the addresses that the server listens on.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// URLs returns where clients find the server: "http://127.0.0.1:8080",
// "https://[::1]:443", "unix:/run/site.sock".
func (s *Server) URLs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	urls := make([]string, len(s.listeners))
	for i, l := range s.listeners {
		switch addr := l.Addr(); {
		case addr.Network() == "unix":
			urls[i] = "unix:" + addr.String()
		case l.want.Load().TLS != nil:
			urls[i] = "https://" + addr.String()
		default:
			urls[i] = "http://" + addr.String()
		}
	}
	return urls
}

// Serve answers requests until ctx is done. Then it takes no more, waits for those that
// are on their way, cuts what is left after [Config.DrainTimeout], and returns nil. An
// error is a listener that broke. The server is closed afterwards.
func (s *Server) Serve(ctx context.Context) error {
	s.mu.Lock()
	s.serving = true
	for _, l := range s.listeners {
		go s.accept(l)
	}
	s.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	}
	s.drain(context.WithoutCancel(ctx))
	return err
}

func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.DrainTimeout)
	defer cancel()
	s.closeListeners()
	s.opening.close()
	var err1, err2 error
	var wg sync.WaitGroup
	wg.Go(func() { err1 = s.http1.Shutdown(ctx) })
	wg.Go(func() { err2 = s.http2.shutdown(ctx) })
	wg.Wait()
	if err1 != nil || err2 != nil {
		s.log.Warn("requests took too long to end and are cut", "timeout", s.cfg.DrainTimeout)
	}
	s.Close()
}

// closeListeners takes no more connections.
func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		l.Close()
	}
}

// Close ends the server at once: open connections are cut. It may be called again.
func (s *Server) Close() {
	s.closeListeners()
	s.opening.close()
	s.http1.Close()
	s.http2.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.current.Swap(nil); g != nil {
		g.release()
	}
}

// Reload loads the script again. New requests go to the new program, those on their way
// end with the old one. Listeners follow the new script: addresses that it still names
// stay open throughout. After an error everything is as before, but for
// [Config.ShowReloadErrors].
func (s *Server) Reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next, err := s.load(s.cfg.Site)
	if err == nil {
		err = s.install(next)
	}
	if err != nil && s.cfg.ShowReloadErrors {
		if g := s.acquire(); g != nil {
			g.site.Outdate(err)
			g.release()
		}
	}
	return err
}

// install puts a site in the place of the one before, with its listeners, or closes it
// and changes nothing.
func (s *Server) install(next site) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current.Load()
	if before == nil && s.listeners != nil {
		next.Close()
		return http.ErrServerClosed
	}
	listeners, err := s.bind(next)
	if err != nil {
		next.Close()
		return err
	}
	limits := next.Limits()
	s.limits.Store(&limits)
	next.Start()
	s.current.Store(newGeneration(next))
	if before != nil {
		before.release()
	}
	s.replaceListeners(listeners)
	s.http2.renew()
	return nil
}

// handle hands a request to the site in force and keeps that site open until the answer
// was sent.
func (s *Server) handle(ex runtime.Exchange) *runtime.Reply {
	return s.withSite(func(current site) *runtime.Reply { return current.Handle(ex) })
}

// refuse has the site in force answer what no front end accepts.
func (s *Server) refuse(ex runtime.Exchange, status int) *runtime.Reply {
	return s.withSite(func(current site) *runtime.Reply { return current.Refuse(ex, status) })
}

func (s *Server) withSite(answer func(site) *runtime.Reply) *runtime.Reply {
	g := s.acquire()
	if g == nil { // the server was closed under the request
		return runtime.NewErrorReply(http.StatusServiceUnavailable)
	}
	answered := false
	defer func() {
		if !answered {
			g.release() // the site panicked; the front end cuts the connection
		}
	}()
	reply := answer(g.site)
	reply.OnClose(g.leave)
	answered = true
	return reply
}
