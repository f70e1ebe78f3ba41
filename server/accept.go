package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"luaserve/runtime"
	"luaserve/server/http1"
)

// accept takes connections until the listener is closed. When the process runs out of file
// descriptors it pauses and goes on; another error ends the server.
func (s *Server) accept(l *listener) {
	const shortest = 5 * time.Millisecond
	for pause := shortest; ; {
		rwc, err := l.Accept()
		switch {
		case err == nil:
			pause = shortest
			s.admit(l, rwc)
		case passes(err):
			s.log.Warn("cannot accept a connection; pausing", "error", err, "pause", pause)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			select {
			case s.failed <- listenError(l.text, err):
			default: // one is enough to end the server
			}
			return
		}
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

// admit has a connection served if there is a place for it. It does not wait.
func (s *Server) admit(l *listener, rwc net.Conn) {
	want := l.want.Load()
	peer := http1.Addresses(rwc)
	client := peer.Remote.Addr()
	if want.proxying.Demands(client) {
		client = netip.Addr{} // a load balancer, whose PROXY header names the client
	}
	place, err := s.places.take(client)
	if err != nil {
		s.places.turnAway(rwc, want.TLS != nil, err)
		return
	}
	plain := want.TLS == nil && !want.proxying.Allows(peer.Remote.Addr())
	if plain && s.http1.Watch(rwc, peer, place.leave) {
		return
	}
	s.http1.Elsewhere(1)
	place.onLeave = func() { s.http1.Elsewhere(-1) }
	go s.open(l, &transport{Conn: rwc, peer: peer, place: place}, want, plain)
}

// open brings a connection to where HTTP is spoken on it, and serves it.
func (s *Server) open(l *listener, t *transport, want *manner, plain bool) {
	if plain {
		defer t.place.leave()
		s.http1.ServeConn(t.Conn, t.peer, nil)
		return
	}
	c, err := s.begin(t, want)
	if err != nil {
		t.Close()
		return
	}
	switch secure, ok := c.(*tls.Conn); {
	case !ok:
		s.http1.ServeConn(c, t.peer, nil)
	case t.peer.TLS.NegotiatedProtocol == "h2":
		s.http2.serveConn(secure)
	default:
		// what TLS demands of clients may have changed: a connection of before is not kept
		s.http1.ServeConn(c, t.peer, func() bool { return l.want.Load() != want })
	}
}

// begin reads what comes before HTTP: a PROXY header, the TLS handshake. It returns the
// connection that HTTP is spoken on; an error has been logged.
func (s *Server) begin(t *transport, want *manner) (net.Conn, error) {
	if !s.opening.add(t.Conn) {
		return nil, net.ErrClosed
	}
	defer s.opening.remove(t.Conn)
	from := t.peer.Remote.String()
	if err := t.readProxyHeader(&want.proxying); err != nil {
		level := slog.LevelInfo
		if errors.Is(err, io.EOF) {
			level = slog.LevelDebug
		}
		s.log.Log(context.Background(), level, "connection refused", "error", err, "remote", from)
		return nil, err
	}
	if err := t.place.nameClient(t.peer.Remote.Addr()); err != nil {
		s.places.logRefusal(err)
		if want.TLS == nil {
			dismiss(t.Conn)
		}
		return nil, err
	}
	if want.TLS == nil {
		return t, nil
	}
	c, err := t.handshake(want.TLS)
	if err != nil {
		level := slog.LevelDebug // clients break off, and try what they can
		if errors.Is(err, errUntrustedProxy) {
			level = slog.LevelInfo
		}
		s.log.Log(context.Background(), level, "no TLS connection", "error", err, "remote", from)
		return nil, err
	}
	return c, nil
}

// handshakeTimeout is how long a client may take for the TLS handshake.
const handshakeTimeout = 10 * time.Second

// handshake begins TLS on a transport and notes what became known of the peer.
func (t *transport) handshake(cfg *tls.Config) (*tls.Conn, error) {
	t.SetDeadline(time.Now().Add(handshakeTimeout))
	c := tls.Server(t, cfg)
	if err := c.Handshake(); err != nil {
		return nil, notTLS(err)
	}
	t.SetDeadline(time.Time{})
	state := c.ConnectionState()
	t.peer.TLS = &state
	t.peer.Certificate = func() *x509.Certificate { return shown(cfg, state.ServerName) }
	return c, nil
}

var errUntrustedProxy = errors.New("a PROXY header from a peer that proxy_protocol.trust does not name")

// notTLS returns what is wrong with a connection that does not begin with TLS. A client that
// speaks HTTP is told.
func notTLS(err error) error {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) || record.Conn == nil {
		return err
	}
	if isProxyHeader(record.RecordHeader[:]) {
		return errUntrustedProxy
	}
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO"} {
		if string(record.RecordHeader[:]) == method {
			record.Conn.SetWriteDeadline(time.Now().Add(time.Second))
			io.WriteString(record.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks TLS: use https.\n")
			break
		}
	}
	return err
}

// shown returns the certificate for a server name, as the handshake chose it. crypto/tls
// does not tell, least of all when a session was resumed.
func shown(cfg *tls.Config, serverName string) *x509.Certificate {
	hello := &tls.ClientHelloInfo{ServerName: serverName}
	if cfg.GetConfigForClient != nil {
		if other, err := cfg.GetConfigForClient(hello); err == nil && other != nil {
			cfg = other
		}
	}
	if cfg.GetCertificate == nil {
		return nil
	}
	if c, err := cfg.GetCertificate(hello); err == nil && c != nil {
		return c.Leaf
	}
	return nil
}

// transport is an accepted connection as the PROXY header, TLS and HTTP behind them see it.
type transport struct {
	net.Conn
	peer  runtime.Connection
	place *place
	early []byte // came with the PROXY header
}

// Close implements net.Conn. The place of the connection is free before the client learns
// that it ends.
func (t *transport) Close() error {
	t.place.leave()
	return t.Conn.Close()
}

// NetConn returns the connection below.
func (t *transport) NetConn() net.Conn { return t.Conn }

// openings are the connections that do not speak HTTP yet.
type openings struct {
	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{}
}

func (o *openings) add(c net.Conn) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return false
	}
	if o.conns == nil {
		o.conns = map[net.Conn]struct{}{}
	}
	o.conns[c] = struct{}{}
	return true
}

func (o *openings) remove(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.conns, c)
}

// close ends all of them, and those that come later.
func (o *openings) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for c := range o.conns {
		c.Close()
	}
}
