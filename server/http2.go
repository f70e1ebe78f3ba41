package server

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"luaserve/runtime"
)

// The limits of a HTTP/2 connection that scripts cannot set. Floods of resets, of
// CONTINUATION and of control frames are net/http's to refuse.
const (
	maxStreams     = 100       // requests at a time
	maxFrame       = 16 << 10  // bytes; the smallest that the protocol knows
	streamBuffer   = 256 << 10 // bytes of a request body that nobody reads
	http2PingAfter = 30 * time.Second
	http2PingWait  = 15 * time.Second
)

// http2Front serves HTTP/2 connections with net/http's implementation. After a reload they
// are asked to come again (GOAWAY), because what TLS demands of clients may have changed;
// requests on their way end first.
type http2Front struct {
	handle func(runtime.Exchange) *runtime.Reply
	refuse func(runtime.Exchange, int) *runtime.Reply
	log    *slog.Logger
	limits func() *runtime.Limits

	mu       sync.Mutex
	closed   bool
	current  *http2Server // nil until there is a connection
	retiring map[*http2Server]struct{}
}

func newHTTP2Front(handle func(runtime.Exchange) *runtime.Reply, refuse func(runtime.Exchange, int) *runtime.Reply, log *slog.Logger, limits func() *runtime.Limits) *http2Front {
	return &http2Front{handle: handle, refuse: refuse, log: log, limits: limits, retiring: map[*http2Server]struct{}{}}
}

// serveConn serves a connection on which HTTP/2 was agreed on, in another goroutine.
func (f *http2Front) serveConn(c *tls.Conn) {
	for {
		srv := f.server()
		if srv == nil {
			c.Close()
			return
		}
		if srv.queue.put(c) {
			return
		}
		// retired between the two steps; the next one takes the connection
	}
}

// server returns the server for new connections, nil when there are to be none.
func (f *http2Front) server() *http2Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	if f.current == nil {
		f.current = newHTTP2Server(f.handle, f.refuse, f.log, f.limits)
	}
	return f.current
}

// renew has the connections of now end when their requests have.
func (f *http2Front) renew() {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.current
	if old == nil || f.closed {
		return
	}
	f.current = nil
	f.retiring[old] = struct{}{}
	go func() {
		old.shutdown(context.Background())
		f.mu.Lock()
		delete(f.retiring, old)
		f.mu.Unlock()
	}()
}

// shutdown takes no more connections and waits for the requests that run; when ctx ends
// first it returns its error.
func (f *http2Front) shutdown(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, srv := range f.close() {
		wg.Go(func() { srv.shutdown(ctx) })
	}
	wg.Wait()
	return ctx.Err()
}

// cut takes no more connections and cuts those that there are.
func (f *http2Front) cut() {
	for _, srv := range f.close() {
		srv.http.Close()
	}
}

// close takes no more connections and returns the servers of those that there are.
func (f *http2Front) close() []*http2Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var all []*http2Server
	if f.current != nil {
		all = append(all, f.current)
	}
	for srv := range f.retiring {
		all = append(all, srv)
	}
	return all
}

// http2Server serves the connections between two reloads.
type http2Server struct {
	http    http.Server
	queue   *connQueue
	handler http.Handler
	refuse  func(runtime.Exchange, int) *runtime.Reply
	log     *slog.Logger
	limits  func() *runtime.Limits
}

func newHTTP2Server(handle func(runtime.Exchange) *runtime.Reply, refuse func(runtime.Exchange, int) *runtime.Reply, log *slog.Logger, limits func() *runtime.Limits) *http2Server {
	s := &http2Server{queue: newConnQueue(), handler: runtime.NetHTTP(handle, log), refuse: refuse, log: log, limits: limits}
	now := limits() // a reload makes another server
	s.http = http.Server{
		Handler: s, Protocols: &http.Protocols{}, IdleTimeout: now.IdleTimeout, MaxHeaderBytes: now.HeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReadFrameSize: maxFrame,
			MaxReceiveBufferPerStream: streamBuffer, SendPingTimeout: http2PingAfter, PingTimeout: http2PingWait, WriteByteTimeout: now.WriteTimeout},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return runtime.WithConnection(ctx, c.(*tls.Conn).NetConn().(*transport).peer)
		},
	}
	s.http.Protocols.SetHTTP2(true)
	go s.http.Serve(s.queue)
	return s
}

// shutdown tells the clients to open no more streams, and waits for those that there are.
func (s *http2Server) shutdown(ctx context.Context) {
	for ctx.Err() == nil {
		// a connection that net/http learned of just now is only told in another round
		round, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		err := s.http.Shutdown(round)
		cancel()
		if err == nil {
			return
		}
	}
}

// ServeHTTP answers a request within the limits.
func (s *http2Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limits := s.limits()
	paced := newPacedWriter(w, limits.WriteTimeout)
	defer paced.end()
	defer func() {
		if e := recover(); e != nil {
			if e != http.ErrAbortHandler {
				s.log.Error("a request panicked", "panic", e, "remote", r.RemoteAddr, "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}
	}()
	if status := beyondLimits(r, limits); status != 0 {
		s.log.Info("request refused", "status", status, "remote", r.RemoteAddr)
		refuse := func(ex runtime.Exchange) *runtime.Reply { return s.refuse(ex, status) }
		runtime.NetHTTP(refuse, s.log).ServeHTTP(paced, r)
		return
	}
	r.Body = &pacedBody{ReadCloser: r.Body, pace: paced, limits: limits, left: limits.BodyBytes}
	s.handler.ServeHTTP(paced, r)
}

// beyondLimits returns the status for a request with too long a target or body or too many
// fields, or 0.
func beyondLimits(r *http.Request, limits *runtime.Limits) int {
	if len(r.RequestURI) > limits.TargetBytes {
		return http.StatusRequestURITooLong
	}
	if r.ContentLength > limits.BodyBytes {
		return http.StatusRequestEntityTooLarge
	}
	fields := 0
	for _, values := range r.Header {
		fields += len(values)
	}
	if fields > limits.HeaderCount {
		return http.StatusRequestHeaderFieldsTooLarge
	}
	return 0
}

// pacedWriter lets a stream wait for its client as long as there is progress.
type pacedWriter struct {
	http.ResponseWriter
	progress time.Duration
	mu       sync.Mutex
	rc       *http.ResponseController
	ended    bool // the request is over; a backend may still read its body
}

func newPacedWriter(w http.ResponseWriter, progress time.Duration) *pacedWriter {
	return &pacedWriter{ResponseWriter: w, progress: progress, rc: http.NewResponseController(w)}
}

// Write sends pieces that each have their time, so that a client that reads slowly but
// steadily gets all.
func (p *pacedWriter) Write(b []byte) (n int, err error) {
	const piece = 64 << 10
	for first := true; err == nil && (first || len(b) > 0); first = false {
		p.rc.SetWriteDeadline(time.Now().Add(p.progress))
		var m int
		m, err = p.ResponseWriter.Write(b[:min(piece, len(b))])
		n, b = n+m, b[m:]
	}
	p.rc.SetWriteDeadline(time.Time{}) // until the next piece only the backend is waited for
	return n, err
}

// Flush implements http.Flusher.
func (p *pacedWriter) Flush() {
	p.rc.SetWriteDeadline(time.Now().Add(p.progress))
	p.rc.Flush()
	p.rc.SetWriteDeadline(time.Time{})
}

func (p *pacedWriter) setReadDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.rc.SetReadDeadline(t)
	}
}

// end leaves a deadline behind for what net/http still has to send.
func (p *pacedWriter) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.rc.SetWriteDeadline(time.Now().Add(p.progress))
}

// pacedBody is a request body that must make progress while somebody reads it, and has an end.
type pacedBody struct {
	io.ReadCloser
	pace   *pacedWriter
	limits *runtime.Limits
	left   int64 // bytes that it may still have
	spent  runtime.Patience
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, runtime.ErrBodyTooLarge
	}
	began := time.Now()
	b.pace.setReadDeadline(began.Add(b.spent.Left(b.limits)))
	defer b.pace.setReadDeadline(time.Time{})
	n, err := b.ReadCloser.Read(p)
	b.spent.Spend(time.Since(began), n)
	if b.left -= int64(n); b.left < 0 {
		return n + int(b.left), runtime.ErrBodyTooLarge
	}
	return n, err
}

// connQueue is a listener that is handed its connections.
type connQueue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newConnQueue() *connQueue {
	return &connQueue{conns: make(chan net.Conn), done: make(chan struct{})}
}

// put hands a connection over, unless the queue was closed.
func (q *connQueue) put(c net.Conn) bool {
	select {
	case q.conns <- c:
		return true
	case <-q.done:
		return false
	}
}

func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case c := <-q.conns:
		return c, nil
	case <-q.done:
		return nil, net.ErrClosed
	}
}

func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.done) })
	return nil
}

func (q *connQueue) Addr() net.Addr { return &net.TCPAddr{} }
