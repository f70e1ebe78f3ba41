package runtime

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
)

// Connection is what the requests of one client's connection share. A front end makes it
// once; each request has a copy.
type Connection struct {
	// Local and Remote are the two ends, invalid on a unix socket. An address has no IPv6
	// zone: it names an interface of this machine, and with it the address would be in no
	// network.
	Local, Remote netip.AddrPort
	// TLS is nil on a plain connection.
	TLS *tls.ConnectionState
	// Certificate returns the certificate that the client was shown, nil when the front end
	// does not know; the function itself may be nil.
	Certificate func() *x509.Certificate
	// Proxied is what a PROXY header said that nobody trusts yet; nil without one.
	Proxied *Proxied
}

// AddrPort converts the address of a socket for a [Connection]; that of a unix socket is
// invalid.
func AddrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		return plainAddrPort(t.AddrPort())
	}
	return netip.AddrPort{}
}

func plainAddrPort(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

type connectionKey struct{}

// servedConnection is a connection of net/http with the number of its requests.
type servedConnection struct {
	Connection
	served atomic.Int64
}

// WithConnection returns a context that tells [NetHTTP] what is known of a connection, for
// http.Server.ConnContext. It also has [Reply.KeepAlive] limit the requests of the connection.
func WithConnection(ctx context.Context, con Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, &servedConnection{Connection: con})
}

// sharedConnection returns what [WithConnection] said, nil when nobody called it.
func sharedConnection(r *http.Request) *servedConnection {
	con, _ := r.Context().Value(connectionKey{}).(*servedConnection)
	return con
}
